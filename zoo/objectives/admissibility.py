"""How hard a form is to train, whether it may be trained at all, and what its constraints imply."""

from __future__ import annotations

from zoo.objectives import capabilities
from zoo.objectives.affine import Affine, number_text
from zoo.objectives.algebra import MARGINAL_TERMS, Coefficients, constraint_vector, is_negative
from zoo.objectives.objective import Constraint, Objective

JOINT_RATIO_TERMS = ("J_pq", "RATE_ratio", "RATE_p")
LIKELIHOODS = ("REC_x", "REC_z")

# What a constraint on a likelihood term implies: REC_x - H_q(x) = C_x - I_q, and so on.
_IMPLIED_SPACE = {"REC_x": "x|z", "REC_z": "z|x", "RATE": "z"}
_COMPLETE_SETS = {"C1": {"xz"}, "C2": {"x", "z|x"}, "C3": {"z", "x|z"}}


def hardness(objective: Objective, coefficients: Coefficients) -> str:
    """Returns the computability class of [U] definition 2.

    "binary" if a term compares joints by samples, "unary" if one compares marginals,
    "likelihood-based" otherwise; "not computable" if a divergence other than KL is put on a
    conditional.
    """
    if _not_computable(objective):
        return "not computable"
    other = {
        c.space
        for c in objective.constraints
        if _likelihood_free(c) and (c.learned or c.weight != 0)
    }
    if "xz" in other or any(coefficients[name] for name in JOINT_RATIO_TERMS):
        return "binary"
    if other or any(coefficients[name] for name in MARGINAL_TERMS):
        return "unary"
    return "likelihood-based"


def refusals(objective: Objective, coefficients: Coefficients) -> tuple[str, ...]:
    """Returns one sentence for each reason why the form must not be trained."""
    sentences = [
        f"{c.expression} compares conditionals, which no sample-based estimate of "
        f"{c.divergence} can: use KL, or {c.divergence}(q(x,z)||p(x,z))."
        for c in _not_computable(objective)
    ]
    for name, coefficient in coefficients.items():
        if is_negative(coefficient):
            verb = "minimise the likelihood in" if name in LIKELIHOODS else "maximise"
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


def complete(objective: Objective) -> tuple[str, ...]:
    """Returns which of C1 {(x,z)}, C2 {x, z|x}, C3 {z, x|z} are constrained ([I] eq. 9-11).

    Any of them makes D = 0 equivalent to p(x,z) = q(x,z); none leaves the objective incomplete.
    """
    spaces = {
        c.space or _IMPLIED_SPACE[c.divergence]
        for c in objective.constraints
        if c.learned or isinstance(c.weight, Affine) or c.weight > 0
    }
    return tuple(name for name, needed in _COMPLETE_SETS.items() if needed <= spaces)


def notes(objective: Objective) -> tuple[str, ...]:
    """Returns what a user should know beyond the coefficients, one sentence each."""
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
        if constraint.learned and constraint.expression == "KL(q(x,z)||p(x,z))":
            sentences.append(
                "KL(q(x,z)||p(x,z)) is constrained through -ELBO = KL + H_q(x): its tolerance "
                "bounds -ELBO"
            )
    if any(c.learned for c in objective.constraints) and (
        not isinstance(objective.alpha_q, Affine) and objective.alpha_q < 0
    ):
        sentences.append(
            "alpha_q < 0 with learned multipliers: strong duality can fail, plain ascent may cycle"
        )
    return tuple(sentences)


def _likelihood_free(constraint: Constraint) -> bool:
    return constraint_vector(constraint) is None


def _not_computable(objective: Objective) -> list[Constraint]:
    return [
        c
        for c in objective.constraints
        if _likelihood_free(c) and "|" in c.space and (c.learned or c.weight != 0)
    ]
