"""The Lagrangian as arrays: the coefficients of the trained form, affine in the multipliers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.errors import InputError
from zoo.objectives.affine import Affine, Number, rational
from zoo.objectives.algebra import TractableForm
from zoo.objectives.critic_defaults import ratio_estimates


class Lagrangian:
    """L(theta, lambda) = sum_i c_i(lambda) term_i - sum_j lambda_j eps_j,  c = c_0 + C lambda.

    Column j of C is the tractable form of constraint j, so that the same matrix gives its
    violation, dL/dlambda_j:

        D_j - eps_j = sum_i C_ij term_i - eps_j

    Attributes:
      terms: names of the terms, in the order of the rows of C.
      learned: the learned constraints, in the order of the columns of C.

    Raises:
      InputError: the form is not admissible (suggests the repair), or a tolerance is not a number.
    """

    def __init__(self, form: TractableForm):
        form.require_admissible()
        objective = form.objective
        self.terms = tuple(form.affine)
        self.learned = tuple(constraint for _, constraint in objective.learned)
        symbols = [symbol for symbol, _ in objective.learned]
        tolerances = [(c.expression, c.at_most) for c in self.learned if c.at_most is not None]
        for expression, tolerance in tolerances:
            if tolerance.needs_best:
                raise InputError(
                    f"The tolerance of {expression!r}, {str(tolerance)!r}, needs a measured "
                    f"best: give a number, like '{expression} <= 5e-4', or build its two phases "
                    "by train.loop.first_phase and second_phase."
                )
        self._by_critic = tuple(
            c for c in self.learned if c.subject.critic or ratio_estimates(objective, c)
        )
        self.offsets = np.array([_at_zero(form.affine[t]) for t in self.terms], np.float32)
        self.slopes = np.array(
            [[_slope(form.affine[t], s) for s in symbols] for t in self.terms], np.float32
        ).reshape(len(self.terms), len(symbols))
        self.tolerances = np.array([t.at(0.0) for _, t in tolerances], np.float32)
        self.initial_multipliers = np.array(
            [float(rational(c.weight)) for c in self.learned], np.float32
        )
        # |alpha| + sum of the fixed multipliers: the scale of the objective without learned ones
        self.fixed_size = float(
            abs(rational(objective.alpha_q))
            + abs(rational(objective.alpha_p))
            + sum(abs(rational(c.weight)) for c in objective.constraints if not c.learned)
        )

    def coefficients(self, multipliers: Any) -> tf.Tensor:
        """Returns c(lambda) = c_0 + C lambda, one number for each term."""
        return self.offsets + tf.linalg.matvec(self.slopes, multipliers)

    def value(self, terms: Mapping[str, Any], multipliers: Any) -> tf.Tensor:
        """Returns L(theta, lambda) at these term values, nats per example."""
        c = self.coefficients(multipliers)
        total = tf.add_n([c[i] * terms[name] for i, name in enumerate(self.terms)])
        # L = sum_i c_i(lambda) term_i - sum_j lambda_j eps_j
        return total - tf.reduce_sum(multipliers * self.tolerances)

    @property
    def floors(self) -> list[float | None]:
        """The smallest true D_j - eps_j for each D_j that a critic estimates, else None."""
        return [
            -float(eps) if constraint in self._by_critic else None
            for constraint, eps in zip(self.learned, self.tolerances, strict=True)
        ]

    @property
    def constrained_terms(self) -> tuple[str, ...]:
        """The terms in the learned constraints."""
        return tuple(name for name, row in zip(self.terms, self.slopes, strict=True) if np.any(row))

    def constraint_values(self, terms: Mapping[str, Any]) -> tf.Tensor:
        """Returns D_j of each learned constraint, in its units; the joint KL as -ELBO."""
        values = tf.stack([tf.convert_to_tensor(terms[name]) for name in self.terms])
        # D_j = sum_i C_ij term_i
        return tf.linalg.matvec(self.slopes, values, transpose_a=True)

    def violations(self, terms: Mapping[str, Any]) -> tf.Tensor:
        """Returns D_j - eps_j of each learned constraint, in its units."""
        return self.constraint_values(terms) - self.tolerances

    def size(self, multipliers: Any) -> tf.Tensor:
        """Returns |alpha| + sum lambda, by which the primal step is divided to limit its size.

        Learned multipliers count in slacks (the slack gamma_j is eps_j less the best reachable
        value): lambda_j gamma_j. A multiplier of MMD is of the order of 1e4 where one in nats is 1,
        and would dominate the sum.
        """
        return (self.fixed_size or 1.0) + tf.reduce_sum(tf.abs(multipliers))


def _at_zero(number: Number) -> float:
    return float(number.constant if isinstance(number, Affine) else number)


def _slope(number: Number, symbol: str) -> float:
    return float(number.slope(symbol)) if isinstance(number, Affine) else 0.0
