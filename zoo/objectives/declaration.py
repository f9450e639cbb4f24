"""Declarations as frozen data: information preferences and constraints.

They declare problems of [U] eq. 5-8:

    minimise  alpha_q I_q(x;z) + alpha_p I_p(x;z)   subject to   D_i <= eps_i
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Self

from zoo.errors import InputError, unknown
from zoo.objectives import grammar
from zoo.objectives.affine import Number, NumberLike, exact, number_text, variable
from zoo.objectives.grammar import Tolerance
from zoo.objectives.subjects import Subject

KL_ESTIMATORS = ("ratio", "stein")


@dataclass(frozen=True, init=False)
class Constraint:
    """One consistency constraint D with its multiplier: fixed (`weight`) or learned (`at_most`).

    Args:
      expression: the divergence, e.g. "KL(q(z)||p(z))", or a likelihood term, e.g. "REC_x"; may
        include its weight or tolerance, "0.5*JS(q(x)||p(x))", "RATE <= 20".
      weight: the multiplier if fixed (default 1), its initial value if learned. Any exact number;
        a float is read as the decimal it prints as.
      at_most: the tolerance eps in nats per example: a number, "best + 4" or "1.2 * best", where
        "best" is the value reached without an information preference. If given, the multiplier
        is learned.

    Raises:
      InputError: the expression does not parse, or weight or tolerance is given twice.
    """

    subject: Subject
    weight: Number
    at_most: Tolerance | None

    def __init__(
        self,
        expression: str,
        weight: NumberLike | None = None,
        at_most: float | str | Tolerance | None = None,
    ):
        if not isinstance(expression, str):
            raise InputError(
                f"A constraint is {expression!r}: write it like 'MMD(q(z)||p(z)) <= 5e-4'."
            )
        parsed = grammar.parse(expression)
        if parsed.weight is not None and weight is not None:
            raise InputError(f"Constraint {expression!r} has a weight; do not give {weight!r} too.")
        if parsed.at_most is not None and at_most is not None:
            raise InputError(
                f"Constraint {expression!r} has a tolerance; do not give {at_most!r} too."
            )
        if at_most is not None and not isinstance(at_most, Tolerance):
            at_most = grammar.parse_tolerance(
                at_most if isinstance(at_most, str) else str(exact(at_most))
            )
        if weight is None:
            weight = parsed.weight if parsed.weight is not None else Fraction(1)
        weight = exact(weight)
        learned = at_most or parsed.at_most
        if learned is not None and isinstance(weight, Fraction) and weight < 0:
            raise InputError(
                f"The learned multiplier of {expression!r} starts at {number_text(weight)}: "
                "give a start that is not negative."
            )
        values = (parsed.subject, weight, learned)
        for name, value in zip(self.__dataclass_fields__, values, strict=True):
            object.__setattr__(self, name, value)

    @property
    def expression(self) -> str:
        """The constrained quantity without weight and tolerance, in canonical form."""
        return self.subject.expression

    @property
    def term(self) -> str | None:
        """The one term that estimates it, such as "MMD_z" or "CHI2_x_pq"; None without one."""
        return self.subject.term

    @property
    def learned(self) -> bool:
        return self.at_most is not None

    def reachable(self, estimate: float) -> float:
        """Returns an estimate of the least value, or 0 for a divergence estimated below 0."""
        known = self.subject.quantity == self.expression
        return max(estimate, self.subject.range[0]) if known else estimate

    def __str__(self) -> str:
        text = self.expression
        if self.weight != 1:
            weight = number_text(self.weight)
            text = f"({weight})*{text}" if " " in weight else f"{weight}*{text}"
        return f"{text} <= {self.at_most}" if self.learned else text


@dataclass(frozen=True, init=False)
class Declaration:
    """The data of a `zoo.Objective`, which documents arguments and errors."""

    alpha_q: Number
    alpha_p: Number
    constraints: tuple[Constraint, ...]
    name: str
    implicit_encoder: bool
    reverse_rate: bool
    estimators: Mapping[str, str]
    edits: tuple[str, ...]
    parameters: Mapping[str, Number | str]

    def __init__(
        self,
        alpha_q: NumberLike = 0,
        alpha_p: NumberLike = 0,
        constraints: str | Constraint | Iterable[str | Constraint] = (),
        name: str = "objective",
        implicit_encoder: bool = False,
        reverse_rate: bool = False,
        estimators: Mapping[str, str] | None = None,
        edits: Iterable[str] = (),
        parameters: Mapping[str, NumberLike] | None = None,
    ):
        if isinstance(constraints, str | Constraint):
            constraints = (constraints,)
        values = {
            "alpha_q": exact(alpha_q),
            "alpha_p": exact(alpha_p),
            "constraints": tuple(
                c if isinstance(c, Constraint) else Constraint(c) for c in constraints
            ),
            "name": name,
            "implicit_encoder": bool(implicit_encoder),
            "reverse_rate": bool(reverse_rate),
            "estimators": dict(estimators or {}),
            "edits": tuple(edits),
            "parameters": {n: _parameter(value) for n, value in (parameters or {}).items()},
        }
        for field, value in values.items():
            object.__setattr__(self, field, value)
        self._check()

    def _check(self) -> None:
        for term, estimator in self.estimators.items():
            if estimator not in KL_ESTIMATORS:
                raise unknown(f"estimator of {term}", estimator, KL_ESTIMATORS)
        learned = [constraint.expression for _, constraint in self.learned]
        for expression in learned:
            if learned.count(expression) > 1:
                raise InputError(f"{expression} has two tolerances: keep the smaller one.")

    def __hash__(self):
        return hash((self.alpha_q, self.alpha_p, self.constraints))

    @property
    def learned(self) -> tuple[tuple[str, Constraint], ...]:
        """The learned constraints with the symbols of their multipliers, l or l1, l2, ..."""
        learned = [constraint for constraint in self.constraints if constraint.learned]
        if len(learned) == 1:
            return (("l", learned[0]),)
        return tuple((f"l{index}", constraint) for index, constraint in enumerate(learned, 1))

    def multiplier(self, constraint: Constraint) -> Number:
        """Returns the constraint's multiplier: its weight, or its symbol if it is learned."""
        for symbol, learned in self.learned:
            if learned == constraint:
                return variable(symbol)
        return constraint.weight

    @property
    def initial_multipliers(self) -> dict[str, Number]:
        return {symbol: constraint.weight for symbol, constraint in self.learned}

    def raised(self, expression: str, amount: Number) -> Self:
        """Returns the declaration with the fixed multiplier on `expression` raised by `amount`."""
        wanted = Constraint(expression).expression
        constraints = list(self.constraints)
        for index, constraint in enumerate(constraints):
            if constraint.expression == wanted and not constraint.learned:
                constraints[index] = Constraint(wanted, weight=constraint.weight + amount)
                break
        else:
            constraints.append(Constraint(wanted, weight=amount))
        return replace(self, constraints=tuple(constraints))

    def to_config(self) -> dict[str, Any]:
        """Returns a JSON-able dict that `from_config` reads back exactly."""
        return {
            "name": self.name,
            "alpha_q": number_text(self.alpha_q),
            "alpha_p": number_text(self.alpha_p),
            "constraints": [str(constraint) for constraint in self.constraints],
            "implicit_encoder": self.implicit_encoder,
            "reverse_rate": self.reverse_rate,
            "estimators": dict(self.estimators),
            "edits": list(self.edits),
            "parameters": {
                name: value if isinstance(value, str) else number_text(value)
                for name, value in self.parameters.items()
            },
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Reads back `to_config`."""
        known = set(cls.__dataclass_fields__)
        if not isinstance(config, Mapping) or not set(config) <= known:
            raise InputError(f"{config!r} is not an objective's config: it has {sorted(known)}.")
        try:
            return cls(**config)
        except (TypeError, AttributeError) as error:
            raise InputError(f"{config!r} is not an objective's config: {error}.") from None


def _parameter(value: NumberLike) -> Number | str:
    try:
        return exact(value)
    except InputError:
        if isinstance(value, str):
            return value
        raise
