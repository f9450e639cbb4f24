"""Implicit conditionals: samples of a known distribution, their moments, XLA, saving."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from zoo import errors, priors, terms
from zoo.distributions.conditionals import ImplicitConditional
from zoo.distributions.implicit import Implicit

X = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
SCALE = np.float32([0.5, 2.0])


def linear(dropout=0.0):
    """Returns the network z = W x + s e, and W."""
    x, noise = keras.Input((3,)), keras.Input((2,))
    mean = keras.layers.Dense(2, use_bias=False, name="mean")(x)
    scaled = keras.layers.Dense(
        2, use_bias=False, kernel_initializer=keras.initializers.Constant(np.diag(SCALE))
    )(noise)
    z = keras.layers.Add()([mean, scaled])
    z = keras.layers.Dropout(dropout, seed=0)(z)
    return keras.Model([x, noise], z, name="linear")


def weights(network):
    return network.get_layer("mean").kernel.numpy()


def many(q, n):
    """Returns n samples for each of X, as an array."""
    return tf.function(lambda x: q(x).sample(n, seed=(1, 2)))(X).numpy()


def nonlinear():
    x, noise = keras.Input((3,)), keras.Input((4,))
    hidden = keras.layers.Dense(16, "tanh")(keras.layers.Concatenate()([x, noise]))
    return keras.Model([x, noise], keras.layers.Dense(2)(hidden))


def test_samples_are_what_the_network_makes_of_noise():
    q = ImplicitConditional(linear(), 2)
    assert not q.has_density
    assert (q.kind, q.event_shape, q.condition_shape) == ("implicit", (2,), (3,))
    posterior = q(X)
    assert isinstance(posterior, tfp.distributions.Distribution)
    assert (posterior.batch_shape, posterior.event_shape) == ((5,), (2,))
    assert posterior.sample(seed=(1, 2)).shape == (5, 2)
    assert posterior.sample([2, 3], seed=(1, 2)).shape == (2, 3, 5, 2)
    z = many(q, 2000)
    # Five standard errors, of a mean and of a standard deviation.
    np.testing.assert_allclose(z.mean(0), X @ weights(q.network), atol=5 * 2 / np.sqrt(2000))
    np.testing.assert_allclose(z.std(0), SCALE + 0 * z[0], rtol=5 / np.sqrt(2 * 2000))
    noise = (z - X @ weights(q.network)) / SCALE
    correlation = np.corrcoef(noise.reshape(2000, 10).T) - np.eye(10)
    assert np.max(np.abs(correlation)) < 5 / np.sqrt(2000)


def test_relaxed_sample_is_a_sample_and_reparameterised():
    q = ImplicitConditional(linear(), 2)
    with tf.GradientTape() as tape:
        z = q.relaxed_sample(q(X), np.int64([1, 2]))
        total = tf.reduce_sum(z)
    np.testing.assert_array_equal(z, q(X).sample(seed=(1, 2)))
    assert np.any(z != q.relaxed_sample(q(X), (1, 3)))
    gradient = tape.gradient(total, q.network.get_layer("mean").kernel)
    np.testing.assert_allclose(gradient, np.repeat(X.sum(0)[:, None], 2, 1), rtol=1e-5)


def test_moments_are_exact_where_the_network_is_linear():
    q = ImplicitConditional(linear(), 2)
    np.testing.assert_allclose(q.mean(X), X @ weights(q.network), atol=1e-6)
    np.testing.assert_allclose(q(X).stddev(), SCALE + 0 * q.mean(X), rtol=1e-5)
    np.testing.assert_allclose(q(X).variance(), SCALE**2 + 0 * q.mean(X), rtol=1e-5)


@pytest.mark.parametrize("draws", [16, 256])
def test_moments_where_it_is_not(draws):
    q = ImplicitConditional(nonlinear(), 4, draws)
    z, posterior = many(q, 4000), q(X)
    # Four standard errors of that many draws, and those of the 4000 are less.
    scale = z.std(0).max()
    np.testing.assert_allclose(posterior.mean(), z.mean(0), atol=4 * scale / np.sqrt(draws))
    np.testing.assert_allclose(posterior.stddev(), z.std(0), atol=4 * scale / np.sqrt(2 * draws))


@pytest.mark.parametrize("batch", [5, None])
def test_under_tf_function(batch):
    q = ImplicitConditional(nonlinear(), 4)

    # XLA knows every shape when it compiles, whatever the signature says.
    @tf.function(jit_compile=True, input_signature=[tf.TensorSpec([batch, 3]), tf.TensorSpec([2])])
    def values(x, seed):
        with tf.GradientTape() as tape:
            posterior = q(x, training=True)
            z = q.relaxed_sample(posterior, tf.cast(seed, tf.int32))
            loss = tf.reduce_sum(z**2)
        gradients = tape.gradient(loss, q.trainable_variables)
        return posterior.mean(), posterior.stddev(), z, gradients

    mean, stddev, z, gradients = values(X, np.float32([1, 2]))
    assert z.shape == (5, 2)
    for gradient in gradients:
        assert np.all(np.isfinite(gradient))
        assert np.any(gradient != 0)
    # The draws of the moments are the same under XLA; the products are rounded in another order.
    np.testing.assert_allclose(mean, q.mean(X), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(stddev, q(X).stddev(), rtol=1e-4, atol=1e-5)


def test_several_samples_under_xla():
    q = ImplicitConditional(linear(), 2)
    draw = tf.function(lambda x, seed: q(x).sample(300, seed=seed), jit_compile=True)
    z = draw(tf.constant(X), tf.constant([1, 2]))
    # Five standard errors.
    np.testing.assert_allclose(np.mean(z, 0), X @ weights(q.network), atol=5 * 2 / np.sqrt(300))


def test_training_reaches_the_network():
    q = ImplicitConditional(linear(dropout=0.5), 2)
    assert np.any(q(X, training=True).sample(seed=(1, 2)) == 0)
    assert not np.any(q(X).sample(seed=(1, 2)) == 0)


def test_there_is_no_density():
    posterior = ImplicitConditional(linear(), 2)(X)
    with pytest.raises(errors.InputError, match=r"no log density.*RATE_ratio in place of RATE"):
        posterior.log_prob(np.zeros((5, 2), np.float32))
    with pytest.raises(errors.InputError, match="no log density"):
        terms.rate(posterior, priors.standard_normal(2), z=posterior.sample(seed=(1, 2)))


def test_config_and_weights_round_trip():
    q = ImplicitConditional(linear(), 2, draws=8, name="encoder")
    read = ImplicitConditional.from_config(json.loads(json.dumps(q.get_config())))
    read.set_weights(q.get_weights())
    assert (read.name, read.noise_dim, read.draws) == ("encoder", 2, 8)
    np.testing.assert_array_equal(q(X).sample(seed=(1, 2)), read(X).sample(seed=(1, 2)))
    config = keras.saving.serialize_keras_object(q)
    assert config["registered_name"] == "zoo>ImplicitConditional"


def test_what_is_refused():
    with pytest.raises(errors.InputError, match=r"takes the condition and 3 numbers of noise"):
        ImplicitConditional(linear(), 3)
    alone = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(errors.InputError, match="takes the condition and 2 numbers"):
        ImplicitConditional(alone, 2)
    with pytest.raises(errors.InputError, match="noise_dim of an ImplicitConditional is 0"):
        ImplicitConditional(linear(), 0)
    with pytest.raises(errors.InputError, match="draws of an ImplicitConditional is 1"):
        ImplicitConditional(linear(), 2, draws=1)
    with pytest.raises(errors.InputError, match=r"ImplicitConditional .* call its \.network"):
        ImplicitConditional(linear(), 2)(keras.Input((3,)))


def test_push_may_be_any_function():
    q = Implicit(lambda e: 1.0 + 2.0 * e, batch_size=3, event_shape=(2,), noise_dim=2)
    np.testing.assert_allclose(q.mean(), np.ones((3, 2)), rtol=1e-5)
    np.testing.assert_allclose(q.stddev(), np.full((3, 2), 2.0), rtol=1e-5)
