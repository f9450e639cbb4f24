"""sigma_opt, and likelihoods under it, restated and at their limits."""

import math

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from linear_gaussian import LinearGaussian

from zoo.errors import InputError
from zoo.metrics import quantised_distortion, sigma_opt, sigma_opt_distortion

tfd = tfp.distributions


class Constant:
    """Reconstructs every image as `value`."""

    def __init__(self, value):
        self.value = np.float32(value)

    def encode(self, x):
        return tfd.Independent(tfd.Normal(tf.zeros([len(x), 1]), 1.0), 1)

    def decode(self, z):
        image = tf.zeros([len(z), 6]) + self.value
        return tfd.Independent(tfd.Normal(image, 1.0), 1)


def pixels(n, levels=256, seed=0):
    values = np.random.default_rng(seed).integers(levels, size=(n, 6))
    return (values / (levels - 1)).astype(np.float32)


def test_sigma_opt():
    # E |x - g(z)|^2 / D is in the distortion of the linear model.
    model = LinearGaussian(shift=0.3, spread=1.2)
    d, s2 = 5, model.noise**2
    square = 2 * s2 * (model.distortion - d / 2 * math.log(2 * math.pi * s2)) / d
    found = sigma_opt(model, model.data(4000))
    # 4000 x 5 squares: 1% each way is three standard errors
    assert found**2 == pytest.approx(square, rel=0.04)


def test_sigma_opt_is_the_likeliest():
    model, x = LinearGaussian(shift=0.3), LinearGaussian().data(500)
    best = sigma_opt(model, x)
    found = sigma_opt_distortion(model, x, best)
    for other in (0.9 * best, 1.1 * best):
        assert sigma_opt_distortion(model, x, other).value > found.value
    # At the optimum |x - g|^2 / (2 sigma^2) is D / 2 on average.
    assert found.value == pytest.approx(2.5 * math.log(2 * math.pi * math.e * best**2), rel=1e-6)
    assert sigma_opt(model, [x[:300], x[300:]]) == pytest.approx(best, rel=0.05)


@pytest.mark.parametrize("levels", [2, 16, 256])
def test_quantised_restated(levels):
    x = pixels(50, levels)
    found = quantised_distortion(Constant(0.3), x, 0.2, levels)
    k = np.rint(x * (levels - 1))
    ends = scipy.stats.norm(0.3, 0.2).cdf((np.arange(levels - 1) + 0.5) / (levels - 1))
    p = np.diff(np.concatenate([[0.0], ends, [1.0]]))
    assert p.sum() == pytest.approx(1)
    expected = -np.log2(p[k.astype(int)]).mean(axis=1)
    # Phi of the reference rounds at 1e-16 of probabilities as small as 1e-7
    assert found.value == pytest.approx(expected.mean(), rel=1e-6)
    assert found.units == "bits per dimension"
    assert (found.size, found.value > 0) == (50, True)


def test_far_out_it_is_finite():
    # 100 standard deviations away: P is about exp(-5000), no float.
    x = np.full((4, 6), 128 / 255, np.float32)
    found = quantised_distortion(Constant(128 / 255 + 1.0), x, 0.01).value
    z = (1.0 - 0.5 / 255) / 0.01
    # Phi(-z) ~ exp(-z^2 / 2) / (z sqrt(2 pi)), for the near end of the level
    expected = (z**2 / 2 + math.log(z * math.sqrt(2 * math.pi))) / math.log(2)
    assert found == pytest.approx(expected, rel=1e-4)
    # the same on the other side
    assert quantised_distortion(Constant(128 / 255 - 1.0), x, 0.01).value == pytest.approx(
        found, rel=1e-4
    )


def test_limits():
    x = pixels(2000)
    # A narrow normal in the middle of the level is sure of it; at its edge it is of two.
    level = np.full((9, 6), 128 / 255, np.float32)
    for value, bits in ((128 / 255, 0.0), (127.5 / 255, 1.0)):
        found = quantised_distortion(Constant(value), level, 1e-4)
        # float32 reconstructions, 1e-4 of a standard deviation
        assert found.value == pytest.approx(bits, abs=1e-3)
    # Fine levels: the density's code length, less log2 of their width.
    inner = np.clip(x, 20 / 255, 235 / 255)
    bits = quantised_distortion(Constant(0.5), inner, 0.3).value
    nats = sigma_opt_distortion(Constant(0.5), inner, 0.3).value
    assert bits == pytest.approx(nats / 6 / math.log(2) + math.log2(255), abs=1e-4)


def test_what_is_refused():
    model = Constant(0.5)
    with pytest.raises(InputError, match="are no images for"):
        sigma_opt(model, [])
    with pytest.raises(InputError, match="are no images for"):
        quantised_distortion(model, [], 0.1)
    with pytest.raises(InputError, match="reconstructed exactly"):
        sigma_opt(model, np.full((3, 6), 0.5, np.float32))
    with pytest.raises(InputError, match="standard deviation is 0"):
        sigma_opt_distortion(model, pixels(3), 0)
    with pytest.raises(InputError, match="1 levels code nothing"):
        quantised_distortion(model, pixels(3), 0.1, levels=1)
    for wrong in (pixels(3) + 0.3 / 255, pixels(3) - 1, pixels(3) + 1):
        with pytest.raises(InputError, match=r"other than k/255 from 0 to 1"):
            quantised_distortion(model, wrong, 0.1)
