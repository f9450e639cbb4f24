"""Whether an objective's critics are spectrally normalised unless somebody says otherwise."""

from __future__ import annotations

from zoo.divergences import DIVERGENCES
from zoo.objective import Objective


def normalises_critics(objective: Objective) -> bool:
    """Returns True where critics stand alone, or a learned multiplier weighs what they estimate.

    Alone, a free critic overpowers the decoder, whose samples collapse. The pull of a normalised
    one is bounded and, at a fixed weight of 1, lost beside a hundred nats of REC_x; a learned
    multiplier grows until it is felt. REC_z is no company: it weighs codes, not images.
    """
    learned = (constraint.divergence for _, constraint in objective.learned)
    if any(name in DIVERGENCES and DIVERGENCES[name].from_below for name in learned):
        return True
    return not {"REC_x", "RATE"} & set(objective.tractable().affine)
