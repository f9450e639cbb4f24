"""What holds an objective's critics back unless somebody says otherwise."""

from __future__ import annotations

from fractions import Fraction

from zoo.objective import Constraint, Objective

# By what a critic sees: pairs tell samples from data by either part, and by how they go together.
R1_GAMMA = {"x": 10.0, "z": 10.0, "xz": 30.0}
R1_BESIDE_CYCLES = 0.1
OUTWEIGHS = 10


def critics_alone(objective: Objective) -> bool:
    """Returns whether neither REC_x nor RATE stands beside the critics, which alone weigh images.

    REC_z is no company: it weighs codes.
    """
    return not {"REC_x", "RATE"} & set(objective.tractable().affine)


def beside_cycles(objective: Objective) -> bool:
    """Returns whether critics of x and of z stand beside both reconstructions, as CycleGAN's do.

    There is nothing of the other set in REC_x and REC_z: a translation is the critics' alone.
    """
    seen = {c.space for c in objective.constraints if _by_critic(c)}
    return {"REC_x", "REC_z"} <= set(objective.tractable().affine) and {"x", "z"} <= seen


def normalises_critics(objective: Objective) -> bool:
    """Returns whether critics are spectrally normalised: their pull is then bounded.

    So they are where a learned multiplier weighs what one estimates, which grows until it is felt;
    where one that sees images weighs ten times what REC_x does, or more; and, of critics that alone
    judge samples or translations, for a supremum over critics of bounded slope, as W1 is. At a
    weight of 1 a bounded pull would be lost beside a hundred nats of REC_x.
    """
    games = [c for c in objective.constraints if _by_critic(c)]
    if any(c.learned for c in games):
        return True
    if _critics_judge(objective):
        return any(c.facts is not None and c.facts.lipschitz for c in games)
    distortion = objective.tractable().affine.get("REC_x")
    if not isinstance(distortion, Fraction):
        return False
    seen = [c.weight for c in games if "x" in c.space]
    return any(isinstance(w, Fraction) and w >= OUTWEIGHS * distortion for w in seen)


def penalises_critics(objective: Objective) -> bool:
    """Returns whether critics pay R1: those that stand alone or beside cycles, unless normalised.

    A free one overpowers the decoder there, whose samples collapse; a spectrally normalised one
    hardly pulls, and leaves samples of one kind, or translations that are none of the other set.
    """
    return _critics_judge(objective) and not normalises_critics(objective)


def r1_gamma(objective: Objective, space: str) -> float:
    """Returns the weight of R1, the penalty of slopes, of a critic on `space`: "x", "z" or "xz"."""
    if not penalises_critics(objective):
        return 0.0
    return R1_GAMMA[space] if critics_alone(objective) else R1_BESIDE_CYCLES


def _critics_judge(objective: Objective) -> bool:
    """Returns whether nothing but critics says what samples, or translations, are to be."""
    return critics_alone(objective) or beside_cycles(objective)


def _by_critic(constraint: Constraint) -> bool:
    return constraint.facts is not None and constraint.facts.critic
