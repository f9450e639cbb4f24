"""nuPI: a proportional-integral controller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo.multipliers.base import MultiplierRule, Violation, in_range


@keras.saving.register_keras_serializable("zoo")
class PIController(MultiplierRule):
    """A proportional-integral controller, which damps the oscillation of mu.

        xi_t = smoothing xi_{t-1} + (1 - smoothing) g_t,   xi_{-1} = g_0
        mu <- clip( mu + rate [ proportional (xi_t - xi_{t-1}) + integral g_t ], lower, upper )

    This is nuPI in its recursive form, with smoothing for nu: Sohrabi et al. "On PI Controllers for
    Updating Lagrange Multipliers in Constrained Optimization." ICML 2024. With proportional 0 it is
    plain ascent; with proportional = integral and smoothing 0, optimistic ascent. The first step
    equals that of plain ascent.

    Args:
      proportional: kappa_p, at least 0, in steps; None for 1 / rate, so that a violation of one
        slack adds 1 to mu while it lasts, for any length of the run.
      integral: kappa_i, above 0.
      rate, horizon, smoothing, clip, hold: see `MultiplierRule`.
    """

    default_smoothing = 0.99

    def __init__(
        self,
        rate: float | None = None,
        horizon: int | None = None,
        smoothing: float | None = None,
        clip: Sequence[float] | None = None,
        hold: int | None = None,
        proportional: float | None = None,
        integral: float = 1.0,
        **kwargs: Any,
    ):
        super().__init__(rate, horizon, smoothing, clip, hold, **kwargs)
        proportional = 1 / self.rate if proportional is None else proportional
        self.proportional = in_range("proportional", proportional, least=0)
        self.integral = in_range("integral", integral, above=0)

    def moved(self, mu: tf.Tensor, g: Violation) -> tf.Tensor:
        # kappa_p (xi_t - xi_{t-1}) + kappa_i g_t
        step = self.proportional * (g.average - g.previous) + self.integral * g.now
        return mu + self.rate * step

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "proportional": self.proportional,
            "integral": self.integral,
        }
