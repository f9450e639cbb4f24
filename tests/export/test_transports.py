"""Samples as functions of normal noise: their formulas, and that they have the distribution."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special, stats

from export import transports
from zoo.distributions.blocks import Blocks
from zoo.distributions.truncated_normal import TruncatedNormal
from zoo.errors import InputError

tfd = tfp.distributions
NOISE = np.random.default_rng(0).standard_normal((4000, 1)).astype(np.float32)


def independent(elements):
    return tfd.Independent(elements, reinterpreted_batch_ndims=1)


@pytest.mark.parametrize(
    ("elements", "theirs"),
    [
        (tfd.Normal([0.5], [2.0]), stats.norm(0.5, 2)),
        (tfd.Laplace([0.5], [2.0]), stats.laplace(0.5, 2)),
        (tfd.Uniform([-1.0], [3.0]), stats.uniform(-1, 4)),
        (tfd.Logistic([0.5], [2.0]), stats.logistic(0.5, 2)),
        (tfd.Exponential([2.0]), stats.expon(scale=0.5)),
        (tfd.LogNormal([0.5], [0.2]), stats.lognorm(0.2, scale=np.exp(0.5))),
        (TruncatedNormal([0.3], [0.5], -1.0, 1.0), stats.truncnorm(-2.6, 1.4, 0.3, 0.5)),
    ],
)
def test_elements_are_quantiles(elements, theirs):
    """z = F^-1(Phi(e)) for every one, F by SciPy in 64 bits."""
    found = transports.sample(independent(elements), NOISE).numpy()
    wanted = theirs.ppf(special.ndtr(NOISE.astype(np.float64)))
    # Near 1, u = Phi(e) in 32 bits has a spacing of 6e-8, at e = 3.5 a relative 3e-4 of 1 - u;
    # normal, Laplace and log-normal samples do not pass through u.
    exact = isinstance(elements, tfd.Normal | tfd.Laplace | tfd.LogNormal)
    np.testing.assert_allclose(found, wanted, rtol=1e-5 if exact else 1e-3, atol=1e-5)


def test_far_tails_are_finite():
    noise = np.float32([[-9.0], [9.0]])
    for elements in (tfd.Laplace([0.0], [1.0]), tfd.Exponential([1.0]), tfd.Uniform([0.0], [1.0])):
        assert np.isfinite(transports.sample(independent(elements), noise)).all()
    # |z| = -log(2 Phi(-9)): no digit is lost to 1 - u
    far = transports.sample(independent(tfd.Laplace([0.0], [1.0])), noise)
    wanted = -np.log(2.0) - special.log_ndtr(-9.0)
    np.testing.assert_allclose(far[:, 0], [-wanted, wanted], rtol=1e-6)


def test_a_bernoulli_is_one_where_u_is_below_its_mean():
    found = transports.sample(independent(tfd.Bernoulli(probs=[0.3])), NOISE)
    np.testing.assert_array_equal(found, special.ndtr(NOISE) < 0.3)


def test_a_categorical_has_its_probabilities():
    probabilities = np.float32([0.2, 0.5, 0.3])
    noise = np.random.default_rng(1).standard_normal((20_000, 3)).astype(np.float32)
    found = transports.sample(tfd.OneHotCategorical(probs=probabilities), noise).numpy()
    assert set(found.sum(axis=1)) == {1.0}
    # Four standard errors of a share of 0.5 in 20,000 are 0.014.
    np.testing.assert_allclose(found.mean(axis=0), probabilities, atol=0.014)


def test_blocks_stand_side_by_side():
    code = tfd.OneHotCategorical(logits=np.zeros(3, np.float32), dtype=tf.float32)
    normal = independent(tfd.Normal([1.0, 2.0], [1.0, 1.0]))
    noise = np.random.default_rng(2).standard_normal((5, 5)).astype(np.float32)
    for blocks in (Blocks([code, normal]), tfd.Blockwise([code, normal])):
        assert transports.noise_size(blocks) == 5
        found = transports.sample(blocks, noise).numpy()
        np.testing.assert_array_equal(found[:, :3].argmax(axis=1), noise[:, :3].argmax(axis=1))
        np.testing.assert_allclose(found[:, 3:], noise[:, 3:] + [1.0, 2.0], rtol=1e-6)


def test_a_full_covariance():
    scale = np.float32([[1.0, 0.0], [0.5, 2.0]])
    normal = tfd.MultivariateNormalTriL(loc=[1.0, -1.0], scale_tril=scale)
    noise = np.random.default_rng(3).standard_normal((5, 2)).astype(np.float32)
    # z = mean + L e
    np.testing.assert_allclose(
        transports.sample(normal, noise), noise @ scale.T + [1.0, -1.0], rtol=1e-5, atol=1e-6
    )


def test_a_mixture_is_its_components():
    means = np.float32([[-2.0, 0.0], [2.0, 1.0]])
    mixture = tfd.MixtureSameFamily(
        tfd.Categorical(probs=[0.3, 0.7]), independent(tfd.Normal(means, 0.1))
    )
    assert transports.noise_size(mixture) == 4
    noise = np.random.default_rng(4).standard_normal((20_000, 4)).astype(np.float32)
    found = transports.sample(mixture, noise).numpy()
    second = found[:, 0] > 0
    # Four standard errors of a share of 0.7 in 20,000 are 0.013.
    np.testing.assert_allclose(second.mean(), 0.7, atol=0.013)
    wanted = means[second.astype(int)] + 0.1 * noise[:, 2:]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_one_of_each_batch():
    posterior = independent(tfd.Normal(np.float32([[0.0, 1.0], [2.0, 3.0]]), 1.0))
    noise = np.ones((2, 2), np.float32)
    np.testing.assert_allclose(transports.sample(posterior, noise), [[1.0, 2.0], [3.0, 4.0]])


def test_what_is_not_known():
    dirichlet = tfd.Dirichlet([1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="A sample of a Dirichlet has no known form"):
        transports.noise_size(dirichlet)
