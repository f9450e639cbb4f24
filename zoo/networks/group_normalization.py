"""Group normalisation with few passes over memory."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

GROUPS = 8


@keras.saving.register_keras_serializable("zoo")
class GroupNormalization(keras.layers.GroupNormalization):
    """keras.layers.GroupNormalization of features [B, H, W, F], in fewer passes over memory.

        y = gamma (x - mean_G) / sqrt(var_G + epsilon) + beta,   var_G = E_G x^2 - mean_G^2

    with mean_G and var_G over H, W and the F / groups maps of a group. Wu and He 2018, equation 1.
    Sums are over each map, and one product and one sum normalise it; Keras instead reshapes the
    maps of every pixel into groups.
    """

    def call(self, inputs: Any) -> Any:
        batch, maps = tf.shape(inputs)[0], inputs.shape[-1]

        def of_groups(of_maps: Any) -> Any:
            grouped = tf.reshape(of_maps, [-1, self.groups, maps // self.groups])
            return tf.reduce_mean(grouped, axis=2, keepdims=True)

        def of_maps(of_groups: Any) -> Any:
            whole = [batch, self.groups, maps // self.groups]
            return tf.reshape(tf.broadcast_to(of_groups, whole), [-1, 1, 1, maps])

        mean = of_groups(tf.reduce_mean(inputs, axis=[1, 2]))
        variance = of_groups(tf.reduce_mean(inputs**2, axis=[1, 2])) - mean**2
        # rounding can make a variance negative if it is far below the squared mean
        inverse = tf.math.rsqrt(tf.maximum(variance, 0.0) + self.epsilon)
        scale = of_maps(inverse) * self.gamma
        return inputs * scale + (self.beta - of_maps(mean) * scale)


def in_groups(features: Any, name: str, groups: int = GROUPS) -> Any:
    """Returns features [B, H, W, F] normalised in `groups` groups, or the most that divide F."""
    fitting = math.gcd(groups, features.shape[-1])
    return GroupNormalization(groups=fitting, name=f"{name}_norm")(features)
