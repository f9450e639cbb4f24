"""MMD of whole data sets: the U-statistic restated, its closed form, and its interval."""

import dataclasses
import math
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

from zoo import priors, terms
from zoo.errors import InputError
from zoo.metrics import full_mmd
from zoo.metrics.full_mmd import full_mmd_of
from zoo.terms.mmd import MMD

tfd = tfp.distributions
full_mmd_module = sys.modules["zoo.metrics.full_mmd"]  # zoo.metrics has the function by that name


def draws(n, k=2, seed=0, shift=0.0, scale=1.0):
    return (np.random.default_rng(seed).normal(shift, scale, (n, k))).astype(np.float32)


def truth(mean, variance, k, s2):
    """Squared MMD between N(mean, variance I) and N(0, I) in k dimensions, RBF kernel."""

    def embedding(m, v):  # E exp(-|d|^2 / (2 s2)), d ~ N(m, v I)
        return (s2 / (s2 + v)) ** (k / 2) * math.exp(-k * m**2 / (2 * (s2 + v)))

    return embedding(0, 2 * variance) - 2 * embedding(mean, variance + 1) + embedding(0, 2)


@pytest.mark.parametrize("block", [7, 64, 1024])
def test_the_definition_restated(block):
    z, y = draws(50, shift=0.5), draws(50, seed=1)

    def gram(a, b):
        return np.exp(-np.sum((a[:, None] - b[None]).astype(float) ** 2, axis=2) / (2 * 1.5))

    h = gram(z, z) + gram(y, y) - gram(z, y) - gram(y, z)
    off = ~np.eye(50, dtype=bool)
    value = h[off].mean()
    found = full_mmd(z, y, bandwidth=1.5, block=block)
    # float32 kernels, summed by 2450
    assert found.value == pytest.approx(value, abs=1e-6)
    assert found.size == 50
    # the features' variances: of pairs, along their mean, and the largest
    of_pairs = np.mean(h[off] ** 2) - value**2
    of_means = ((h * off).sum(axis=1) / 49).var(ddof=1) - of_pairs / 49
    centre = np.eye(50) - 1 / 50
    largest = np.linalg.eigvalsh(centre @ h @ centre)[-1] / 49
    three = 3 * math.sqrt(2 * of_pairs) / 50
    rho = (of_means + three * largest) / (value + three)
    assert rho < largest
    # 2.5% of noncentral chi square lie beyond the value, from either end
    nu = of_pairs / rho**2
    for end, tail in zip(found.interval, (stats.ncx2.sf, stats.ncx2.cdf), strict=True):
        # the largest variance is found to a few per cent
        assert tail(50 * value / rho + nu, nu, 50 * end / rho) == pytest.approx(0.025, abs=2e-3)


def test_with_the_prior_exact_it_is_that_of_the_terms():
    z = draws(300, 3, shift=0.2, scale=0.8)
    loc, scale = np.float32([0.1, 0.0, -0.2]), np.float32([1.0, 0.5, 2.0])
    for kernel in ("rbf", "rbf_mixture"):
        expected = float(terms.mmd_to_normal(z, loc, scale, kernel=kernel))
        found = full_mmd(z, tfd.MultivariateNormalDiag(loc, scale), kernel=kernel, block=128)
        assert found.value == pytest.approx(expected, abs=2e-6)
        assert "exact normal" in found.estimator


def test_closed_form_and_sampled_priors():
    expected = truth(0.4, 0.8**2, 2, 2.0)
    z = draws(3000, shift=0.4, scale=0.8)
    for p in (priors.standard_normal(2), draws(3000, seed=5)):
        found = full_mmd(z, p)
        error = (found.interval[1] - found.interval[0]) / 2 / 1.96
        assert found.value == pytest.approx(expected, abs=4 * error)
        assert error < 0.005
    # a mixture is sampled
    mixture = tfd.MixtureSameFamily(
        tfd.Categorical([0.0, 0.0]), tfd.MultivariateNormalDiag([[0.4, 0.4]] * 2, [[0.8, 0.8]] * 2)
    )
    found = full_mmd(z, mixture)
    assert "3000 and 3000 samples" in found.estimator
    low, high = found.interval
    assert low < 0 < high


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_coverage(exact, shift):
    expected = truth(shift, 1.0, 2, 2.0)
    covered, values, below, above = 0, [], [], []
    for seed in range(25):
        p = priors.standard_normal(2) if exact else draws(100, seed=1000 + seed)
        found = full_mmd(draws(100, seed=seed, shift=shift), p)
        low, high = found.interval
        covered += low <= expected <= high
        values.append(found.value)
        below.append((found.value - low) / 1.96)
        above.append((high - found.value) / 1.96)
    # 95% asked for: fewer than 20 of 25 once in a thousand
    assert covered >= 20
    # 25 repeats know a standard deviation to 15%; the lower MMD^2, the less noise it would have
    assert 0.5 < np.mean(below) / np.std(values) < 1.9
    assert 0.65 < np.mean(above) / np.std(values) < (1.9 if shift else 3.5)


