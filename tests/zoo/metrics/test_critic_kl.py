"""The critic's marginal KL between normals, and where it cannot be told."""

import numpy as np
import pytest

from zoo import priors
from zoo.errors import InputError
from zoo.metrics import marginal_kl_by_critic


def draws(n, mean, scale, seed=0):
    return np.random.default_rng(seed).normal(mean, scale, (n, 2)).astype(np.float32)


def test_closed_form():
    mean, scale = 0.8, 0.5
    # KL(N(m, s^2)||N(0, 1)) in each of two dimensions
    truth = scale**2 + mean**2 - 1 - 2 * np.log(scale)
    found = marginal_kl_by_critic(draws(2000, mean, scale), priors.standard_normal(2), rounds=12)
    low, high = found.interval
    # Too low by what the critic misses, a few hundredths; two intervals wide
    assert found.value == pytest.approx(truth, abs=high - low + 0.05)
    assert high - low < 0.25
    assert found.ceiling == pytest.approx(np.log(100_000))
    assert len(found.notes) == 1


def test_nothing_to_tell_apart():
    found = marginal_kl_by_critic(draws(800, 0.0, 1.0), priors.standard_normal(2), rounds=4)
    assert found.value == pytest.approx(0.0, abs=0.05)


def test_too_far_apart_is_said():
    # 2 x 32 nats: no sample of the prior is anywhere near.
    found = marginal_kl_by_critic(draws(400, 8.0, 1.0), priors.standard_normal(2), rounds=8)
    assert "too far apart" in found.notes[1]


def test_too_few_codes():
    with pytest.raises(InputError, match="on 39 codes"):
        marginal_kl_by_critic(draws(39, 0.0, 1.0), priors.standard_normal(2))
