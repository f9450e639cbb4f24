import numpy as np
import pytest

from zoo.errors import InputError
from zoo.metrics.semi_supervised import semi_supervised_error


def _codes(n, seed, apart):
    """Two classes of normals with means `apart` on the first of three axes."""
    labels = np.arange(n) % 2
    z = np.random.default_rng(seed).normal(size=(n, 3))
    z[:, 0] += apart * labels
    return z, labels


def test_the_error_is_near_that_of_the_best_rule():
    # Normals 3 apart: the best rule errs Phi(-1.5) = 0.0668 of the time.
    found = semi_supervised_error(*_codes(1000, 0, 3.0), *_codes(2000, 1, 3.0), labelled=100)
    assert 0.055 < found.value < 0.1
    assert found.interval[0] < found.value < found.interval[1]
    assert found.size == 2000


def test_codes_without_information_are_at_chance():
    found = semi_supervised_error(*_codes(300, 0, 0.0), *_codes(500, 1, 0.0), labelled=40)
    assert found.interval[0] < 0.5 < found.interval[1]


def test_equal_codes_are_at_chance():
    z, labels = np.zeros((100, 2)), np.arange(100) % 2
    assert semi_supervised_error(z, labels, z, labels, labelled=20).value == pytest.approx(0.5)


def test_scales_do_not_matter_and_the_seed_decides():
    z, labels = _codes(200, 0, 2.0)
    error = semi_supervised_error(z, labels, z, labels, 40, repeats=2, seed=3)
    other = semi_supervised_error(1000 * z, labels, 1000 * z, labels, 40, repeats=2, seed=3)
    assert error.value == other.value


def test_the_test_codes_choose_nothing():
    z, labels = _codes(200, 0, 2.0)
    test, test_labels = _codes(50, 1, 2.0)
    one = semi_supervised_error(z, labels, test, test_labels, 40, seed=1)
    other = semi_supervised_error(z, labels, test, 1 - test_labels, 40, seed=1)
    assert one.notes == other.notes
    assert one.value == pytest.approx(1 - other.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labelled": 500}, "500 labels"),
        ({"labelled": 2}, "2 labels"),
        ({"repeats": 1}, "repeats is 1"),
        ({"codes": np.full((100, 3), np.nan)}, "diverged"),
        ({"labels": np.arange(99)}, r"\(99,\)"),
        ({"labels": np.zeros(100)}, "1 classes"),
    ],
)
def test_wrong_input(change, words):
    z, labels = _codes(100, 0, 2.0)
    given = {"codes": z, "labels": labels, "test_codes": z, "test_labels": labels, "labelled": 20}
    with pytest.raises(InputError, match=words):
        semi_supervised_error(**{**given, **change})
