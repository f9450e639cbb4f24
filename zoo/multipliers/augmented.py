"""The augmented Lagrangian rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo.multipliers.base import MultiplierRule, Violation, in_range


@keras.saving.register_keras_serializable("zoo")
class AugmentedLagrangian(MultiplierRule):
    """Ascent with a quadratic penalty on violations; the default for any alpha < 0.

        L_c(theta, mu) = f(theta) + sum_i [ max(0, mu_i + c g_i)^2 - mu_i^2 ] / (2c)
        grad_theta L_c = grad f + sum_i max(0, mu_i + c g_i) grad g_i

        effective mu = max( 0, mu + c xi )
        mu <- clip( mu + rate xi, lower, upper )

    L_c has the gradient of the ordinary Lagrangian at the effective multiplier, so that the primal
    step needs no other change; if mu = 0 the penalty is (c/2) max(0, g)^2. Plain ascent only
    circles an optimum inside a duality gap; L_c has it as a minimum once c exceeds the negative
    curvature of f along g. c has no unit, because f is in units of the objective's size and g in
    slacks: the penalty is (c'/2) max(0, D - eps)^2 with c' = c size / scale^2. Rockafellar
    "Augmented Lagrange Multiplier Functions and Duality in Nonconvex Programming." SIAM J. Control
    12, 1974.

    For a noisy g the mean of max(0, mu + c g) exceeds its value at the mean of g: hence the moving
    average xi, which includes this batch. The remaining noise still adds to the effective
    multiplier, so that mu is smaller than the multiplier that acts.

    Args:
      penalty: c, above 0. A larger c amplifies noise, and mu takes c / rate steps to settle.
      rate, horizon, smoothing, clip, hold: see `MultiplierRule`; with a rate above
        c (1 - smoothing) the average lags behind the multiplier, and both oscillate.
    """

    def __init__(
        self,
        rate: float | None = None,
        horizon: int | None = None,
        smoothing: float | None = None,
        clip: Sequence[float] | None = None,
        hold: int | None = None,
        penalty: float = 3.0,
        **kwargs: Any,
    ):
        super().__init__(rate, horizon, smoothing, clip, hold, **kwargs)
        self.penalty = in_range("penalty", penalty, above=0)

    def effective(self, violations: Any) -> tf.Tensor:
        g, _ = self._averaged(violations)
        # max( 0, mu + c xi ) size / scale
        moved = tf.nn.relu(self.mu + self.penalty * g.average)
        return tf.stop_gradient(tf.where(self.held, self.mu, moved) * self.unit)

    def moved(self, mu: tf.Tensor, g: Violation) -> tf.Tensor:
        # mu + rate xi
        return mu + self.rate * g.average

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "penalty": self.penalty}
