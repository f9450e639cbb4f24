"""Objectives of the family as frozen data: information preferences and constraints.

The problem whose Lagrangians they are is [U] eq. 5-8:

    minimise  alpha_q I_q(x;z) + alpha_p I_p(x;z)   subject to   D_i <= eps_i
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from zoo.errors import InputError, unknown
from zoo.objectives import grammar
from zoo.objectives.affine import Affine, Number, NumberLike, exact, number_text, variable
from zoo.objectives.divergences import Divergence, divergence
from zoo.objectives.grammar import Tolerance

if TYPE_CHECKING:
    from zoo.objectives.algebra import TractableForm

KL_ESTIMATORS = ("ratio", "stein")


@dataclass(frozen=True, init=False)
class Constraint:
    """One consistency constraint D with its multiplier: fixed (`weight`) or learned (`at_most`).

    Args:
      expression: the divergence, e.g. "KL(q(z)||p(z))", or a likelihood term, e.g. "REC_x"; may
        carry its weight and tolerance itself, "0.5*JS(q(x)||p(x))", "RATE <= 20".
      weight: the multiplier if fixed (default 1), its first value if learned. Any exact number;
        a float stands for the decimal it prints as.
      at_most: the tolerance eps in nats per example, a number or "best + 4" or "1.2 * best";
        with it the multiplier is learned.

    Raises:
      InputError: the expression does not parse, or says weight or tolerance twice.
    """

    divergence: str
    space: str
    direction: str
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
        values = (parsed.divergence, parsed.space, parsed.direction, weight, learned)
        for name, value in zip(self.__dataclass_fields__, values, strict=True):
            object.__setattr__(self, name, value)

    @property
    def expression(self) -> str:
        """The constrained quantity alone, in canonical form."""
        if not self.space:
            return self.divergence
        first, second = tuple(self.direction)
        variables = "x,z" if self.space == "xz" else self.space
        return f"{self.divergence}({first}({variables})||{second}({variables}))"

    @property
    def learned(self) -> bool:
        return self.at_most is not None

    @property
    def facts(self) -> Divergence | None:
        """What is known of its divergence; None for a likelihood term."""
        return divergence(self.divergence) if self.space else None

    @property
    def term(self) -> str:
        """Name of the term that estimates a divergence other than KL: "MMD_z", "CHI2_x_pq"."""
        suffix = "" if divergence(self.divergence).symmetric else f"_{self.direction}"
        return f"{self.divergence}_{self.space}{suffix}"

    def __str__(self) -> str:
        text = self.expression
        if self.weight != 1:
            weight = number_text(self.weight)
            text = f"({weight})*{text}" if " " in weight else f"{weight}*{text}"
        return f"{text} <= {self.at_most}" if self.learned else text


@dataclass(frozen=True, init=False)
class Objective:
    """A point of the family: what is preferred, and under which constraints.

    Args:
      alpha_q: weight of I_q(x;z); positive minimises information ([U] alpha_1).
      alpha_p: weight of I_p(x;z) ([U] alpha_2).
      constraints: `Constraint`s, or strings in their grammar.
      name: the model's name, for reading.
      implicit_encoder: q(z|x) can be sampled but has no density; RATE becomes RATE_ratio.
      reverse_rate: estimate RATE_p = KL(p(x,z)||p(z)q(x)) by density ratio, so that
        alpha_p > 0 is admissible: J_pq = REC_z + RATE_p - H_p(z).
      estimators: term name -> "ratio" or "stein", for KL terms that samples must estimate.
      edits: substitutions already made, in words; an edit is not an equivalence.
      parameters: the declaration's own parameters, kept for reading: numbers, or the text of
        a tolerance.

    Raises:
      InputError: a number is not finite, a constraint does not parse, or one is learned twice.
    """

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
        return hash((self.alpha_q, self.alpha_p, self.constraints, self.name))

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
            if learned is constraint:
                return variable(symbol)
        return constraint.weight

    @property
    def initial_multipliers(self) -> dict[str, Number]:
        return {symbol: constraint.weight for symbol, constraint in self.learned}

    def tractable(self) -> TractableForm:
        """Derives what is trained; see `zoo.objectives.algebra.tractable`."""
        from zoo.objectives import algebra

        return algebra.tractable(self)

    def explain(self) -> str:
        """Returns the derivation of what is trained, step by step, as text."""
        from zoo.objectives import derivation

        return derivation.explain(self)

    def raised(self, expression: str, amount: Number) -> Objective:
        """Returns the objective with the fixed multiplier on `expression` raised by `amount`."""
        wanted = Constraint(expression).expression
        constraints = list(self.constraints)
        for index, constraint in enumerate(constraints):
            if constraint.expression == wanted and not constraint.learned:
                constraints[index] = Constraint(wanted, weight=constraint.weight + amount)
                break
        else:
            constraints.append(Constraint(wanted, weight=amount))
        return replace(self, constraints=tuple(constraints))

    def substitute(self, expression: str, divergence: str) -> Objective:
        """Replaces what the form leaves of a marginal or joint KL by another divergence.

        The coefficient c of the KL in the tractable form is taken off and c D put in its place:
        the InfoVAE of [V] with MMD for KL(q(z)||p(z)). An edit, not an equivalence; it is
        recorded in `edits`.

        Raises:
          InputError: the coefficient is negative, or the expression is no term of its own.
        """
        from zoo.objectives import algebra

        kl = Constraint(expression)
        term = algebra.KL_TERM.get(kl.expression)
        if term is None:
            raise InputError(
                f"{kl.expression} is not a term of its own: substitute one of "
                f"{', '.join(algebra.KL_TERM)}."
            )
        form = algebra.tractable(self)
        coefficient = form.affine[term]
        if not coefficient:
            return self
        if algebra.is_negative(form.at_initial(coefficient)):
            raise InputError(
                f"{term} has coefficient {number_text(coefficient)}: only a non-negative one "
                f"can become {divergence}; repair the objective first."
            )
        learned = {symbol for symbol, _ in self.learned}
        if isinstance(coefficient, Affine) and coefficient.symbols & learned:
            raise InputError(
                f"{term} has the learned coefficient {coefficient}: declare {divergence} with "
                "the tolerance instead."
            )
        variables = kl.expression.removeprefix("KL")
        new = Constraint(divergence + variables, weight=coefficient)
        edited = self.raised(kl.expression, -coefficient)
        kept = tuple(c for c in edited.constraints if c.learned or c.weight != 0)
        return replace(
            edited,
            constraints=(*kept, new),
            edits=(*self.edits, f"{term} became {new.term}: an edit, not an equivalence"),
        )

    def bounded(self) -> Objective:
        """Returns the objective with each information replaced by its convex bound, [U] eq. 13.

            alpha I_upper = alpha I_q + alpha KL(q(z)||p(z))                     alpha > 0
            -a I_lower   = -a I_q + a E_q(z) KL(q(x|z)||p(x|z)), up to a constant

        Using a bound is raising a multiplier; likewise for I_p with p and q exchanged.
        """
        result = self
        for alpha, above, below in (
            (self.alpha_q, "KL(q(z)||p(z))", "KL(q(x|z)||p(x|z))"),
            (self.alpha_p, "KL(p(x)||q(x))", "KL(p(z|x)||q(z|x))"),
        ):
            if isinstance(alpha, Affine):
                raise InputError(f"The sign of alpha = {alpha} is open: give it a value first.")
            if alpha:
                result = result.raised(above if alpha > 0 else below, abs(alpha))
        return result

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
    def from_config(cls, config: Mapping[str, Any]) -> Objective:
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
