"""Default strength and regularisation of an objective's critics."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from zoo.objectives.affine import Affine
from zoo.objectives.algebra import tractable
from zoo.objectives.declaration import Constraint, Declaration
from zoo.objectives.named_terms import NAMED_TERMS

# By the space of the critic. On pairs it is stronger: x, z or their dependence may differ.
R1_GAMMA = {"x": 10.0, "z": 10.0, "xz": 30.0}
R1_BESIDE_CYCLES = 0.1
OUTWEIGHS = 10

# For a learned multiplier that follows critics of codes; see `constrains_codes`.
CRITIC_STEPS = 3
CRITIC_LEARNING_RATE = 1e-3
LEARNING_RATE = 5e-4  # of encoder and decoder, when it decays to almost 0
CRITIC_OPTIONS: dict[str, dict[str, Any]] = {
    "mlp": {"critic_z.hidden": [256, 256], "critic_z.squares": True},
    "dcgan": {"critic_z.squares": True},
}


def critics_alone(objective: Declaration) -> bool:
    """Returns whether critics alone constrain images: the form has neither REC_x nor RATE.

    REC_z does not count here: it constrains codes, not images.
    """
    return not {"REC_x", "RATE"} & set(tractable(objective).affine)


def beside_cycles(objective: Declaration) -> bool:
    """Returns whether critics of x and of z accompany both reconstructions, as in CycleGAN.

    REC_x and REC_z never compare a translation with the other set: only critics do.
    """
    seen = {c.subject.compares for c in objective.constraints if c.subject.critic}
    return {"REC_x", "REC_z"} <= set(tractable(objective).affine) and {"x", "z"} <= seen


def constrains_codes(objective: Declaration) -> bool:
    """Returns whether a learned multiplier follows a critic of z, and no critic sees images.

    The encoder moves q(z) to where the critic's estimate is low. A critic that is spectrally
    normalised, has R1 or takes one step per encoder step falls behind, and the run violates its
    constraint: with JS(q(z)||p(z)) <= 0.02 such a critic estimated 0.01 where a freshly trained
    classifier estimated 0.60.

    Such objectives have critics without regularisation, with `critic_steps` steps per encoder step,
    `critic_options` and a learning rate of `CRITIC_LEARNING_RATE`. In a run the encoder's learning
    rate decays along a cosine, so that critics catch up by the end: with 16 codes and JS <= 0.02
    fresh critics estimated 0.065 after 5,000 steps at a constant rate, and 0.016 with decay.

    Critics of images are excluded: without regularisation they separate samples from data almost
    perfectly (JS(q(x,z)||p(x,z)) is 0.65 or more on digits), no tolerance is met, and the decoder
    learns nothing. TV and W1 are excluded because they need a critic of bounded slope: TV's bound
    has no gradient where the critic is sure.
    """
    if any(c.subject.lipschitz or c.subject.saturates for c in objective.constraints):
        return False
    critics = list(_critics(objective))
    return any(learned for _, learned in critics) and all(s == "z" for s, _ in critics)


def ratio_estimates(objective: Declaration, constraint: Constraint) -> bool:
    """Returns whether every term of a constraint is estimated by a critic's density ratio."""
    term = constraint.term
    return term in NAMED_TERMS and _by_ratio(objective, term)


def critic_steps(objective: Declaration) -> int:
    """Returns the number of critic steps per step of encoder and decoder."""
    return CRITIC_STEPS if constrains_codes(objective) else 1


def critic_options(objective: Declaration, network: str) -> dict[str, Any]:
    """Returns the network options of critics, which override options applied to every part."""
    return dict(CRITIC_OPTIONS.get(network, {})) if constrains_codes(objective) else {}


def normalises_critics(objective: Declaration) -> bool:
    """Returns whether critics are spectrally normalised, which bounds their gradients.

    They are in three cases: a learned multiplier, which grows until it has an effect, weighs a
    critic of images; a critic of images has at least ten times the weight of REC_x; or critics
    alone judge samples or translations by W1, a supremum over critics of bounded slope. With a
    weight of 1 a bounded gradient would be lost beside a hundred nats of REC_x. With a learned
    multiplier, critics that see only codes are not normalised: see `constrains_codes`.
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
    """Returns whether R1 is applied: to critics alone or beside cycles, unless normalised.

    An unregularised critic overpowers the decoder there, and samples collapse. A spectrally
    normalised one has too weak a gradient: samples are all of one kind, or translations do not
    look like the other set.
    """
    return _critics_judge(objective) and not normalises_critics(objective)


def r1_gamma(objective: Declaration, space: str) -> float:
    """Returns the R1 gradient-penalty weight of a critic on `space`: "x", "z" or "xz"."""
    if not penalises_critics(objective):
        return 0.0
    return R1_GAMMA[space] if critics_alone(objective) else R1_BESIDE_CYCLES


def _critics_judge(objective: Declaration) -> bool:
    """Returns whether critics alone constrain samples or translations."""
    return critics_alone(objective) or beside_cycles(objective)


def _critics(objective: Declaration) -> Iterator[tuple[str, bool]]:
    """Yields the space of each critic, and whether a learned multiplier weighs its estimate."""
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
