"""The smallest raise of multipliers that makes a refused objective admissible."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from zoo.objectives.affine import Affine, Number, number_text
from zoo.objectives.algebra import Repair, TractableForm, is_negative, tractable

# The constraint whose multiplier lifts a deficient term, in an order in which lifting one
# term spoils only later ones: KL(q(x|z)||p(x|z)) lifts RATE and lowers Dz_qp.
_LIFTS = {
    "REC_x": "KL(q(x,z)||p(x,z))",
    "RATE": "KL(q(x|z)||p(x|z))",
    "RATE_ratio": "KL(q(x|z)||p(x|z))",
    "Dz_qp": "KL(q(z)||p(z))",
    "Dx_qp": "KL(q(x)||p(x))",
    "J_pq": "KL(p(x,z)||q(x,z))",
    "Dx_pq": "KL(p(x)||q(x))",
    "Dz_pq": "KL(p(z)||q(z))",
}


def repair(form: TractableForm) -> Repair | None:
    """Raises each deficient multiplier by its deficit; alpha_q and alpha_p stay as they are.

    A positive alpha_p needs a capability instead: RATE_p by density ratio (`reverse_rate`).
    Returns None where neither helps: a divergence other than KL on a conditional, an implicit
    encoder with REC_z, or nothing to train.
    """
    objective = form.objective
    raises: list[tuple[str, Number]] = []
    reverse_rate = is_negative(form.affine["REC_z"]) and not objective.reverse_rate
    if reverse_rate:
        objective = replace(objective, reverse_rate=True)
    for constraint in objective.constraints:
        if not constraint.space or constraint.divergence == "KL":
            continue
        deficit = tractable(objective).affine[constraint.term]
        if is_negative(deficit):
            raises.append((constraint.expression, _deficit(deficit)))
            objective = objective.raised(*raises[-1])
    for term, expression in _LIFTS.items():
        coefficient = tractable(objective).affine[term]
        if is_negative(coefficient):
            raises.append((expression, _deficit(coefficient)))
            objective = objective.raised(*raises[-1])
    if not tractable(objective).admissible:
        return None
    steps = [f"raise the multiplier on {name} by {number_text(by)}" for name, by in raises]
    if reverse_rate:
        steps.append("estimate RATE_p by density ratio (reverse_rate)")
    return Repair(tuple(raises), reverse_rate, objective, " and ".join(steps))


def _deficit(coefficient: Number) -> Number:
    """Returns what must be added so that the coefficient is >= 0 for every multiplier >= 0."""
    constant = coefficient.constant if isinstance(coefficient, Affine) else coefficient
    return max(-constant, Fraction(0))
