"""A user's own networks that read a condition, and a critic of images that does."""

import keras
from keras import layers


def network(outputs, *inputs):
    parts = [keras.Input(shape) for shape in inputs]
    flat = layers.Concatenate()([layers.Flatten()(part) for part in parts])
    return keras.Model(parts, layers.Dense(outputs)(layers.Dense(16, "relu")(flat)))


def encoder(image_shape, outputs, *, condition_shape=None):
    return network(outputs, image_shape, condition_shape)


def decoder(latent_dim, image_shape, params, *, condition_shape=None):
    model = network(64 * params, (latent_dim,), condition_shape)
    return keras.Model(model.inputs, layers.Reshape((8, 8, params))(model.output))


def critic_xz(image_shape, latent_dim, *, condition_shape=None):
    return network(1, image_shape, (latent_dim,), condition_shape)
