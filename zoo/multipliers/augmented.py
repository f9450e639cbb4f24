"""The augmented Lagrangian."""

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

    The penalty's gradient is the ordinary Lagrangian's at the effective multiplier, so that the
    primal step needs no other change; where mu = 0 it is that of (c/2) max(0, g)^2. An optimum
    inside a duality gap, which plain ascent can only circle, attracts once c outweighs the negative
    curvature of f along g. With f in sizes of the objective and g in slacks c has no unit: it is
    the penalty (c'/2) max(0, D - eps)^2 with c' = c size / scale^2. Rockafellar "Augmented Lagrange
    Multiplier Functions and Duality in Nonconvex Programming." SIAM J. Control 12, 1974.

    max(0, mu + c g) of a noisy g is on average more than that of its mean: hence the moving
    average xi, with this batch in it. What noise is left holds a constraint in place of mu, which
    is then smaller than the multiplier that acts.

    Args:
      penalty: c, above 0. Larger ones follow the noise more, and mu takes c / rate steps to settle.
      rate, horizon, smoothing, clip, hold: see `MultiplierRule`; a rate above c (1 - smoothing)
        lets the average lag behind the multiplier it moves, and both ring.
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
