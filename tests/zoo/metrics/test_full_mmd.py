"""MMD of whole data sets: the U-statistic restated, its closed form, and its standard error."""

import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from zoo import priors, terms
from zoo.errors import InputError
from zoo.metrics import full_mmd

tfd = tfp.distributions


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
    r = (h * off).sum(axis=1) / 49
    least = 2 / (50 * 49) * (np.mean(h[off] ** 2) - value**2)
    error = math.sqrt(max(4 / 50 * r.var(ddof=1) - least, least))
    found = full_mmd(z, y, bandwidth=1.5, block=block)
    # float32 kernels, summed by 2450
    assert found.value == pytest.approx(value, abs=1e-6)
    half = (found.interval[1] - found.interval[0]) / 2
    assert half == pytest.approx(1.96 * error, rel=1e-3)
    assert found.size == 50


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
    covered, values, errors = 0, [], []
    for seed in range(25):
        p = priors.standard_normal(2) if exact else draws(100, seed=1000 + seed)
        found = full_mmd(draws(100, seed=seed, shift=shift), p)
        low, high = found.interval
        covered += low <= expected <= high
        values.append(found.value)
        errors.append((high - low) / 2 / 1.96)
    # 95% asked for: fewer than 20 of 25 once in a thousand
    assert covered >= 20
    # 25 repeats know a standard deviation to 15%; at q = p the interval is a quarter too wide
    assert 0.65 < np.mean(errors) / np.std(values) < 1.9


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
        (draws(3), draws(3), "of 3 examples: give four"),
        (draws(5), draws(6), r"\(5, 2\) of q and \(6, 2\) of p"),
        (draws(5), draws(5, 3), r"\(5, 2\) of q and \(5, 3\) of p"),
    ],
)
def test_what_has_no_mmd(q, p, message):
    with pytest.raises(InputError, match=message):
        full_mmd(q, p)
