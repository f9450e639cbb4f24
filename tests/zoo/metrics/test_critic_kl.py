"""The critic's marginal KL between normals, and where it cannot be told."""

import math

import numpy as np
import pytest

from zoo import priors
from zoo.errors import InputError
from zoo.metrics import critic_kl, marginal_kl_by_critic


def draws(n, mean, scale, seed=0):
    return np.random.default_rng(seed).normal(mean, scale, (n, 2)).astype(np.float32)


def test_closed_form():
    mean, scale = 0.8, 0.5
    # KL(N(m, s^2)||N(0, 1)) in each of two dimensions
    truth = scale**2 + mean**2 - 1 - 2 * np.log(scale)
    found = marginal_kl_by_critic(draws(2000, mean, scale), priors.standard_normal(2), rounds=12)
    low, high = found.interval
    # Too low by what the critic misses, a few hundredths; two intervals wide
    assert found.value == pytest.approx(truth, abs=4 * (found.value - low) + 0.05)
    assert 0 < found.value - low < 0.12
    assert low < truth
    assert high == math.inf
    assert found.ceiling == pytest.approx(np.log(1000))
    assert len(found.notes) == 1


def test_what_the_critic_misses_is_not_bounded():
    # 16 narrow clusters, which so few codes do not show: in each dimension, with z of variance 1,
    # KL = 1/2 log 2 pi e - H, and H that of two normals that do not overlap
    k, scale = 4, 0.2
    random = np.random.default_rng(0)
    centres = random.choice([-1.0, 1.0], (200, k)) * math.sqrt(1 - scale**2)
    z = centres + scale * random.normal(size=(200, k))
    truth = k * (-math.log(scale) - math.log(2))
    found = marginal_kl_by_critic(z, priors.standard_normal(k), rounds=20)
    # Read on the codes it was fitted to, the critic once said less than 3.5 here.
    assert found.value < truth - 0.3
    assert found.interval[0] < truth < found.interval[1]


@pytest.mark.parametrize(("mean", "scale"), [(4.0, 0.1), (3.0, 1.0), (8.0, 1.0)])
def test_it_never_exceeds_what_samples_of_the_prior_can_show(mean, scale):
    # At mean 4 the uncut value is 26 nats, 6 above the truth: no sample is where T is large.
    truth = scale**2 + mean**2 - 1 - 2 * np.log(scale)
    found = marginal_kl_by_critic(draws(400, mean, scale), priors.standard_normal(2), rounds=8)
    assert found.interval[0] < found.value <= found.ceiling + 1e-9 < truth
    assert "too far apart for this estimate, which stops at 6.91" in found.notes[1]


def test_the_cut():
    t = np.random.default_rng(0).normal(size=5000)
    # No weight has a hundredth of the sum: above all of them
    cut = critic_kl._cut(t)
    assert cut > t.max()
    assert math.exp(cut) == pytest.approx(0.01 * np.exp(t).sum())
    t[:7] = 50.0, 40.0, 30.0, 20.0, 12.0, 11.0, 5.0
    cut = critic_kl._cut(t)
    assert 3.0 < cut < 11.0
    assert math.exp(cut) == pytest.approx(0.01 * np.exp(np.minimum(t, cut)).sum())


def test_nothing_to_tell_apart():
    found = marginal_kl_by_critic(draws(800, 0.0, 1.0), priors.standard_normal(2), rounds=4)
    assert found.value == pytest.approx(0.0, abs=0.05)


def test_too_few_codes():
    with pytest.raises(InputError, match="on 39 codes"):
        marginal_kl_by_critic(draws(39, 0.0, 1.0), priors.standard_normal(2))
