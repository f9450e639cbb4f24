"""Objectives: declarations with what follows from them, their forms, edits and bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from zoo.errors import InputError
from zoo.objectives import algebra, derivation
from zoo.objectives.affine import Affine, is_negative, number_text
from zoo.objectives.algebra import TractableForm
from zoo.objectives.declaration import Constraint, Declaration

# The KLs that may be left in a form.
_WITH_A_TERM = (
    "KL(q(z)||p(z))",
    "KL(p(z)||q(z))",
    "KL(q(x)||p(x))",
    "KL(p(x)||q(x))",
    "KL(p(x,z)||q(x,z))",
)


@dataclass(frozen=True, init=False, eq=False)
class Objective(Declaration):
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

    def tractable(self) -> TractableForm[Objective]:
        """Derives what is trained; see `zoo.objectives.algebra.tractable`."""
        return algebra.tractable(self)

    def explain(self) -> str:
        """Returns the derivation of what is trained, step by step, as text."""
        return derivation.explain(self)

    def substitute(self, expression: str, divergence: str) -> Objective:
        """Replaces what the form leaves of a marginal or joint KL by another divergence.

        The coefficient c of the KL in the tractable form is taken off and c D put in its place:
        the InfoVAE of [V] with MMD for KL(q(z)||p(z)). An edit, not an equivalence; it is
        recorded in `edits`.

        Raises:
          InputError: the coefficient is negative, or the expression is no term of its own.
        """
        kl = Constraint(expression)
        term = kl.term
        if term is None or kl.expression not in _WITH_A_TERM:
            raise InputError(
                f"{kl.expression} is not a term of its own: substitute one of "
                f"{', '.join(_WITH_A_TERM)}."
            )
        form = algebra.tractable(self)
        coefficient = form.affine[term]
        if not coefficient:
            return self
        if is_negative(form.at_initial(coefficient)):
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
