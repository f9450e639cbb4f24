"""The power of kernels: closed forms by hand, by samples, and what a tolerance admits."""

import math

import numpy as np
import pytest
import tensorflow_probability as tfp
from scipy.spatial.distance import cdist, pdist

from zoo import priors
from zoo.bounds import kernel_power
from zoo.bounds.kernel_power import KernelPower, mmd_power
from zoo.distributions import blocks
from zoo.errors import InputError

tfd = tfp.distributions
NAMES = ("collapsed", "twice_as_wide", "shifted")
FIVE = (0.25, 0.5, 1.0, 2.0, 4.0)


def values(power):
    return [getattr(power, name) for name in NAMES]


def by_hand(k, s2):
    """math.md, section 6, of N(0, I) in k dimensions: t = 2, and |m|^2 = k / 4."""
    here = (s2 / (s2 + 2)) ** (k / 2)
    return [
        1 - 2 * (s2 / (s2 + 1)) ** (k / 2) + here,
        (s2 / (s2 + 8)) ** (k / 2) - 2 * (s2 / (s2 + 5)) ** (k / 2) + here,
        2 * here * (1 - math.exp(-(k / 4) / (2 * (s2 + 2)))),
    ]


def by_samples(loc, scale, kernel, n=2000, seed=0):
    """Squared MMD of independent samples of each failure and of the prior, and standard errors."""
    rng = np.random.default_rng(seed)
    loc, scale = np.asarray(loc, float), np.asarray(scale, float)

    def draw():
        return loc + scale * rng.normal(size=(n, len(loc)))

    def mean(a, b):
        gram = kernel(cdist(a, b, "sqeuclidean"))
        rows, columns = (gram.mean(axis=axis).var() for axis in (0, 1))
        return gram.mean(), math.sqrt((rows + columns) / n)

    found = []
    for fail in (
        lambda y: np.broadcast_to(loc, y.shape),
        lambda y: loc + 2 * (y - loc),
        lambda y: y + scale / 2,
    ):
        parts = [mean(fail(draw()), fail(draw())), mean(fail(draw()), draw()), mean(draw(), draw())]
        (qq, e_qq), (qp, e_qp), (pp, e_pp) = parts
        found.append((qq - 2 * qp + pp, math.sqrt(e_qq**2 + 4 * e_qp**2 + e_pp**2)))
    return found


def check(power, expected):
    for name, (value, error) in zip(NAMES, expected, strict=True):
        assert getattr(power, name) == pytest.approx(value, abs=4 * error), name


@pytest.mark.parametrize("k", [1, 5, 64])
@pytest.mark.parametrize("s2", ["dim", 0.7, 40.0])
def test_closed_forms_of_a_standard_normal(k, s2):
    power = mmd_power(priors.standard_normal(k), bandwidth=s2)
    number = k if s2 == "dim" else s2
    assert values(power) == pytest.approx(by_hand(k, number), rel=1e-9)
    mixture = mmd_power(priors.standard_normal(k), "rbf_mixture", s2)
    expected = np.mean([by_hand(k, c * number) for c in FIVE], axis=0)
    assert values(mixture) == pytest.approx(expected, rel=1e-9)
    two = mmd_power(priors.standard_normal(k), bandwidth=s2, scales=(1.0, 3.0))
    expected = np.mean([by_hand(k, c * number) for c in (1, 3)], axis=0)
    assert values(two) == pytest.approx(expected, rel=1e-9)
    assert "closed form" in power.method


def test_the_original_kernel_is_blind_in_64_dimensions():
    # exp(-|d|^2 / 64^2) = exp(-|d|^2 / (2 s2))
    power = mmd_power(priors.standard_normal(64), bandwidth=64**2 / 2)
    assert power.collapsed == pytest.approx(2.5e-4, rel=0.02)
    assert power.uninformative(5e-4) == (
        "a tolerance of 0.0005 admits codes collapsed to one point, for which this kernel gives "
        "0.00025"
    )
    assert mmd_power(priors.standard_normal(64)).uninformative(5e-4) is None


def test_diagonal_normals():
    loc, scale = [3.0, -1.0, 0.0], [0.5, 1.0, 4.0]
    power = mmd_power(tfd.MultivariateNormalDiag(loc, scale), bandwidth=2.0)
    check(power, by_samples(loc, scale, lambda d: np.exp(-d / 4)))
    side_by_side = blocks.Blocks(
        [
            tfd.MultivariateNormalDiag(loc[:1], scale[:1]),
            tfd.MultivariateNormalDiag(loc[1:], scale[1:]),
        ]
    )
    assert mmd_power(side_by_side, bandwidth=2.0) == power


