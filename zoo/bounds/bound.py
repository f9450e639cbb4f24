"""A bound on a divergence: its estimate, its confidence limit and its method."""

from __future__ import annotations

import dataclasses
from typing import Literal

Side = Literal["lower", "upper"]


@dataclasses.dataclass(frozen=True)
class Bound:
    """A lower or an upper bound on a divergence, estimated on samples.

        lower:  P( limit <= D ) >= 97.5%        upper:  P( D <= limit ) >= 97.5%

    Attributes:
      side: "lower" or "upper".
      value: the estimate of the bound, in the divergence's units.
      limit: the end of its one-sided 97.5% interval: below `value` for a lower bound, above it
        for an upper one.
      method: how it was computed, in words.
      size: the number of held-out examples.
      notes: caveats for the reader, each a sentence without a full stop.
    """

    side: Side
    value: float
    limit: float
    method: str
    size: int
    notes: tuple[str, ...] = ()
