"""Running means of the values that a step logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("zoo", name="Means")
class RunningMeans(keras.metrics.Metric):
    """Means over examples of several numbers, stored in one vector.

        mean_i = sum_b n_b v_bi / sum_b n_b,   batch b of n_b examples

    A step needs one update for all; a keras.metrics.Mean needs two for each.
    """

    def __init__(self, names: Sequence[str], name: str = "means", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.names = tuple(names)
        self.total = self.add_variable((len(self.names),), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, values: Mapping[str, Any], examples: Any) -> None:
        """Adds scalars by name, each the mean of `examples` examples; missing names add 0."""
        row = [tf.cast(values.get(name, 0.0), tf.float32) for name in self.names]
        weight = tf.cast(examples, tf.float32)
        self.total.assign(self.total + weight * tf.stack(row))
        self.count.assign(self.count + weight)

    def result(self) -> dict[str, Any]:
        """Returns the means by name; 0 before the first batch."""
        means = tf.math.divide_no_nan(self.total.value, self.count.value)
        return dict(zip(self.names, tf.unstack(means), strict=True))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "names": self.names}
