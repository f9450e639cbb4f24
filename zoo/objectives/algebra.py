"""From a declaration to its tractable form, and the repair of an inadmissible one.

The form is the unique solution of one linear system over the vectors of `zoo.objectives.vectors`
([U] appendix B, corrected).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any, Generic, TypeVar

from zoo.errors import InputError
from zoo.objectives import admissibility
from zoo.objectives.affine import Affine, Number, exact, is_negative, number_text, variable
from zoo.objectives.coefficients import Coefficients
from zoo.objectives.declaration import Declaration
from zoo.objectives.vectors import ENTROPIES, Vector, combine, decompose, information

D = TypeVar("D", bound=Declaration)

_REMEMBERED = 256  # forms

# The constraint whose multiplier raises the coefficient of a deficient term. In this order,
# raising one lowers only later ones: KL(q(x|z)||p(x|z)) raises RATE and lowers Dz_qp.
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


@dataclass(frozen=True)
class Repair(Generic[D]):
    """The smallest change of multipliers that makes an objective admissible; alpha stays."""

    raises: tuple[tuple[str, Number], ...]
    reverse_rate: bool
    objective: D
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class TractableForm(Generic[D]):
    """The trained form, and whether it is admissible: objective = sum_i c_i term_i + constant.

    Attributes:
      affine: term name -> coefficient, affine in the learned multipliers.
      constant: "H_q(x)", "H_p(z)" or a learned multiplier times its eps -> coefficient.
      nulls: the elementary nulls the derivation adds, with coefficients.
      hardness: "likelihood-based", "unary", "binary" or "not computable".
      refusals: one sentence for each reason why it cannot be trained; empty if admissible.
      repair: the suggested change of multipliers, or None.
      complete: which of the constraint sets C1, C2, C3 of [I] eq. 9-11 the constraints contain.
      notes: warnings that the coefficients do not show.
    """

    objective: D
    affine: Coefficients
    constant: Coefficients
    nulls: Coefficients
    hardness: str
    refusals: tuple[str, ...]
    complete: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def admissible(self) -> bool:
        """Whether no term would maximise a divergence or minimise a likelihood."""
        return not self.refusals

    def require_admissible(self) -> None:
        """Raises InputError, with the reasons and the repair, unless the form is admissible."""
        if not self.admissible:
            mend = f" Repair: {self.repair}." if self.repair else ""
            reasons = " ".join(self.refusals)
            raise InputError(f"{self.objective.name} cannot be trained: {reasons}{mend}")

    @cached_property
    def coefficients(self) -> Coefficients:
        """Term name -> exact coefficient, at the initial value of each learned multiplier."""
        return Coefficients({name: self.at_initial(c) for name, c in self.affine.items()})

    @cached_property
    def repair(self) -> Repair[D] | None:
        """The multipliers to raise; None if the form is admissible or has no repair."""
        return None if self.admissible else _repair(self.objective)

    def at_initial(self, number: Number) -> Number:
        if isinstance(number, Affine):
            return number.at(self.objective.initial_multipliers)
        return exact(number)


def kl_vector(objective: Declaration) -> Vector:
    """Returns the KL part of the Lagrangian over the 20 basic terms."""
    parts: list[tuple[Number, Vector]] = [
        (objective.alpha_q, information("q")),
        (objective.alpha_p, information("p")),
    ]
    for constraint in objective.constraints:
        vector = constraint.subject.vector
        if vector is not None:
            parts.append((objective.multiplier(constraint), vector))
    return combine(*parts)


def tractable(objective: D) -> TractableForm[D]:
    """Derives the unique form on the terms that can be estimated; cached for equal objectives.

        alpha_q I_q + alpha_p I_p + sum of weighted KLs  =  sum of eight terms + constant

    [U] appendix B; subjects without a vector, such as divergences other than KL, are added as they
    are.
    """
    return _tractable(objective)


@lru_cache(maxsize=_REMEMBERED)
def _tractable(objective: Any) -> TractableForm[Any]:
    terms, nulls = decompose(kl_vector(objective))
    sums: defaultdict[str, Number] = defaultdict(Fraction, {n: c for n, c in terms.items() if c})
    constant = {h: -1 * nulls[null] for null, h in ENTROPIES.items() if nulls[null]}

    rec_z = sums["REC_z"]
    if objective.reverse_rate and is_negative(rec_z):
        # c J_pq - c REC_z = c RATE_p - c H_p(z), for the negative part of REC_z
        c = -1 * (rec_z.constant if isinstance(rec_z, Affine) and rec_z.constant < 0 else rec_z)
        sums["REC_z"] = rec_z + c
        sums["J_pq"] = sums["J_pq"] - c
        sums["RATE_p"] = c
        constant["H_p(z)"] = constant.get("H_p(z)", Fraction(0)) - c
    if objective.implicit_encoder and "RATE" in sums:
        sums["RATE_ratio"] = sums.pop("RATE")
    for constraint in objective.constraints:
        term = constraint.term
        if constraint.subject.vector is None and term is not None:
            sums[term] = sums[term] + objective.multiplier(constraint)
    coefficients = Coefficients({name: c for name, c in sums.items() if c})
    for symbol, constraint in objective.learned:
        constant[f"{symbol} e{symbol[1:]}"] = Fraction(-1)
        if constraint.subject.bounds_elbo:
            constant["H_q(x)"] = constant.get("H_q(x)", Fraction(0)) + variable(symbol)
    return TractableForm(
        objective=objective,
        affine=coefficients,
        constant=Coefficients({name: c for name, c in constant.items() if c}),
        nulls=Coefficients({name: -1 * c for name, c in nulls.items() if c}),
        hardness=admissibility.hardness(objective, coefficients),
        refusals=admissibility.refusals(objective, coefficients),
        complete=admissibility.complete(objective),
        notes=admissibility.notes(objective),
    )


def _repair(objective: D) -> Repair[D] | None:
    """Raises each deficient multiplier by its deficit; alpha_q and alpha_p stay as they are.

    A positive alpha_p needs a capability instead: RATE_p by density ratio (`reverse_rate`).
    Returns None if neither helps: for a divergence other than KL on a conditional, an implicit
    encoder with REC_z, or an objective whose coefficients are all 0.
    """
    raises: list[tuple[str, Number]] = []
    reverse_rate = is_negative(tractable(objective).affine["REC_z"]) and not objective.reverse_rate
    if reverse_rate:
        objective = replace(objective, reverse_rate=True)
    for constraint in objective.constraints:
        term = constraint.term
        if constraint.subject.vector is not None or term is None:
            continue
        deficit = tractable(objective).affine[term]
        if is_negative(deficit):
            raises.append((constraint.expression, _deficit(deficit)))
            objective = objective.raised(*raises[-1])
    for name, expression in _LIFTS.items():
        coefficient = tractable(objective).affine[name]
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
    """Returns the amount that makes the coefficient >= 0 for every multiplier >= 0."""
    constant = coefficient.constant if isinstance(coefficient, Affine) else coefficient
    return max(-constant, Fraction(0))
