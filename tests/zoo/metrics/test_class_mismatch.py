import numpy as np
import pytest

from zoo.errors import InputError
from zoo.metrics.class_mismatch import class_mismatch


def test_it_is_the_kl_of_smoothed_shares():
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    predicted = np.repeat([0, 1, 2], [10, 10, 20])
    c = np.array([0.5, 0.3, 0.2])
    c_hat = np.array([10.5, 10.5, 20.5]) / 41.5
    found = class_mismatch(predicted, labels)
    # l_ce(c, c') = -c^T (log c' - log c), [V]
    assert found.value == pytest.approx(-c @ (np.log(c_hat) - np.log(c)), rel=1e-12)
    assert found.size == 40
    assert found.units == "nats"


def test_a_class_that_is_never_generated_costs_a_finite_amount():
    found = class_mismatch(np.zeros(100, int), np.arange(100) % 10)
    assert 1.0 < found.value < 10.0
    assert found.interval[0] <= found.value <= found.interval[1]


@pytest.mark.parametrize("p", [[0.25] * 4, [0.1, 0.2, 0.3, 0.4]])
def test_intervals_cover_the_truth(p):
    labels = np.arange(400) % 4
    truth = -np.mean(np.log(p)) - np.log(4)
    hits = 0
    for seed in range(60):
        predicted = np.random.default_rng(seed).choice(4, 500, p=p)
        low, high = class_mismatch(predicted, labels, seed).interval
        # Rounding leaves the KL of equal shares at 1e-17.
        hits += low <= truth + 1e-12 <= high + 2e-12
    assert hits >= 54


def test_labels_need_not_be_numbers_from_0():
    labels = np.repeat([7, 3], 50)
    same = class_mismatch(labels, labels).value
    # (50.5, 50.5) / 101 are the labels' shares
    assert same == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("predicted", "labels", "words"),
    [([], [1, 2], "0 samples"), ([1], [], "0 labels"), ([5], [1, 2], "class 5")],
)
def test_wrong_input(predicted, labels, words):
    with pytest.raises(InputError, match=words):
        class_mismatch(predicted, labels)
