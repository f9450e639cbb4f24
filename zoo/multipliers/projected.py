"""Projected gradient ascent."""

from __future__ import annotations

import keras
import tensorflow as tf

from zoo.multipliers.base import MultiplierRule, Violation


@keras.saving.register_keras_serializable("zoo")
class ProjectedAscent(MultiplierRule):
    """Gradient ascent on the multipliers, projected to the clip; the default for alpha >= 0.

        mu <- clip( mu + rate xi, lower, upper )

    [U] algorithm 1, with the projection that it omits. If the Lagrangian is not convex in the model
    (alpha < 0, where [U] theorem 2 fails) there may be no saddle point, and ascent can cycle.
    """

    def moved(self, mu: tf.Tensor, g: Violation) -> tf.Tensor:
        # mu + rate xi
        return mu + self.rate * g.average
