"""The bootstrap interval of a mean: what it covers, and what it is of."""

import numpy as np
import pytest

from zoo.errors import InputError
from zoo.metrics import bootstrap_interval


@pytest.mark.parametrize(
    ("draw", "mean", "n", "least"),
    [
        # 95% asked for. 400 trials have a standard error of 1.1%: three of them below, and for
        # skewed values in few batches another 2%, which no resampling of 16 values mends.
        (lambda r, n: r.normal(3.0, 2.0, n), 3.0, 4, 0.915),
        (lambda r, n: r.normal(3.0, 2.0, n), 3.0, 16, 0.915),
        (lambda r, n: r.normal(3.0, 2.0, n), 3.0, 78, 0.915),
        (lambda r, n: r.chisquare(5, n), 5.0, 16, 0.895),
        (lambda r, n: r.chisquare(5, n), 5.0, 78, 0.905),
    ],
)
def test_coverage(draw, mean, n, least):
    random = np.random.default_rng(0)
    intervals = np.array([bootstrap_interval(draw(random, n), seed) for seed in range(400)])
    covered = np.mean((intervals[:, 0] <= mean) & (mean <= intervals[:, 1]))
    assert least <= covered <= 0.985


def test_it_is_that_of_the_mean():
    values = np.random.default_rng(1).normal(10.0, 2.0, 400)
    low, high = bootstrap_interval(values)
    # mean +- 1.96 s / sqrt(n); 2000 resamples place an end to about 4% of that
    half = 1.96 * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.15 * half)
    # It follows shift and scale, and is the same for the same seed.
    np.testing.assert_allclose(bootstrap_interval(3 * values - 7), (3 * low - 7, 3 * high - 7))
    assert bootstrap_interval(values) == (low, high) != bootstrap_interval(values, seed=1)


def test_half_the_confidence():
    values = np.random.default_rng(2).normal(size=400)
    low, high = bootstrap_interval(values, confidence=0.5)
    half = 0.674 * values.std(ddof=1) / 20
    assert high - low == pytest.approx(2 * half, rel=0.15)


def test_equal_values_have_no_spread():
    assert bootstrap_interval(np.full(5, 2.5)) == (2.5, 2.5)


@pytest.mark.parametrize("values", [[], [1.0, 2.0, 3.0], [1.0, 2.0, np.nan, 3.0]])
def test_what_has_no_interval(values):
    with pytest.raises(InputError, match="4 or more finite"):
        bootstrap_interval(np.array(values))
