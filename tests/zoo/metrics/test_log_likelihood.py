"""log p(x) by importance sampling, against a linear Gaussian model's."""

import math

import numpy as np
import pytest
import tensorflow as tf
from interval_coverage import of_weights
from linear_gaussian import LinearGaussian, encoder_off

from zoo.distributions.conditionals import ImplicitConditional, stateless_seed
from zoo.errors import InputError
from zoo.metrics import importance_sampling, log_likelihood, posterior_accuracy
from zoo.metrics.log_joint import check_continuous, check_densities, log_joint
from zoo.metrics.measured import Measured

SLOW = {"jit_compile": False}  # a compilation costs more than these few images


def within(found, truth, errors=4):
    low, high = found.interval
    return abs(found.value - truth) < errors * (high - low) / 2 / 1.96


def test_closed_form():
    model = LinearGaussian(spread=1.2, shift=0.3, widen=1.3)
    x = model.data(400)
    found = importance_sampling(model, x, 1000, **SLOW)
    assert found.samples == 1024
    # sd of log mean w ~= sqrt((1/ESS - 1/S)): 0.026 for an ESS of 600, five of them for the worst
    np.testing.assert_allclose(found.log_likelihood, model.log_p(x), atol=0.15)
    assert np.mean(found.log_likelihood - model.log_p(x)) == pytest.approx(0, abs=0.01)
    assert within(found.measured, model.log_likelihood)
    assert within(found.posterior_accuracy, model.posterior_accuracy)
    assert np.all(found.elbo <= found.log_likelihood)
    assert found.measured.notes == ()
    assert found.measured.size == 400


def test_the_true_posterior_is_exact():
    # w is the same for every z: one draw is enough.
    model = LinearGaussian()
    x = model.data(40)
    found = importance_sampling(model, x, samples=3, **SLOW)
    # float32 densities of size 10
    np.testing.assert_allclose(found.log_likelihood, model.log_p(x), atol=1e-4)
    np.testing.assert_allclose(found.elbo, model.log_p(x), atol=1e-4)
    np.testing.assert_allclose(found.effective, 3, atol=1e-3)
    assert found.posterior_accuracy.value == pytest.approx(0, abs=1e-5)
    # Three draws cannot know that; ten can.
    assert "3 draws are too few to estimate it" in found.measured.notes[0]
    found = importance_sampling(model, x, samples=10, **SLOW)
    assert found.bias.value == pytest.approx(0, abs=1e-5)
    for measured in (found.measured, found.posterior_accuracy):
        assert measured.notes == ()
        assert math.isfinite(measured.interval[1])


def test_blocks_and_steps_are_one_sum():
    # 96 draws at once and in three steps of 32: another noise, the same mean.
    model = LinearGaussian(widen=1.1)
    x = model.data(100)
    whole = importance_sampling(model, x, 96, rows=96 * 32, **SLOW)
    steps = importance_sampling(model, x, 96, rows=32 * 32, **SLOW)
    assert whole.samples == steps.samples == 96
    np.testing.assert_allclose(whole.log_likelihood, steps.log_likelihood, atol=0.2)
    # 100 examples of sd 0.02
    assert np.mean(whole.elbo - steps.elbo) == pytest.approx(0, abs=0.01)
    assert np.mean(whole.effective) == pytest.approx(np.mean(steps.effective), rel=0.02)
    batches = importance_sampling(model, [x[:64], x[64:]], 96, rows=96 * 32, **SLOW)
    np.testing.assert_array_equal(batches.log_likelihood, whole.log_likelihood)


def test_compiled_it_is_the_same_estimate():
    model = LinearGaussian(widen=1.2)
    x = model.data(32)
    found = importance_sampling(model, x, 512)
    np.testing.assert_allclose(found.log_likelihood, model.log_p(x), atol=0.15)


@pytest.mark.parametrize(("k", "draws"), [(5, 1), (5, 10), (5, 500), (20, 10), (20, 500)])
def test_with_a_poor_encoder_it_is_a_bound(k, draws):
    model = LinearGaussian(k=k, d=k + 3, noise=0.3, shift=0.7)
    x = model.data(40)
    found = importance_sampling(model, x, draws, **SLOW)
    missing = float(np.mean(model.log_p(x) - found.log_likelihood))
    assert missing > 1
    # What was once reported as its bias is at most a half.
    assert np.mean(1 / found.effective - 1 / found.samples) / 2 < 0.5
    assert found.bias.value is None
    for measured, truth in (
        (found.measured, model.log_likelihood),
        (found.posterior_accuracy, model.posterior_accuracy),
    ):
        low, high = measured.interval
        assert low < truth - 0.5
        assert high == math.inf
        assert measured.notes[0].startswith("log p(x) is underestimated, by an unknown amount: ")
        assert "nats" not in measured.notes[0]


