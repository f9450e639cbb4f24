"""Problems that are convex in the tables q(z|x) with p(x|z) held, solved by scipy.

    minimise  sum_i w_i term_i   subject to   D_j <= eps_j

over REC_x (linear in the tables), RATE, -ELBO = REC_x + RATE, MMD_z and JS_z (convex). Nothing
here knows the package, learned multipliers or gradient steps on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import Bounds, brentq, minimize

Array = np.ndarray


@dataclass(frozen=True)
class Solution:
    """The best tables, the objective there, and the constraints' multipliers."""

    encoder: Array
    value: float
    multipliers: Array


@dataclass(frozen=True)
class Program:
    """A convex program.

    Attributes:
      q_x, p_z, decoder: q(x), [X]; p(z), [Z]; p(x|z), [Z, X].
      objective: term name -> its weight.
      at_most: term name -> its tolerance.
    """

    q_x: Array
    p_z: Array
    decoder: Array
    objective: Mapping[str, float]
    at_most: Mapping[str, float]

    def term(self, name: str, r: Array) -> tuple[float, Array]:
        """Returns a term at q(z|x) = r, [X, Z], and its slope there, [X, Z]."""
        if name == "REC_x":
            # -sum q(x) r(z|x) log p(x|z)
            slope = -self.q_x[:, None] * np.log(self.decoder.T)
            return float(np.sum(r * slope)), slope
        if name == "RATE":
            # sum q(x) r(z|x) log( r(z|x) / p(z) )
            ratio = np.log(r / self.p_z)
            return float(self.q_x @ np.sum(r * ratio, axis=1)), self.q_x[:, None] * (ratio + 1)
        if name == "-ELBO":
            (rec, rec_slope), (rate, rate_slope) = self.term("REC_x", r), self.term("RATE", r)
            return rec + rate, rec_slope + rate_slope
        q, p = self.q_x @ r, self.p_z
        if name == "MMD_z":
            # (q - p)' K (q - p) on one-hot points, s2 = dim = Z
            kernel = np.where(np.eye(len(p)) > 0, 1.0, np.exp(-2 / (2 * len(p))))
            value, slope = (q - p) @ kernel @ (q - p), 2 * kernel @ (q - p)
        else:
            # JS_z = KL(q||m)/2 + KL(p||m)/2, whose slope in q is log(q/m)/2
            m = (q + p) / 2
            value = q @ np.log(q / m) / 2 + p @ np.log(p / m) / 2
            slope = np.log(q / m) / 2
        return float(value), np.outer(self.q_x, slope)

    def value(self, r: Array) -> tuple[float, Array]:
        """Returns the objective and its slope."""
        parts = [(weight, self.term(name, r)) for name, weight in self.objective.items()]
        return sum(w * value for w, (value, _) in parts), sum(w * slope for w, (_, slope) in parts)

    @cached_property
    def solution(self) -> Solution:
        """By sequential quadratic programming; the multipliers from stationarity at the end."""
        shape = (len(self.q_x), len(self.p_z))

        def flat(function: Callable, part: int) -> Callable[[Array], Array]:
            return lambda r: np.ravel(function(r.reshape(shape))[part])

        # sum_z r(z|x) = 1 for every x
        sums = np.kron(np.eye(shape[0]), np.ones(shape[1]))
        rules = [{"type": "eq", "fun": lambda r: sums @ r - 1, "jac": lambda r: sums}]
        for name, eps in self.at_most.items():

            def slack(r: Array, name: str = name, eps: float = eps) -> tuple[float, Array]:
                value, slope = self.term(name, r)
                return eps - value, -slope

            rules.append({"type": "ineq", "fun": flat(slack, 0), "jac": flat(slack, 1)})
        found = minimize(
            lambda r: flat(self.value, 0)(r)[0],
            np.tile(self.p_z, shape[0]),
            jac=flat(self.value, 1),
            method="SLSQP",
            bounds=Bounds(1e-9, 1.0),
            constraints=rules,
            options={"ftol": 1e-13, "maxiter": 1000},
        )
        assert found.success, found.message
        table = found.x.reshape(shape)
        # grad f + sum_j lambda_j grad D_j + nu_x = 0 inside the simplices: linear in (lambda, nu)
        slopes = [np.ravel(self.term(name, table)[1]) for name in self.at_most]
        unknowns = np.stack([*slopes, *sums], axis=1)
        solved, *_ = np.linalg.lstsq(unknowns, -np.ravel(self.value(table)[1]), rcond=None)
        return Solution(table, float(found.fun), solved[: len(slopes)])

    @cached_property
    def closed_form(self) -> Solution:
        """The same where -ELBO alone is bounded and the objective is a RATE + b REC_x.

        r(z|x) ~ p(z) p(x|z)^((b + lambda) / (a + lambda)),   lambda such that -ELBO = eps
        """
        a, b = self.objective.get("RATE", 0.0), self.objective.get("REC_x", 0.0)

        def best(multiplier: float) -> Array:
            power = (b + multiplier) / (a + multiplier)
            logits = np.log(self.p_z) + power * np.log(self.decoder.T)
            r = np.exp(logits - logits.max(axis=1, keepdims=True))
            return r / r.sum(axis=1, keepdims=True)

        def violation(multiplier: float) -> float:
            return self.term("-ELBO", best(multiplier))[0] - self.at_most["-ELBO"]

        root = brentq(violation, 1e-2 * (a + b), 1e6 * (a + b), xtol=1e-12)
        return Solution(best(root), self.value(best(root))[0], np.array([root]))
