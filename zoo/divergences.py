"""The divergences a constraint may name, as facts the algebra needs (no TensorFlow).

The estimator of divergence NAME on space s is the term NAME_s of `zoo.terms`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from zoo.errors import unknown


@dataclass(frozen=True)
class Divergence:
    """A divergence D(a||b): non-negative, zero if and only if a = b.

    Attributes:
      largest: what it cannot exceed, None if it can be of any size.
      from_below: whether a critic estimates it by a lower bound, which can be negative.
    """

    name: str
    symmetric: bool
    describes: str
    largest: float | None = None
    from_below: bool = False


_BOUND = "by a critic's variational bound"
_TABLE = (
    Divergence("KL", False, "Kullback-Leibler, E_a[log a - log b]"),
    Divergence("JS", True, "Jensen-Shannon, in [0, log 2], by a critic", math.log(2), True),
    Divergence("MMD", True, "squared maximum mean discrepancy, by a kernel"),
    Divergence("FKL", False, f"KL(a||b), {_BOUND}", from_below=True),
    Divergence("RKL", False, f"KL(b||a), {_BOUND}", from_below=True),
    Divergence("CHI2", False, f"Pearson chi-squared, E_b[(a/b - 1)^2], {_BOUND}", from_below=True),
    Divergence("H2", True, f"squared Hellinger, E_b[(sqrt(a/b) - 1)^2], {_BOUND}", 2.0, True),
    Divergence("TV", True, f"total variation, E_b|a/b - 1| / 2, {_BOUND}", 1.0, True),
    Divergence("W1", True, "Wasserstein-1, by a 1-Lipschitz critic", from_below=True),
    Divergence("SW", True, "squared sliced Wasserstein-2, by random projections"),
)
DIVERGENCES = {divergence.name: divergence for divergence in _TABLE}


def divergence(name: str) -> Divergence:
    """Returns the divergence called `name`, in any case.

    Raises:
      InputError: no divergence has that name (offers the nearest).
    """
    try:
        return DIVERGENCES[name.upper()]
    except KeyError:
        raise unknown("divergence", name, DIVERGENCES) from None
