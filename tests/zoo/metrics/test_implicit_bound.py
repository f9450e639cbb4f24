"""The bound of posteriors without a density, where it has a closed form."""

import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from linear_gaussian import LinearGaussian

from zoo.distributions.implicit import Implicit
from zoo.errors import InputError
from zoo.metrics import implicit_bound, rate_distortion


def implicit(model, push):
    """The model with z = m(x) + s * push(e), e ~ N(0, I), and no density."""
    known = model.encode

    def encode(x):
        normal = known(x)
        return Implicit(lambda e: normal.mean() + model.s * push(e), len(x), [2], 2)

    model.encode = encode
    return model


def test_a_normal_posterior_without_its_density():
    known = LinearGaussian(k=2, shift=0.3, widen=1.2)
    x = known.data(20)
    exact = rate_distortion(known, np.repeat(x, 500, axis=0))
    found = implicit_bound(implicit(LinearGaussian(k=2, shift=0.3, widen=1.2), lambda e: e), x)
    # 20 posteriors of 2000 draws: each mean is off by about 1 / sqrt(2000) = .02, all by a quarter
    # of that; kernels blur about as much.
    assert found.rate.value == pytest.approx(exact.rate.value, abs=0.03)
    assert found.distortion.value == pytest.approx(exact.distortion.value, abs=0.03)
    assert found.bound.value == pytest.approx(found.rate.value + found.distortion.value)
    assert found.negentropy.value == pytest.approx(0.0, abs=0.02)
    for measured in (found.rate, found.bound, found.negentropy):
        low, high = measured.interval
        assert measured.value - 1.0 < low < measured.value
        assert high == math.inf
        assert measured.notes[0].startswith("a bound from below")
    assert found.negentropy.interval[0] < 0.0
    assert math.isfinite(found.distortion.interval[1])


def test_an_odd_posterior():
    # A Gumbel's entropy is 1 + gamma and its variance pi^2 / 6: a normal of that variance has an
    # entropy .0906 higher, for each element, and z is linear in it.
    def gumbel(e):
        return -tf.math.log(-tfp.distributions.Normal(0.0, 1.0).log_cdf(e))

    model = implicit(LinearGaussian(k=2), gumbel)
    found = implicit_bound(model, model.data(8), draws=4000)
    expected = math.log(2 * math.pi * math.e * math.pi**2 / 6) - 2 * (1 + np.euler_gamma)
    assert found.negentropy.interval[0] < expected
    assert found.negentropy.value == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("kind", ["edges", "spikes"])
def test_what_kernels_miss_is_not_bounded(kind):
    normal = tfp.distributions.Normal(0.0, 1.0)
    if kind == "edges":
        push, variance, entropy = normal.cdf, 1 / 12, 0.0
    else:
        # +-1, each with a deviation of .001
        def push(e):
            return tf.sign(e) + 0.001 * tf.random.stateless_normal(tf.shape(e), [3, 3])

        variance = 1.0
        entropy = math.log(2) + 0.5 * math.log(2 * math.pi * math.e) + math.log(0.001)
    model = implicit(LinearGaussian(k=2), push)
    found = implicit_bound(model, model.data(8), draws=500).negentropy
    expected = 2 * (0.5 * math.log(2 * math.pi * math.e * variance) - entropy)
    # Twice the blur that is told does not reach the truth.
    told = float(found.notes[0].split("by about ")[1].split()[0])
    assert found.value + 2 * told < expected - 0.05
    assert found.interval[0] < expected < found.interval[1]


def test_what_has_no_bound():
    model = LinearGaussian(k=2)
    x = model.data(3)
    with pytest.raises(InputError, match="are 9 draws for a kernel density: give ten"):
        implicit_bound(model, x, draws=9)
    with pytest.raises(InputError, match="are no images for"):
        implicit_bound(model, x[:0])
    with pytest.raises(InputError, match="lie in a subspace"):
        implicit_bound(implicit(model, lambda e: 0.0 * e), x)
    model.encode = lambda x: tfp.distributions.OneHotCategorical(np.zeros((len(x), 3), np.float32))
    with pytest.raises(InputError, match="discrete"):
        implicit_bound(model, x)
