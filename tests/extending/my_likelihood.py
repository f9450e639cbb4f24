"""A likelihood of one's own: grey in four levels, each as likely as the network says; no mean."""

import tensorflow as tf
import tensorflow_probability as tfp

from zoo.distributions import likelihoods

LEVELS = 4


class Grey(tfp.distributions.Categorical):
    """A pixel k / 3 of probability softmax(logits)_k, where a Categorical has k itself."""

    def _log_prob(self, x):
        return super()._log_prob(tf.round(x * (LEVELS - 1)))

    def _sample_n(self, n, seed=None):
        return super()._sample_n(n, seed) / (LEVELS - 1)


@likelihoods.register
class Levels(likelihoods.Likelihood):
    name = "levels"
    params_per_element = LEVELS
    has_mean = False  # a Categorical's is that of k

    def distribution(self, params, raw_scale=None):
        *sizes, last = params.shape[1:]
        logits = tf.reshape(params, [-1, *sizes, last // LEVELS, LEVELS])
        return tfp.distributions.Independent(Grey(logits, dtype=tf.float32), len(sizes) + 1)
