"""The estimate of I_q(x;z) against linear Gaussian encoders, whose information is known."""

import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from zoo import priors
from zoo.errors import InputError
from zoo.metrics import log_aggregate_posterior, mutual_information

tfd = tfp.distributions


class LinearGaussian:
    """z = a x + s e with x, e ~ N(0, 1) in each of K dimensions, and its exact posterior p(x|z).

    q(z) = N(0, a^2 + s^2),   q(x|z) = N(a z / (a^2 + s^2), s^2 / (a^2 + s^2)),
    I_q = sum 1/2 log(1 + a^2 / s^2),   RATE = sum 1/2 (a^2 + s^2 - 1 - log s^2).
    """

    def __init__(self, a, s):
        self.a, self.s = np.float32(a), np.float32(s)
        self.variance = self.a**2 + self.s**2
        self.prior = priors.standard_normal(len(self.a))

    def encode(self, x):
        return tfd.Independent(tfd.Normal(self.a * x, self.s), 1)

    def decode(self, z):
        scale = self.s / np.sqrt(self.variance)
        return tfd.Independent(tfd.Normal(self.a * z / self.variance, scale), 1)

    @property
    def information(self):
        return float(np.sum(np.log(1 + self.a**2 / self.s**2)) / 2)

    @property
    def rate(self):
        return float(np.sum(self.variance - 1 - np.log(self.s**2)) / 2)


def draws(n, k, seed=0):
    return np.random.default_rng(seed).normal(size=(n, k)).astype(np.float32)


@pytest.mark.parametrize(("a", "s"), [([1.0], [1.0]), ([2.0, 0.5, 0.0], [0.7, 1.0, 1.0])])
def test_closed_form(a, s):
    model = LinearGaussian(a, s)
    n = 3000
    x = draws(n, len(a))
    entropy = len(a) / 2 * math.log(2 * math.pi * math.e)  # of N(0, I)
    found = mutual_information(model, x, entropy_x=entropy)
    # Four standard errors, and the bias of a mixture of n points, about exp(I) / (2 n).
    slack = 4 * found.standard_error + math.exp(model.information) / n
    assert found.estimate == pytest.approx(model.information, abs=slack)
    assert 0 < found.standard_error < 0.05
    # Both bounds are means over examples of noise of order 1; decode() is q(x|z): no gap below.
    assert found.rate == pytest.approx(model.rate, abs=0.15)
    assert found.lower_bound == pytest.approx(model.information, abs=0.15)
    assert found.lower_bound - 0.15 < found.estimate < found.rate + 0.15
    assert found.ceiling == math.log(n)
    assert found.points == n


def test_the_definition_restated():
    model = LinearGaussian([1.5, 1.0], [0.5, 0.8])
    x = draws(40, 2)
    found = mutual_information(model, x)
    # The codes, drawn as documented: one seed for each batch, here one batch.
    z = model.encode(x).sample(seed=tf.constant([0, 0])).numpy().astype(np.float64)
    mean, scale = model.a * x.astype(np.float64), model.s
    log_q = -(((z[:, None] - mean[None]) / scale) ** 2) / 2
    log_q = np.sum(log_q - np.log(scale) - math.log(2 * math.pi) / 2, axis=2)
    values = np.diag(log_q) - np.log(np.mean(np.exp(log_q), axis=1))
    # float32 densities of size 10 are right to 1e-5.
    assert found.estimate == pytest.approx(values.mean(), abs=1e-5)
    assert found.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(40), abs=1e-5)
    assert found.lower_bound is None


def test_it_stops_at_its_ceiling():
    # 1000 times more precise than the points are dense: all of log N, where I is 16.6 nats.
    model = LinearGaussian([1.0, 1.0], [2.5e-4, 2.5e-4])
    for n in (2, 50, 300):
        found = mutual_information(model, draws(n, 2))
        assert found.estimate <= found.ceiling
        assert found.estimate == pytest.approx(math.log(n), abs=1e-3)
        assert found.sharing == pytest.approx(1.0, abs=1e-3)
    # q(z) is nearly the prior: the rate, a mean over 300 points, is the information.
    assert found.rate == pytest.approx(model.information, abs=0.3)
    assert model.information > found.ceiling + 10


def test_no_information():
    # The encoder ignores x: every code may come from each of the points.
    found = mutual_information(LinearGaussian([0.0], [1.0]), draws(100, 1))
    assert found.estimate == pytest.approx(0.0, abs=1e-6)
    assert found.sharing == pytest.approx(100, rel=1e-5)


def test_many_points_grow_towards_the_information():
    model = LinearGaussian([1.0] * 4, [0.2] * 4)  # 6.5 nats
    found = [mutual_information(model, draws(n, 4)).estimate for n in (10, 100, 1000)]
    assert found == sorted(found)
    assert found[-1] < model.information


@pytest.mark.parametrize("sizes", [[300], [256, 44], [7] * 42 + [6]])
def test_the_mixture_does_not_depend_on_the_blocks(sizes):
    model = LinearGaussian([1.5, 1.0], [0.5, 0.8])
    x, z = draws(300, 2), draws(270, 2, seed=1)
    parts = np.split(x, np.cumsum(sizes)[:-1])
    found = log_aggregate_posterior([model.encode(part) for part in parts], z)
    log_q = model.encode(x).log_prob(z[:, None]).numpy().astype(np.float64)
    expected = np.log(np.mean(np.exp(log_q), axis=1))
    assert found.shape == (270,)
    # float32 densities
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_codes_far_from_every_posterior():
    # exp(-5e5) is 0 in any float: the sum is taken in log space.
    posterior = LinearGaussian([0.0], [1.0]).encode(np.zeros((3, 1), np.float32))
    found = log_aggregate_posterior([posterior], [[1000.0]])
    np.testing.assert_allclose(found, -(1000.0**2) / 2 - math.log(2 * math.pi) / 2, rtol=1e-6)


def test_batches_are_as_good_as_an_array():
    model = LinearGaussian([1.0], [0.5])
    x = draws(256 + 44, 1)
    assert mutual_information(model, iter([x[:256], x[256:]])) == mutual_information(model, x)
    assert mutual_information(model, x, seed=1) != mutual_information(model, x)


@pytest.mark.parametrize("images", [np.zeros((1, 1), np.float32), []])
def test_too_few_images(images):
    with pytest.raises(InputError, match="two or more"):
        mutual_information(LinearGaussian([1.0], [1.0]), images)


def test_of_a_model(small, images):
    model = small("vae", compiled=False)
    found = mutual_information(model, images)
    # Untrained, it has learned nothing; five standard errors
    assert abs(found.estimate) < 5 * found.standard_error
    # The same terms that the model trains: RATE has a closed form, REC_x has other noise here.
    values = model.term_values(tf.constant(images), [0, 0])
    assert found.rate == pytest.approx(float(values["RATE"]), rel=1e-5)
    assert found.rec_x == pytest.approx(float(values["REC_x"]), rel=0.1)
