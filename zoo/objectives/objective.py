"""Objectives: declarations with their tractable forms, substitutions and bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from zoo.errors import InputError
from zoo.objectives import algebra, derivation
from zoo.objectives.affine import Affine, is_negative, number_text
from zoo.objectives.algebra import TractableForm
from zoo.objectives.declaration import Constraint, Declaration

# The KLs that have a term in the tractable form.
_WITH_A_TERM = (
    "KL(q(z)||p(z))",
    "KL(p(z)||q(z))",
    "KL(q(x)||p(x))",
    "KL(p(x)||q(x))",
    "KL(p(x,z)||q(x,z))",
)


@dataclass(frozen=True, init=False, eq=False)
class Objective(Declaration):
    """A member of the family: information preferences and constraints.

    Args:
      alpha_q: weight of I_q(x;z); positive minimises information ([U] alpha_1).
      alpha_p: weight of I_p(x;z) ([U] alpha_2).
      constraints: `Constraint`s, or strings in their grammar.
      name: the model's name, for display.
      implicit_encoder: q(z|x) can be sampled but has no density; RATE becomes RATE_ratio.
      reverse_rate: estimate RATE_p = KL(p(x,z)||p(z)q(x)) by density ratio, so that
        alpha_p > 0 is admissible: J_pq = REC_z + RATE_p - H_p(z).
      estimators: term name -> "ratio" or "stein", for KL terms that are estimated by samples.
      edits: substitutions already made, in words; they change the objective.
      parameters: the declaration's parameters, for display: numbers, or the text of a tolerance.

    Raises:
      InputError: a number is not finite, a constraint does not parse, or one has two tolerances.
    """

    def tractable(self) -> TractableForm[Objective]:
        """Returns the trained form; see `zoo.objectives.algebra.tractable`."""
        return algebra.tractable(self)

    def explain(self) -> str:
        """Returns the derivation of the trained form, step by step, as text."""
        return derivation.explain(self)

    def substitute(self, expression: str, divergence: str) -> Objective:
        """Replaces a marginal or joint KL of the tractable form by another divergence.

        If the KL has coefficient c in the tractable form, c KL is replaced by c D, as in the
        InfoVAE of [V] with MMD for KL(q(z)||p(z)). The result is another objective; the
        substitution is recorded in `edits`.

        Raises:
          InputError: the coefficient is negative, or the expression is not a term of the form.
        """
        kl = Constraint(expression)
        term = kl.term
        if term is None or kl.expression not in _WITH_A_TERM:
            raise InputError(
                f"{kl.expression} is not a term of the form: substitute one of "
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

        Using a bound means raising a multiplier. For I_p, p and q are exchanged.
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
