"""Annealed importance sampling against closed forms, and its bracket around the truth."""

import math

import numpy as np
import pytest
from linear_gaussian import LinearGaussian, encoder_off

from zoo.errors import InputError
from zoo.metrics import Annealing, annealed_importance_sampling, bracket

SLOW = {"jit_compile": False}  # a compilation costs more than these few images


@pytest.mark.parametrize("start", ["posterior", "prior"])
def test_closed_form(start):
    model = LinearGaussian(widen=1.3, shift=0.3)
    x = model.data(16)
    annealing = Annealing(chains=16, temperatures=50, start=start, **SLOW)
    found = annealed_importance_sampling(model, x, annealing)
    # The spread of log w is about 0.3 from q(z|x), 0.8 from p(z): over 16 chains a quarter of it.
    error = np.sqrt((1 / found.effective - 1 / 16) + 0.02**2)
    assert np.all(np.abs(found.log_likelihood - model.log_p(x)) < 5 * error)
    assert np.mean(found.log_likelihood - model.log_p(x)) == pytest.approx(0, abs=0.12)
    assert 0.55 < found.acceptance < 0.75
    assert found.mean.notes == ()
    assert found.measured.size == 16
    assert f"from the {start}" in found.measured.estimator


def test_where_importance_sampling_fails():
    # q(z|x) is off by two to five deviations: of 16 weights one counts; annealed, most do.
    model = LinearGaussian(k=3, noise=0.2, shift=0.6)
    x = model.data(8)
    found = annealed_importance_sampling(
        model, x, Annealing(chains=16, temperatures=100, leapfrog=4, **SLOW)
    )
    z = model.encode(x).sample(16, seed=[0, 0])
    log_w = model.decode(z).log_prob(x) + model.prior.log_prob(z) - model.encode(x).log_prob(z)
    plain = np.logaddexp.reduce(np.asarray(log_w, np.float64), axis=0) - np.log(16)
    assert np.mean(model.log_p(x) - plain) > 3
    assert np.abs(np.mean(found.log_likelihood - model.log_p(x))) < 0.5


def test_few_chains_give_a_bound():
    model = LinearGaussian(widen=1.3, shift=0.3)
    x = model.data(8)
    found = annealed_importance_sampling(model, x, Annealing(8, 5, 2, **SLOW))
    low, high = found.measured.interval
    assert low == found.mean.interval[0]
    assert high == math.inf
    assert "unknown amount: 8 chains are too few to estimate it" in found.measured.notes[0]


def test_many_chains_tell_their_bias():
    model = encoder_off(2, 1.5, 1.0)
    x = model.data(400)
    found = annealed_importance_sampling(model, x, Annealing(64, 3, 2, **SLOW))
    missing = float(np.mean(model.log_p(x) - found.log_likelihood))
    told = found.measured
    # 0.02 nats, of which 400 examples leave noise of a half
    assert found.bias.value == pytest.approx(missing, abs=0.02)
    assert 0.003 < found.bias.value < 0.06
    assert f"by about {found.bias.value:.2g} nats" in told.notes[0]
    assert told.interval[0] < model.log_likelihood < told.interval[1] < math.inf
    assert told.interval[1] > found.mean.interval[1] + found.bias.value


def test_the_bracket_contains_the_truth():
    model = LinearGaussian(noise=0.3, shift=0.4, widen=1.3)
    few = bracket(model, 16, Annealing(chains=4, temperatures=3, **SLOW))
    many = bracket(model, 16, Annealing(chains=4, temperatures=50, **SLOW))
    # The same 16 images
    z = model.prior.sample(16, seed=[0, 1])
    truth = model.log_p(model.decode(z).sample(seed=[0, 2])).mean()
    for found in (few, many):
        # Bounds of expectations: 64 chains leave noise of 0.1 at 3 temperatures, 0.02 at 50
        assert found.lower.value - 0.25 < truth < found.upper.value + 0.25
        # ... and they say so: of neither does noise bound the other side.
        assert found.lower.interval[1] == math.inf
        assert found.upper.interval[0] == -math.inf
        assert found.lower.interval[0] < truth < found.upper.interval[1]
    assert -0.1 < many.gap < 0.3 * few.gap
    assert many.lower.value == pytest.approx(truth, abs=0.1)
    assert many.upper.value == pytest.approx(truth, abs=0.1)


def test_the_schedule():
    betas = Annealing(temperatures=10).betas
    assert (betas[0], betas[-1], len(betas)) == (0.0, 1.0, 11)
    steps = np.diff(betas)
    assert np.all(steps > 0)
    # slow at both ends
    assert np.argmax(steps) in (4, 5)
    assert steps[0] == pytest.approx(steps[-1], rel=1e-4)


def test_of_a_model(small, images):
    model = small("vae", compiled=False)
    annealing = Annealing(chains=2, temperatures=10, leapfrog=2, **SLOW)
    found = annealed_importance_sampling(model, images[:4], annealing)
    assert np.all(np.isfinite(found.log_likelihood))


def test_what_is_refused(small, images):
    model = LinearGaussian()
    with pytest.raises(InputError, match="start of annealing 'post'"):
        Annealing(start="post")
    with pytest.raises(InputError, match="temperatures is 0"):
        Annealing(temperatures=0)
    with pytest.raises(InputError, match="are no images for"):
        annealed_importance_sampling(model, [])
    with pytest.raises(InputError, match="images for a bracket is 0"):
        bracket(model, 0)
    bounded = small("vae", compiled=False, latents="uniform(3)")
    with pytest.raises(InputError, match="discrete or bounded"):
        annealed_importance_sampling(bounded, images)