def test_the_bias_that_is_reported_is_the_bias():
    model = encoder_off(5, 1.5, 1.0)
    x = model.data(2000)
    found = importance_sampling(model, x, 128, **SLOW)
    # 0.024 nats, of which 2000 examples leave noise of 0.005
    missing = float(np.mean(model.log_p(x) - found.log_likelihood))
    assert found.bias.value == pytest.approx(missing, abs=0.015)
    assert found.bias.value == pytest.approx(0.024, abs=0.015)
    assert f"by about {found.bias.value:.2g} nats" in found.measured.notes[0]
    assert found.posterior_accuracy.notes == found.measured.notes
    noise = Measured.of_mean(found.log_likelihood, "").interval
    assert found.measured.interval[0] == noise[0]
    assert found.measured.interval[1] > noise[1] + found.bias.value


def test_blocks_hold_the_draws():
    model = encoder_off(2, 1.0, 1.0)
    x = model.data(32)
    found = importance_sampling(model, x, 30, seed=5, rows=10 * 32, **SLOW)
    posterior = model.encode(x)
    log_w = []
    for step in range(3):
        z = posterior.sample(10, seed=tf.random.fold_in(stateless_seed([5, 0]), step))
        log_w.append(tf.add_n(log_joint(model, tf.constant(x), z)) - posterior.log_prob(z))
    expected = of_weights(np.concatenate(log_w).astype(np.float64))
    for name in ("log_likelihood", "elbo", "effective", "rises"):
        # float32 densities of size 10
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-4)


def test_weights_beyond_any_float():
    # log p(x|z) of -2e6 nats: exp of it is 0.
    model = LinearGaussian(noise=0.001)
    x = model.data(8) + 1.0
    found = importance_sampling(model, x, 32, **SLOW)
    # densities of size 2e6 have float32 errors of 0.1, and the means of z with noise of 1e-3 more
    np.testing.assert_allclose(found.log_likelihood, model.log_p(x), rtol=1e-3)
    assert np.all(np.isfinite(found.effective))


def test_the_measures_of_it():
    model = LinearGaussian(widen=1.2)
    x = model.data(32)
    found = importance_sampling(model, x, 64, seed=3, **SLOW)
    assert log_likelihood(model, x, samples=64, seed=3, **SLOW) == found.measured
    assert posterior_accuracy(model, x, samples=64, seed=3, **SLOW) == found.posterior_accuracy


def test_the_joint():
    model = LinearGaussian()
    x = tf.constant(model.data(3))
    z = tf.random.stateless_normal([4, 3, 2], [0, 0])
    log_likelihood, log_prior = log_joint(model, x, z)
    for s in range(4):
        expected = model.decode(z[s]).log_prob(x)
        np.testing.assert_allclose(log_likelihood[s], expected, rtol=1e-6)
    expected = -0.5 * np.sum(z**2, axis=2) - math.log(2 * math.pi)
    np.testing.assert_allclose(log_prior, expected, rtol=1e-5)


def test_of_a_model(small, images):
    model = small("vae", compiled=False)
    found = importance_sampling(model, images, 64, **SLOW)
    assert found.log_likelihood.shape == (24,)
    assert np.all(found.log_likelihood > found.elbo)
    # Its ELBO is the one that is trained, on 64 draws in place of one.
    values = model.term_values(tf.constant(images), [0, 0])
    expected = -float(values["REC_x"] + values["RATE"])
    assert found.elbo.mean() == pytest.approx(expected, rel=0.05)


def test_what_has_no_likelihood(small, images):
    model = LinearGaussian()
    with pytest.raises(InputError, match="are no images for"):
        importance_sampling(model, [], **SLOW)
    with pytest.raises(InputError, match="of 0 draws in blocks of 4096 rows"):
        importance_sampling(model, model.data(3), samples=0)
    implicit = small("avb", compiled=False)
    if isinstance(implicit.encoder, ImplicitConditional):
        with pytest.raises(InputError, match="The encoder has no density"):
            check_densities(implicit, tf.constant(images[:1]))
    coded = small("vae", compiled=False, latents="categorical(3)")
    check_densities(coded, tf.constant(images[:1]))
    with pytest.raises(InputError, match="discrete or bounded: use importance sampling"):
        check_continuous(coded, tf.constant(images[:1]))