# squared MMD of about one standard deviation of its estimate, where a low one has little noise
@pytest.mark.parametrize(
    ("n", "k", "exact", "shift", "scale"),
    [
        (100, 1, True, 0.2, 1.0),
        (100, 2, False, 0.2, 1.0),
        (300, 2, True, 0.1, 1.0),
    ],
)
def test_the_upper_end_near_the_prior(n, k, exact, shift, scale):
    expected = truth(shift, scale**2, k, float(k))
    below = 0
    for seed in range(100):
        p = priors.standard_normal(k) if exact else draws(n, k, seed=1000 + seed)
        below += full_mmd(draws(n, k, seed, shift, scale), p).interval[1] < expected
    # 2.5% asked for, and 10 to 20% where value and standard error are taken as independent:
    # more than 8 of 100 once in a thousand
    assert below <= 8


@pytest.mark.parametrize("n", [100, 400])
def test_the_lower_end_at_the_prior(n):
    above = sum(
        full_mmd(draws(n, 2, seed), priors.standard_normal(2)).interval[0] > 0
        for seed in range(100)
    )
    assert above <= 8


def test_collapsed_codes():
    p, expected = priors.standard_normal(16), truth(0.0, 0.0, 16, 16.0)
    # at one point the U-statistic has no noise
    found = full_mmd(np.zeros((300, 16)), p)
    assert found.value == pytest.approx(expected, abs=1e-6)
    assert found.interval == pytest.approx((expected, expected), abs=1e-5)
    misses = 0
    for seed in range(40):
        nearly = draws(100, 16, seed, scale=0.05)
        low, high = full_mmd(nearly, p).interval
        misses += not low <= truth(0.0, 0.05**2, 16, 16.0) <= high
        low, high = full_mmd(np.zeros((100, 16)), draws(100, 16, 500 + seed)).interval
        misses += not low <= expected <= high
    # 5% of 80 asked for: more than 11 once in a thousand
    assert misses <= 11


def test_both_tails_where_chi_square_is_normal():
    """Many examples far from the prior, or a largest variance far above the others."""
    found = full_mmd_module._Pairs(value=0.1, of_means=1e-3, of_pairs=4e-3, n=100_000)
    half = 1.96 * math.sqrt(4e-3 / 1e5)
    low, high = full_mmd_module._interval(found, 0.1)
    assert (low, high) == pytest.approx((0.1 - half, 0.1 + half), rel=1e-3)
    pairs = dataclasses.replace(found, value=1e-6, of_means=0.0, of_pairs=1e-2)
    low, high = full_mmd_module._interval(pairs, 1e-5)
    at_null = math.sqrt(2e-2) / 1e5
    assert low == pytest.approx(1e-6 - 1.96 * at_null, rel=0.01)
    assert high == pytest.approx(1e-6 + 1.96 * at_null, rel=0.01)


def test_what_is_not_finite_has_no_interval():
    assert np.isnan(full_mmd(np.full((5, 2), np.nan), draws(5)).interval).all()


def test_the_options_of_a_term():
    z, p = draws(60, 3, shift=0.2), priors.standard_normal(3)
    term = MMD("z", kernel="imq", bandwidth=2.0, scales=(0.5, 2.0), estimator="linear")
    expected = full_mmd(z, p, "imq", 2.0, (0.5, 2.0), seed=4)
    assert full_mmd_of(term, z, p, seed=4) == expected
    term = MMD("z", bandwidth="median", estimator="v")
    found = full_mmd_of(term, z, p)
    assert dataclasses.replace(found, notes=()) == full_mmd(z, p, bandwidth="median")
    biased, median = found.notes
    assert "V-statistic" in biased
    assert "over 60 samples" in median


def test_the_median_bandwidth_and_images():
    x, y = np.random.default_rng(0).random((2, 40, 4, 4, 1)).astype(np.float32)
    s2 = terms.kernels.median_bandwidth(x, y)
    found = full_mmd(x, y, kernel="imq", bandwidth="median")
    expected = full_mmd(x, y, kernel="imq", bandwidth=float(s2))
    assert found.value == pytest.approx(expected.value, abs=1e-7)
    # against themselves every h is 0
    assert full_mmd(tf.constant(x), x).interval == (0.0, 0.0)


@pytest.mark.parametrize(
    ("q", "p", "message"),
    [
        (draws(3), draws(3), "3 examples for MMD over a data set: give four"),
        (draws(5), draws(6), r"\(5, 2\) of q and \(6, 2\) of p"),
        (draws(5), draws(5, 3), r"\(5, 2\) of q and \(5, 3\) of p"),
    ],
)
def test_what_has_no_mmd(q, p, message):
    with pytest.raises(InputError, match=message):
        full_mmd(q, p)
