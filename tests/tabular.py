"""A discrete laboratory: two joints as tables of probabilities, so that every quantity is exact.

    p(x,z) = p(z) p(x|z)        q(x,z) = q(x) q(z|x)

Nothing here knows the objective algebra: each value is summed from its definition, in nats. A
conditional divergence is averaged under the marginal of its first argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from zoo import Constraint, Objective
from zoo.objectives.subjects import LikelihoodTerm

Array = np.ndarray

SPACES = ("xz", "x", "z", "z|x", "x|z")
VARIABLES = {"xz": "x,z"}  # how a space is written, where not as it is named

# Divergences between two tables of probabilities over the same points.
ON_TABLES: dict[str, Callable[[Array, Array], Array]] = {
    "KL": lambda a, b: np.sum(a * np.log(a / b)),
    "FKL": lambda a, b: np.sum(a * np.log(a / b)),
    "RKL": lambda a, b: np.sum(b * np.log(b / a)),
    "JS": lambda a, b: (
        np.sum(a * np.log(2 * a / (a + b))) / 2 + np.sum(b * np.log(2 * b / (a + b))) / 2
    ),
    "CHI2": lambda a, b: np.sum(b * (a / b - 1) ** 2),
    "H2": lambda a, b: np.sum(b * (np.sqrt(a / b) - 1) ** 2),
    "TV": lambda a, b: np.sum(np.abs(a - b)) / 2,
    "MMD": lambda a, b: _mmd(a.ravel(), b.ravel()),
}


def _mmd(a: Array, b: Array) -> Array:
    """(a - b)' K (a - b) with an RBF kernel on the points' numbers."""
    points = np.arange(len(a))
    kernel = np.exp(-((points[:, None] - points) ** 2) / 2)
    return (a - b) @ kernel @ (a - b)


@dataclass(frozen=True)
class Tables:
    """Two joints over X values of x and Z values of z.

    Attributes:
      q_x: q(x), shape [X].
      p_z: p(z), shape [Z].
      encoder: q(z|x), shape [X, Z]; each row sums to 1.
      decoder: p(x|z), shape [X, Z]; each column sums to 1.
    """

    q_x: Array
    p_z: Array
    encoder: Array
    decoder: Array

    def joint(self, side: str) -> Array:
        """Returns p(x,z) or q(x,z), shape [X, Z]."""
        return self.decoder * self.p_z if side == "p" else self.encoder * self.q_x[:, None]

    def marginal(self, side: str, variable: str) -> Array:
        """Returns the marginal of x, shape [X], or of z, shape [Z]."""
        return self.joint(side).sum(axis=1 if variable == "x" else 0)

    def density(self, side: str, space: str) -> Array:
        """Returns the density over `space` at every (x,z), shape [X, Z]."""
        joint = self.joint(side)
        whole = np.ones_like(joint)
        return {
            "xz": joint,
            "x": joint.sum(1, keepdims=True) * whole,
            "z": joint.sum(0, keepdims=True) * whole,
            "z|x": joint / joint.sum(1, keepdims=True),
            "x|z": joint / joint.sum(0, keepdims=True),
        }[space]

    def mean_log(self, under: str, side: str, space: str) -> float:
        """E_under[log side(space)]."""
        return float(np.sum(self.joint(under) * np.log(self.density(side, space))))

    def kl(self, direction: str, space: str) -> float:
        """KL(a(s)||b(s)) = E_a[log a(s) - log b(s)]."""
        a, b = direction
        return self.mean_log(a, a, space) - self.mean_log(a, b, space)

    def information(self, side: str) -> float:
        """I_s(x;z) = E_s[log s(x,z) - log s(x) - log s(z)]."""
        return self.mean_log(side, side, "xz") - sum(self.mean_log(side, side, v) for v in "xz")

    @property
    def entropy_x(self) -> float:
        """H_q(x)."""
        return float(-np.sum(self.q_x * np.log(self.q_x)))

    @property
    def entropy_z(self) -> float:
        """H_p(z)."""
        return float(-np.sum(self.p_z * np.log(self.p_z)))

    def divergence(self, name: str, direction: str, space: str) -> float:
        """Returns a divergence over (x,z), x or z; over a conditional only KL is defined."""
        if name == "KL":
            return self.kl(direction, space)
        a, b = (
            self.joint(side) if space == "xz" else self.marginal(side, space) for side in direction
        )
        return float(ON_TABLES[name](a, b))

    def term(self, name: str) -> float:
        """Returns a term by its name, e.g. "REC_x", "Dz_qp", "JS_xz", "CHI2_x_pq"."""
        own: dict[str, Callable[[], float]] = {
            "REC_x": lambda: -self.mean_log("q", "p", "x|z"),
            "REC_z": lambda: -self.mean_log("p", "q", "z|x"),
            "RATE": lambda: self.mean_log("q", "q", "z|x") - self.mean_log("q", "p", "z"),
            "RATE_ratio": lambda: self.to_product("q", self.q_x, self.p_z),
            "RATE_p": lambda: self.to_product("p", self.q_x, self.p_z),
            "Dz_qp": lambda: self.kl("qp", "z"),
            "Dz_pq": lambda: self.kl("pq", "z"),
            "Dx_qp": lambda: self.kl("qp", "x"),
            "Dx_pq": lambda: self.kl("pq", "x"),
            "J_qp": lambda: self.kl("qp", "xz"),
            "J_pq": lambda: self.kl("pq", "xz"),
        }
        if name in own:
            return own[name]()
        divergence, space, direction = (*name.split("_"), "qp")[:3]
        return self.divergence(divergence, direction, space)

    def to_product(self, side: str, over_x: Array, over_z: Array) -> float:
        """KL(s(x,z) || over_x(x) over_z(z))."""
        joint = self.joint(side)
        return float(np.sum(joint * np.log(joint / np.outer(over_x, over_z))))

    def constraint(self, constraint: Constraint) -> float:
        """Returns what the constraint bounds; for KL(q(x,z)||p(x,z)) <= eps that is -ELBO."""
        subject = constraint.subject
        if isinstance(subject, LikelihoodTerm):
            return self.term(subject.name)
        if constraint.learned and constraint.expression == "KL(q(x,z)||p(x,z))":
            return self.term("REC_x") + self.term("RATE")
        return self.divergence(subject.facts.name, subject.direction, subject.space)


def _simplex(random: np.random.Generator, *shape: int) -> Array:
    """Random distributions along the last axis, none of whose entries is near zero."""
    weights = random.uniform(0.05, 1.0, shape)
    return weights / weights.sum(axis=-1, keepdims=True)


def random_tables(seed: int, x: int = 4, z: int = 3) -> Tables:
    """Returns random tables over x values of x and z values of z."""
    random = np.random.default_rng(seed)
    return Tables(
        _simplex(random, x), _simplex(random, z), _simplex(random, x, z), _simplex(random, z, x).T
    )


def models_of(seed: int, count: int = 8, x: int = 4, z: int = 3) -> Iterator[Tables]:
    """Yields random encoders and decoders for one q(x) and p(z): the parameters vary, not the data.

    Two objectives are equivalent if their difference is one number over all of them.
    """
    data = random_tables(seed, x, z)
    for index in range(count):
        model = random_tables(1000 * seed + index + 1, x, z)
        yield Tables(data.q_x, data.p_z, model.encoder, model.decoder)


def spread(function: Callable[[Tables], float], seed: int = 0) -> float:
    """Returns max - min of a function of the parameters: 0 if it is a constant."""
    values = [function(tables) for tables in models_of(seed)]
    return max(values) - min(values)


def lagrangian(
    objective: Objective,
    tables: Tables,
    multipliers: Mapping[str, Fraction] | None = None,
    best: float = 0.0,
) -> float:
    """Returns the declared left side, from the definition of each quantity.

        alpha_q I_q + alpha_p I_p + sum_fixed w_i D_i + sum_learned lambda_j (D_j - eps_j)

    Args:
      multipliers: lambda_j by the symbols l (only one learned) or l1, l2, ... in order.
      best: what "best" stands for in every tolerance.
    """
    total = float(objective.alpha_q) * tables.information("q")
    total += float(objective.alpha_p) * tables.information("p")
    learned = [c for c in objective.constraints if c.at_most is not None]
    symbols = iter(["l"] if len(learned) == 1 else [f"l{i + 1}" for i in range(len(learned))])
    for constraint in objective.constraints:
        value = tables.constraint(constraint)
        if constraint.at_most is None:
            total += float(constraint.weight) * value
        else:
            total += float((multipliers or {})[next(symbols)]) * (
                value - constraint.at_most.at(best)
            )
    return total


# The ten KLs of the family, as constraints are written and in the order of `kl_objective`.
KL_CONSTRAINTS = {
    (direction, space): "KL({0}({2})||{1}({2}))".format(*direction, VARIABLES.get(space, space))
    for direction in ("qp", "pq")
    for space in SPACES
}


def kl_objective(alpha_q, alpha_p, weights: Mapping[tuple[str, str], Fraction]) -> Objective:
    """Returns alpha_q I_q + alpha_p I_p + sum of weighted KLs, keyed by (direction, space)."""
    return Objective(
        alpha_q=alpha_q,
        alpha_p=alpha_p,
        constraints=tuple(
            Constraint(KL_CONSTRAINTS[key], weight=weight) for key, weight in weights.items()
        ),
    )