@pytest.mark.parametrize(("k", "s2"), [(2, 2.0), (16, 16.0), (3, 0.01)])
def test_inverse_multiquadrics(k, s2):
    power = mmd_power(priors.standard_normal(k), "imq", s2)
    check(power, by_samples(np.zeros(k), np.ones(k), lambda d: 1 / (1 + d / (2 * s2))))
    assert sum(kernel_power._rbf_mixture(kernel_power.kernels.kernel("imq"), s2)[0]) == (
        pytest.approx(1)
    )


def test_a_quadrature_is_exact_enough():
    """E 1 / (1 + t) of a point mass and N(0, I): one integral over t, chi square of K = 2."""
    from scipy import integrate

    s2 = 2.0

    def against(variance):
        # |d|^2 / variance is exponential of mean 2
        density = integrate.quad(
            lambda x: math.exp(-x / 2) / 2 / (1 + variance * x / (2 * s2)), 0, np.inf
        )
        return density[0]

    expected = 1 - 2 * against(1) + against(2)
    power = mmd_power(priors.standard_normal(2), "imq", s2)
    assert power.collapsed == pytest.approx(expected, abs=1e-9)


def test_the_median_bandwidth_is_of_each_failure():
    power = mmd_power(priors.standard_normal(6), bandwidth="median", seed=3)
    y = np.random.default_rng(0).normal(size=(1500, 6))
    failures = (0 * y, 2 * np.random.default_rng(1).normal(size=y.shape), y + 0.5)
    for index, q in enumerate(failures):
        s2 = np.median(pdist(np.concatenate([q, y]), "sqeuclidean"))
        # the median of 1000 samples of each, to a few per cent
        assert values(power)[index] == pytest.approx(by_hand(6, s2)[index], rel=0.15)
    assert mmd_power(priors.standard_normal(6), bandwidth="median", seed=3) == power


def test_priors_without_closed_forms(monkeypatch):
    monkeypatch.setattr(kernel_power, "SAMPLES", 1000)
    # a normal of full covariance, rotated: what its own axes make of it
    loc, scale = np.float32([1.0, 0.0]), np.float32([2.0, 0.5])
    turned = np.float32([[0.6, -0.8], [0.8, 0.6]])
    prior = tfd.MultivariateNormalTriL(
        loc, np.linalg.cholesky(turned @ np.diag(scale**2) @ turned.T)
    )
    power = mmd_power(prior, bandwidth=2.0, seed=1)
    assert "U-statistic of 1000" in power.method
    expected = mmd_power(tfd.MultivariateNormalDiag(loc, scale), bandwidth=2.0)
    # a shift is by half of each coordinate's deviation, which no rotation keeps
    for name in NAMES[:2]:
        assert getattr(power, name) == pytest.approx(getattr(expected, name), rel=0.15)
    assert mmd_power(prior, bandwidth=2.0, seed=1) == power
    images = np.random.default_rng(0).normal(size=(1000, 2, 2, 1))
    for kernel in ("rbf", "imq"):
        drawn, closed = (mmd_power(p, kernel) for p in (images, priors.standard_normal(4)))
        assert values(drawn) == pytest.approx(values(closed), rel=0.15)


def test_what_a_tolerance_admits():
    power = KernelPower(1e-3, 2e-3, 3e-3, "")
    assert power.uninformative(0.9e-3) is None
    assert power.uninformative(1e-3) == (
        "a tolerance of 0.001 admits codes collapsed to one point, for which this kernel gives "
        "0.001"
    )
    assert power.uninformative(1.0) == (
        "a tolerance of 1 admits codes collapsed to one point, for which this kernel gives 0.001, "
        "codes twice as wide as the prior, for which this kernel gives 0.002, and codes shifted by "
        "half a standard deviation, for which this kernel gives 0.003"
    )
    assert "codes shifted" in KernelPower(1.0, 1.0, 0.1, "").uninformative(0.5)


def test_options_and_priors_that_say_nothing():
    prior = priors.standard_normal(2)
    with pytest.raises(InputError, match="Unknown kernel 'rfb'"):
        mmd_power(prior, "rfb")
    with pytest.raises(InputError, match="Bandwidth -1"):
        mmd_power(prior, bandwidth=-1)
    with pytest.raises(InputError, match="draws nothing"):
        mmd_power(priors.Empirical((2,)))
    with pytest.raises(InputError, match="are 3 samples"):
        mmd_power(np.zeros((3, 2)))
