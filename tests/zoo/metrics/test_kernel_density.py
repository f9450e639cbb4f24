"""Kernel densities against their definition, and the information they give against its truth."""

import math

import numpy as np
import pytest
import scipy.stats
import tensorflow_probability as tfp
from linear_gaussian import LinearGaussian

from zoo.distributions import latents
from zoo.errors import InputError
from zoo.metrics import log_kernel_density, mutual_information, mutual_information_by_kernels


def test_the_definition_restated():
    random = np.random.default_rng(0)
    z, points = random.normal(size=(300, 3)), random.normal(size=(2100, 3))
    found = log_kernel_density(z, points, 0.4)
    density = [scipy.stats.norm(points, 0.4).pdf(each).prod(axis=1).mean() for each in z]
    # float32 exponents of size 10
    np.testing.assert_allclose(found, np.log(density), atol=1e-4)


def test_without_own():
    z = np.random.default_rng(1).normal(size=(270, 2))
    found = log_kernel_density(z, z, 0.3, without_own=True)
    for i in (0, 255, 256, 269):
        expected = log_kernel_density(z[i : i + 1], np.delete(z, i, axis=0), 0.3)
        np.testing.assert_allclose(found[i], expected[0], atol=1e-5)


def test_far_from_every_kernel():
    found = log_kernel_density([[1000.0]], [[0.0]], 1.0)
    np.testing.assert_allclose(found, -5e5 - math.log(2 * math.pi) / 2, rtol=1e-6)


def test_the_information_of_a_linear_model():
    model = LinearGaussian(k=2, shift=0.3, widen=1.2)
    x = model.data(2000)
    found = mutual_information_by_kernels(model, x)
    low, high = found.interval
    assert low == -math.inf
    assert model.information < high < found.value + 0.1
    # Too high by the kernels' blur, which a smooth q(z) tells.
    assert "too high in expectation, by about 0.0" in found.notes[0]
    assert found.ceiling == math.log(2000)
    # The same codes as those of the aggregate posterior, which is less noisy.
    assert found.value == pytest.approx(mutual_information(model, x).estimate, abs=0.06)


@pytest.mark.parametrize(("k", "spread", "noise"), [(2, 0.02, 0.001), (5, 0.02, 0.02)])
def test_narrow_clusters_are_bounded_from_above_alone(k, spread, noise):
    # x = +-1 + spread e, z = x + noise e': I = K log 2 + K/2 log(1 + spread^2 / noise^2)
    model = LinearGaussian(k=k, d=k)
    model.a, model.offset, model.s = np.eye(k), np.zeros(k), np.full(k, noise)
    random = np.random.default_rng(0)
    x = random.choice([-1.0, 1.0], (500, k)) + spread * random.normal(size=(500, k))
    truth = k * (math.log(2) + 0.5 * math.log(1 + (spread / noise) ** 2))
    found = mutual_information_by_kernels(model, x.astype(np.float32))
    # Twice the blur that is told does not reach the truth.
    told = float(found.notes[0].split("by about ")[1].split()[0])
    assert truth < found.interval[1] - 2 * told - 0.2
    assert found.interval[0] == -math.inf


def test_the_width_that_is_chosen_is_the_likeliest():
    model = LinearGaussian(k=2)
    x = model.data(1000)
    chosen = mutual_information_by_kernels(model, x).value
    # -E log q(z) is an upper bound on the entropy: the best width has the lowest.
    worse = [mutual_information_by_kernels(model, x, factor=h).value for h in (0.05, 2.0)]
    assert chosen < min(worse) - 0.05


def test_what_has_no_kernel_density():
    model = LinearGaussian(k=2)
    x = model.data(12)
    with pytest.raises(InputError, match="are 9 images for a kernel density: give ten"):
        mutual_information_by_kernels(model, x[:9])
    with pytest.raises(InputError, match="factor is -1"):
        mutual_information_by_kernels(model, x, factor=-1)
    wide = LinearGaussian(k=12, d=12)
    with pytest.raises(InputError, match="12 codes of length 12 lie in a subspace"):
        mutual_information_by_kernels(wide, wide.data(12))
    model.encode = lambda x: tfp.distributions.OneHotCategorical(np.zeros((len(x), 3), np.float32))
    model.prior = latents.parse("categorical(3)").prior
    with pytest.raises(InputError, match="discrete: use mutual_information"):
        mutual_information_by_kernels(model, x)
