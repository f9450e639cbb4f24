"""What holds an objective's critics back unless somebody says otherwise."""

from __future__ import annotations

from zoo.divergences import DIVERGENCES
from zoo.objective import Objective

R1_GAMMA = 10.0


def critics_alone(objective: Objective) -> bool:
    """Returns whether neither REC_x nor RATE stands beside the critics, which alone weigh images.

    REC_z is no company: it weighs codes.
    """
    return not {"REC_x", "RATE"} & set(objective.tractable().affine)


def normalises_critics(objective: Objective) -> bool:
    """Returns True where a learned multiplier weighs what a critic estimates, or W1 stands alone.

    The pull of a spectrally normalised critic is bounded, and its multiplier grows until it is
    felt. At a fixed weight of 1 it would be lost beside a hundred nats of REC_x. W1 is a supremum
    over critics of bounded slope.
    """
    learned = (constraint.divergence for _, constraint in objective.learned)
    if any(name in DIVERGENCES and DIVERGENCES[name].from_below for name in learned):
        return True
    return critics_alone(objective) and any(c.divergence == "W1" for c in objective.constraints)


def r1_gamma(objective: Objective) -> float:
    """Returns the weight of R1, the penalty of critics' slopes: above 0 where they stand alone.

    Alone, a free critic overpowers the decoder, whose samples collapse; a spectrally normalised one
    hardly pulls, and leaves samples of one kind.
    """
    return R1_GAMMA if critics_alone(objective) and not normalises_critics(objective) else 0.0
