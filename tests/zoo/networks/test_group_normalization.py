"""Group normalisation against its formula and Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.networks.group_normalization import GroupNormalization

# float32 sums of some hundred numbers, of which a variance is a difference
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def features(loc=1.0, scale=2.0):
    return np.random.default_rng(0).normal(loc, scale, (3, 5, 4, 8)).astype(np.float32)


def filled(layer, x):
    layer.build(x.shape)
    rng = np.random.default_rng(1)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    return layer


def test_the_formula():
    x = features()
    layer = filled(GroupNormalization(groups=2, epsilon=0.1), x)
    gamma, beta = layer.get_weights()
    of_group = x.reshape(3, 5, 4, 2, 4)
    mean = of_group.mean((1, 2, 4), keepdims=True)
    std = np.sqrt(of_group.var((1, 2, 4), keepdims=True) + 0.1)
    expected = ((of_group - mean) / std).reshape(x.shape) * gamma + beta
    np.testing.assert_allclose(layer(x), expected, **CLOSE)


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_values_and_gradients_are_those_of_keras(groups):
    x = tf.constant(features())
    ours = filled(GroupNormalization(groups=groups), x)
    theirs = filled(keras.layers.GroupNormalization(groups=groups), x)
    found = []
    for layer in (ours, theirs):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(tf.sin(y))
        variables = [v.value for v in layer.trainable_variables]
        found.append([y, *tape.gradient(loss, [x, *variables])])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, **CLOSE)


def test_constant_maps_far_from_zero_stay_finite():
    x = np.full((2, 7, 7, 8), 1000.1, np.float32)
    # beta, which is 0, and what rounding leaves of 1000.1 - 1000.1 over sqrt(epsilon)
    np.testing.assert_allclose(GroupNormalization(groups=2)(x), 0.0, atol=0.1)


def test_any_size_and_number_of_images():
    layer = GroupNormalization(groups=2)
    network = keras.Sequential([keras.Input((None, None, 4)), layer])
    for shape in ((1, 2, 3, 4), (5, 7, 2, 4)):
        x = np.random.default_rng(0).random(shape, dtype=np.float32)
        # one network takes both
        np.testing.assert_allclose(tf.reduce_mean(network(x)), 0.0, atol=1e-5)
