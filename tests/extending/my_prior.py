"""A prior of one's own: a normal whose mean and scales are learned."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from zoo.priors import Prior

tfd = tfp.distributions


@keras.saving.register_keras_serializable("mine")
class LearnedNormal(Prior):
    """p(z) = N(z; m, diag(s^2)),   s = 0.01 + softplus(r)."""

    def make(self, encoder):
        shape = encoder.event_shape
        self.mean = self.add_weight(name="mean", shape=shape, initializer="zeros")
        self.raw = self.add_weight(name="raw", shape=shape, initializer="zeros")

    def call(self):
        mean, raw = tf.convert_to_tensor(self.mean), tf.convert_to_tensor(self.raw)
        return tfd.MultivariateNormalDiag(mean, 0.01 + tf.math.softplus(raw))
