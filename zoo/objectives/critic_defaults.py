"""Default strength and regularisation of an objective's critics."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from zoo.objectives.affine import Affine
from zoo.objectives.algebra import tractable
from zoo.objectives.declaration import Constraint, Declaration
from zoo.objectives.named_terms import NAMED_TERMS

# By what a critic sees: pairs tell samples from data by either part, and by how they go together.
R1_GAMMA = {"x": 10.0, "z": 10.0, "xz": 30.0}
R1_BESIDE_CYCLES = 0.1
OUTWEIGHS = 10

# Where a learned multiplier follows what critics of codes read; see `constrains_codes`.
CRITIC_STEPS = 3
CRITIC_LEARNING_RATE = 1e-3
LEARNING_RATE = 5e-4  # of encoder and decoder, where it falls to almost nothing
CRITIC_OPTIONS: dict[str, dict[str, Any]] = {
    "mlp": {"critic_z.hidden": [256, 256], "critic_z.squares": True},
    "dcgan": {"critic_z.squares": True},
}


def critics_alone(objective: Declaration) -> bool:
    """Returns whether neither REC_x nor RATE stands beside the critics, which alone weigh images.

    REC_z is no company: it weighs codes.
    """
    return not {"REC_x", "RATE"} & set(tractable(objective).affine)


def beside_cycles(objective: Declaration) -> bool:
    """Returns whether critics of x and of z stand beside both reconstructions, as CycleGAN's do.

    There is nothing of the other set in REC_x and REC_z: a translation is the critics' alone.
    """
    seen = {c.subject.compares for c in objective.constraints if c.subject.critic}
    return {"REC_x", "REC_z"} <= set(tractable(objective).affine) and {"x", "z"} <= seen


def constrains_codes(objective: Declaration) -> bool:
    """Returns whether a learned multiplier follows a critic of z, and no critic sees images.

    The encoder moves q(z) to where the critic reads less. A critic that is normalised, pays R1 or
    takes one step for each of the encoder's falls behind, and the run violates its constraint: with
    JS(q(z)||p(z)) <= 0.02 such a critic read 0.01 where a classifier trained afresh read 0.60.
    Such objectives have critics without regularisation, of `critic_steps` steps, `critic_options`
    and a learning rate of `CRITIC_LEARNING_RATE`. In a run the encoder's falls along a cosine, so
    that at its end critics have caught up: with 16 codes and JS <= 0.02 fresh critics read 0.065
    after 5,000 steps at a constant rate, and 0.016 of one that fell.

    A critic of images so strong tells samples from data at sight (JS(q(x,z)||p(x,z)) is 0.65 or
    more on digits), no tolerance is met, and the decoder learns nothing. TV's bound and W1 need a
    critic of bounded slope: TV's has no gradient where the critic is sure.
    """
    if any(c.subject.lipschitz or c.subject.saturates for c in objective.constraints):
        return False
    critics = list(_critics(objective))
    return any(learned for _, learned in critics) and all(s == "z" for s, _ in critics)


def ratio_estimates(objective: Declaration, constraint: Constraint) -> bool:
    """Returns whether a critic's density ratio is all that a constraint is estimated by."""
    term = constraint.term
    return term in NAMED_TERMS and _by_ratio(objective, term)


def critic_steps(objective: Declaration) -> int:
    """Returns how many steps critics take for each of the other players'."""
    return CRITIC_STEPS if constrains_codes(objective) else 1


def critic_options(objective: Declaration, network: str) -> dict[str, Any]:
    """Returns the network options of critics, stronger than options for every part."""
    return dict(CRITIC_OPTIONS.get(network, {})) if constrains_codes(objective) else {}


def normalises_critics(objective: Declaration) -> bool:
    """Returns whether critics are spectrally normalised: their pull is then bounded.

    So they are where a learned multiplier weighs what one that sees images estimates, which grows
    until it is felt; where one that sees images weighs ten times what REC_x does, or more; and, of
    critics that alone judge samples or translations, for W1, a supremum over critics of bounded
    slope. At a weight of 1 a bounded pull would be lost beside a hundred nats of REC_x. Critics of
    codes alone under a learned multiplier are not: see `constrains_codes`.
    """
    games = [c for c in objective.constraints if c.subject.critic]
    if any(c.learned for c in games):
        return not constrains_codes(objective)
    if _critics_judge(objective):
        return any(c.subject.lipschitz for c in games)
    distortion = tractable(objective).affine.get("REC_x")
    if not isinstance(distortion, Fraction):
        return False
    seen = [c.weight for c in games if "x" in c.subject.compares]
    return any(isinstance(w, Fraction) and w >= OUTWEIGHS * distortion for w in seen)


def penalises_critics(objective: Declaration) -> bool:
    """Returns whether critics pay R1: those that stand alone or beside cycles, unless normalised.

    A free one overpowers the decoder there, whose samples collapse; a spectrally normalised one
    hardly pulls, and leaves samples of one kind, or translations that are none of the other set.
    """
    return _critics_judge(objective) and not normalises_critics(objective)


def r1_gamma(objective: Declaration, space: str) -> float:
    """Returns the weight of R1, the penalty of slopes, of a critic on `space`: "x", "z" or "xz"."""
    if not penalises_critics(objective):
        return 0.0
    return R1_GAMMA[space] if critics_alone(objective) else R1_BESIDE_CYCLES


def _critics_judge(objective: Declaration) -> bool:
    """Returns whether nothing but critics says what samples, or translations, are to be."""
    return critics_alone(objective) or beside_cycles(objective)


def _critics(objective: Declaration) -> Iterator[tuple[str, bool]]:
    """Yields what each critic sees, and whether a learned multiplier weighs what it reads."""
    for constraint in objective.constraints:
        if constraint.subject.critic:
            yield constraint.subject.compares, constraint.learned
    for term, coefficient in tractable(objective).affine.items():
        if term in NAMED_TERMS and _by_ratio(objective, term):
            learned = isinstance(coefficient, Affine) and bool(coefficient.slopes)
            yield NAMED_TERMS[term].compares, learned


def _by_ratio(objective: Declaration, name: str) -> bool:
    """Returns whether a critic's density ratio estimates a named term."""
    return bool(NAMED_TERMS[name].compares) and objective.estimators.get(name, "ratio") == "ratio"
