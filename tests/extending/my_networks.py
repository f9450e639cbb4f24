"""A user's own networks: Functional and subclassed Keras models."""

from math import prod

import keras
from keras import layers


def encoder(image_shape, outputs, *, width=16):
    x = keras.Input(image_shape)
    h = layers.Dense(width, "relu")(layers.Flatten()(x))
    return keras.Model(x, layers.Dense(outputs)(h))


@keras.saving.register_keras_serializable("my_networks")
class Net(keras.Model):
    def __init__(self, shape=(1,), **options):
        super().__init__(**options)
        self.flat, self.hidden = layers.Flatten(), layers.Dense(16, "relu")
        self.last, self.shaped = layers.Dense(prod(shape)), layers.Reshape(shape)

    def call(self, inputs):  # [B, ...], or a list [x, z] of them
        parts = inputs if isinstance(inputs, list) else [inputs]
        flat = keras.ops.concatenate([self.flat(part) for part in parts], axis=1)
        return self.shaped(self.last(self.hidden(flat)))

    def get_config(self):
        return {"shape": self.shaped.target_shape}
