"""The divergences that constraints may name, with their properties (no TensorFlow).

The estimator of divergence NAME on space s is the term NAME_s of `zoo.terms`. The table below
holds the zoo's divergences, because declaring an objective imports no TensorFlow;
`zoo.terms.divergence` adds a user's.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

from zoo.errors import InputError, unknown

# What an estimate is in expectation over held-out samples: the term's value, a lower bound on it,
# an upper bound, or neither.
Side = Literal["exact", "lower", "upper", "neither"]

NATS = "nats"  # per example
SPACES = ("x", "z", "xz")

NAME = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
_OTHER_TERMS = ("RATE", "REC")  # reserved: names of terms that are not divergences


@dataclass(frozen=True)
class Divergence:
    """A divergence D(a||b): non-negative, zero if and only if a = b.

    Attributes:
      name: its name in constraints, in capitals.
      symmetric: whether D(a||b) = D(b||a).
      describes: a description in a few words.
      largest: its largest value, None if unbounded.
      side: from which side the estimate bounds it, with the estimator's default options.
      critic: whether a critic estimates it, by a supremum: such an estimate can be negative.
      lipschitz: whether that supremum is over critics of bounded slope: they are then spectrally
        normalised by default.
      saturates: whether a sure critic gives encoder and decoder no gradient.
      unit: NATS, or another unit, such as "squared distance"; "" for none.

    Raises:
      InputError: a value is out of range.
    """

    name: str
    symmetric: bool
    describes: str
    largest: float | None = None
    side: Side = "neither"
    critic: bool = False
    lipschitz: bool = False
    saturates: bool = False
    unit: str = NATS

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or self.name in _OTHER_TERMS:
            raise InputError(
                f"A divergence cannot be called {self.name!r}: use capitals and digits, as in "
                f"ENERGY, and none of {', '.join(_OTHER_TERMS)}."
            )
        if self.side not in get_args(Side):
            raise unknown(f"side of {self.name}", str(self.side), get_args(Side))
        if self.largest is not None and not 0.0 < self.largest < math.inf:
            raise InputError(
                f"The largest value of {self.name} is {self.largest!r}: give a number above 0, or "
                "None if it can be of any size."
            )


_BOUND = "by a critic's variational bound"
_TABLE = (
    # By density ratio, which is no bound; the algebra uses exact terms where it can.
    Divergence("KL", False, "Kullback-Leibler, E_a[log a - log b]"),
    Divergence(
        "JS", True, "Jensen-Shannon, in [0, log 2], by a critic", math.log(2), "lower", critic=True
    ),
    Divergence(
        "MMD",
        True,
        "squared maximum mean discrepancy, by a kernel",
        side="exact",
        unit="squared kernel distance",
    ),
    Divergence("FKL", False, f"KL(a||b), {_BOUND}", side="lower", critic=True),
    Divergence("RKL", False, f"KL(b||a), {_BOUND}", side="lower", critic=True),
    Divergence(
        "CHI2",
        False,
        f"Pearson chi-squared, E_b[(a/b - 1)^2], {_BOUND}",
        side="lower",
        critic=True,
        unit="",
    ),
    Divergence(
        "H2",
        True,
        f"squared Hellinger, E_b[(sqrt(a/b) - 1)^2], {_BOUND}",
        2.0,
        "lower",
        critic=True,
        unit="",
    ),
    Divergence(
        "TV",
        True,
        f"total variation, E_b|a/b - 1| / 2, {_BOUND}",
        1.0,
        "lower",
        critic=True,
        saturates=True,
        unit="",
    ),
    # Nothing holds the slope of the training critic at 1, so its estimate is no bound.
    Divergence(
        "W1",
        True,
        "Wasserstein-1, by a 1-Lipschitz critic",
        critic=True,
        lipschitz=True,
        unit="distance",
    ),
    # Optimal transport is jointly convex: the cost between samples is larger on average.
    Divergence(
        "SW",
        True,
        "squared sliced Wasserstein-2, by random projections",
        side="upper",
        unit="squared distance",
    ),
)
DIVERGENCES = {divergence.name: divergence for divergence in _TABLE}
_OWNERS = dict.fromkeys(DIVERGENCES, "zoo")  # name -> the class that registered it


def divergence(name: str) -> Divergence:
    """Returns the divergence called `name`, in any case.

    Raises:
      InputError: no divergence has that name (offers the nearest).
    """
    try:
        return DIVERGENCES[name.upper()]
    except KeyError:
        error = unknown("divergence", name, DIVERGENCES)
        raise InputError(
            f"{error} A divergence of your own needs --import=MODULE, the module that registers it."
        ) from None


def register(facts: Divergence, owner: str) -> None:
    """Adds a divergence to those that constraints may name.

    Args:
      facts: the properties of the divergence.
      owner: the class that estimates it, "my_parts.Energy". The same class may register again,
        for example when a notebook cell is run twice.

    Raises:
      InputError: another class has registered that name.
    """
    before = _OWNERS.get(facts.name, owner)
    if before != owner:
        raise InputError(
            f"{owner} cannot be called {facts.name}, which is a divergence of {before}: choose "
            "another name."
        )
    DIVERGENCES[facts.name], _OWNERS[facts.name] = facts, owner
