"""Computability class and admissibility of a form, and what its constraints imply."""

from __future__ import annotations

from zoo.objectives import capabilities
from zoo.objectives.affine import Affine, is_negative, number_text
from zoo.objectives.coefficients import Coefficients
from zoo.objectives.declaration import Constraint, Declaration
from zoo.objectives.named_terms import NAMED_TERMS

_COMPLETE_SETS = {"C1": {"xz"}, "C2": {"x", "z|x"}, "C3": {"z", "x|z"}}


def hardness(objective: Declaration, coefficients: Coefficients) -> str:
    """Returns the computability class of [U] definition 2.

    "binary" if a term compares joints by samples, "unary" if one compares marginals,
    "likelihood-based" otherwise; "not computable" if a divergence other than KL is put on a
    conditional.
    """
    weighed = [c.subject for c in objective.constraints if _weighed(c)]
    if any(subject.refusal for subject in weighed):
        return "not computable"
    compared = {subject.compares for subject in weighed}
    compared |= {t.compares for name, t in NAMED_TERMS.items() if coefficients[name]}
    if "xz" in compared:
        return "binary"
    return "unary" if compared & {"x", "z"} else "likelihood-based"


def refusals(objective: Declaration, coefficients: Coefficients) -> tuple[str, ...]:
    """Returns one sentence for each reason why the form is not admissible."""
    sentences = [
        c.subject.refusal
        for c in objective.constraints
        if c.subject.refusal is not None and _weighed(c)
    ]
    for name, coefficient in coefficients.items():
        if is_negative(coefficient):
            likelihood = name in NAMED_TERMS and NAMED_TERMS[name].likelihood
            verb = "minimise the likelihood in" if likelihood else "maximise"
            sentences.append(
                f"{name} has coefficient {number_text(coefficient)}: training would {verb} {name}."
            )
    if objective.implicit_encoder:
        sentences += capabilities.refusals(
            coefficients, {capabilities.ENCODER: capabilities.IMPLICIT_ENCODER}
        )
    if not coefficients and not sentences:
        sentences.append("Every term has coefficient 0: there is nothing to train.")
    return tuple(sentences)


def complete(objective: Declaration) -> tuple[str, ...]:
    """Returns which of C1 {(x,z)}, C2 {x, z|x}, C3 {z, x|z} are constrained ([I] eq. 9-11).

    If any is constrained, D = 0 is equivalent to p(x,z) = q(x,z); otherwise the objective is
    incomplete.
    """
    implied = (
        c.subject.implies
        for c in objective.constraints
        if c.learned or isinstance(c.weight, Affine) or c.weight > 0
    )
    spaces = frozenset().union(*implied)
    return tuple(name for name, needed in _COMPLETE_SETS.items() if needed <= spaces)


def notes(objective: Declaration) -> tuple[str, ...]:
    """Returns the warnings that the coefficients do not show, one sentence each."""
    sentences = list(objective.edits)
    if not complete(objective):
        sentences.append(
            "incomplete: the constraints contain none of C1, C2, C3, so D = 0 does not make "
            "p(x,z) = q(x,z)"
        )
    total = objective.alpha_q + objective.alpha_p
    if not isinstance(total, Affine) and total < 0:
        sentences.append(
            "alpha_q + alpha_p < 0: no lower bound for continuous x and z, "
            "so variances have a floor"
        )
    for constraint in objective.constraints:
        if constraint.learned and constraint.subject.bounds_elbo:
            sentences.append(
                f"{constraint.expression} is constrained through -ELBO = KL + H_q(x): its "
                "tolerance bounds -ELBO"
            )
    if any(c.learned for c in objective.constraints) and (
        not isinstance(objective.alpha_q, Affine) and objective.alpha_q < 0
    ):
        sentences.append(
            "alpha_q < 0 with learned multipliers: strong duality can fail, plain ascent may cycle"
        )
    return tuple(sentences)


def _weighed(constraint: Constraint) -> bool:
    return constraint.learned or constraint.weight != 0
