import numpy as np
import pytest

from zoo.errors import InputError
from zoo.metrics import kid
from zoo.metrics.kid import kernel_distance


def test_it_is_the_mean_over_pairs(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 4)) + 0.2
    k = lambda a, b: (a @ b / 4 + 1) ** 3  # noqa: E731
    h = [
        k(x[i], x[j]) + k(y[i], y[j]) - k(x[i], y[j]) - k(y[i], x[j])
        for i in range(30)
        for j in range(30)
        if i != j
    ]
    whole = kernel_distance(x, y)
    assert whole.value == pytest.approx(np.mean(h), rel=1e-10)
    monkeypatch.setattr(kid, "_BLOCK", 7)
    in_blocks = kernel_distance(x, y)
    assert in_blocks.value == pytest.approx(whole.value, rel=1e-10)
    assert in_blocks.interval == pytest.approx(whole.interval, rel=1e-10)


def _moments(m, s):
    return np.array([m, m**2 + s**2, m**3 + 3 * m * s**2])


@pytest.mark.parametrize("other", [(0.2, 0.5), (0.5, 0.7)])
def test_intervals_cover_the_distance_of_normals(other):
    # (x y + 1)^3 = x^3 y^3 + 3 x^2 y^2 + 3 x y + 1: MMD^2 compares three moments.
    truth = np.array([3, 3, 1]) @ (_moments(0.2, 0.5) - _moments(*other)) ** 2
    hits, values = 0, []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x = rng.normal(0.2, 0.5, size=(300, 1))
        y = rng.normal(*other, size=(300, 1))
        found = kernel_distance(x, y)
        values.append(found.value)
        hits += found.interval[0] <= truth <= found.interval[1]
    assert hits >= 54
    # Unbiased: within four standard errors of the mean of 60.
    assert abs(np.mean(values) - truth) < 4 * np.std(values) / np.sqrt(60)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.zeros((5, 2)), np.zeros((6, 2)), r"\(5, 2\)"),
        (np.zeros((3, 2)), np.zeros((3, 2)), "at least 4"),
        (np.full((5, 2), np.inf), np.zeros((5, 2)), "not finite"),
    ],
)
def test_wrong_input(x, y, words):
    with pytest.raises(InputError, match=words):
        kernel_distance(x, y)
