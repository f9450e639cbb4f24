"""How learned multipliers move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo.errors import InputError


@keras.saving.register_keras_serializable("zoo")
class ProjectedAscent(keras.layers.Layer):
    """Projected gradient ascent on the multipliers, [U] algorithm 1 with the projection it omits.

        lambda <- clip( lambda + rate (D - eps) / scale, lower, upper )

    Args:
      rate: step size on the scaled violation.
      scale: what one unit of violation is, the slack of each constraint; a number for all.
      lower, upper: the clip.

    Raises:
      InputError: rate or scale is not positive, or the clip is empty or below 0.
    """

    def __init__(
        self,
        rate: float = 1e-3,
        scale: float | Sequence[float] = 1.0,
        lower: float = 0.0,
        upper: float = 1e4,
        **kwargs: Any,
    ):
        super().__init__(dtype="float32", **kwargs)
        scales = scale if isinstance(scale, Sequence) else [scale]
        if not rate > 0 or not all(s > 0 for s in scales):
            raise InputError(f"rate {rate!r} and scale {scale!r} must be positive numbers.")
        if not 0 <= lower < upper:
            raise InputError(f"The clip [{lower!r}, {upper!r}] must satisfy 0 <= lower < upper.")
        self.rate, self.scale, self.lower, self.upper = rate, scale, lower, upper

    def start(self, initial: Sequence[float]) -> None:
        """Creates the multipliers at `initial`."""
        self.value = self.add_weight(
            name="multipliers",
            shape=(len(initial),),
            initializer="zeros",
            trainable=False,
            aggregation="mean",
        )
        self.value.assign(initial)
        self.built = True

    def update(self, violations: Any) -> None:
        """Moves the multipliers by one step at these violations D - eps."""
        # lambda <- clip( lambda + rate (D - eps) / scale, lower, upper )
        moved = self.value + self.rate * violations / tf.constant(self.scale, tf.float32)
        self.value.assign(tf.clip_by_value(moved, self.lower, self.upper))

    def get_config(self) -> dict[str, Any]:
        return {
            "rate": self.rate,
            "scale": self.scale,
            "lower": self.lower,
            "upper": self.upper,
        }
