"""Whether learned multipliers have settled: their path over the last tenth of training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

# A drift of 2% in a tenth of training would be 20% if training went on as long again. The range
# counts too, because a cycle can end where it began; batch noise gives a range of a few per cent.
MAX_DRIFT, MAX_RANGE = 0.02, 0.1
NEGLIGIBLE = 0.01  # below this share of its largest value a multiplier has no effect


def drift(records: Iterable[Mapping[str, Any]], expression: str) -> dict[str, Any] | None:
    """Returns how a multiplier moved over the last tenth of training, or None if unknown.

    `change` is the change of the least-squares line. `share` is that change, and `range` the
    multiplier's maximum less its minimum, both relative to its largest value in the last half of
    training.
    """
    path = [
        (row["step"], row["multipliers"][expression])
        for row in records
        if row["split"] == "train" and expression in row["multipliers"]
    ]
    if len(path) < 2 or not np.all(np.isfinite(path)):
        return None
    steps, values = np.array(path, np.float64).T
    # Start at the last record before the tenth begins, and keep at least two records.
    first = int(np.searchsorted(steps, 0.9 * steps[-1], side="right")) - 1
    first = max(0, min(first, len(steps) - 2))
    window, moved = steps[first:], values[first:]
    change = float(np.polyfit(window, moved, 1)[0] * (window[-1] - window[0]))
    size = float(np.abs(values[steps >= steps[-1] / 2]).max()) or 1.0
    share, extent = abs(change) / size, float(np.ptp(moved)) / size
    return {
        "from_step": int(window[0]),
        "to_step": int(window[-1]),
        "change": change,
        "share": share,
        "range": extent,
        "settled": share <= MAX_DRIFT and extent <= MAX_RANGE,
    }


def convergence(constraints: Sequence[Mapping[str, Any]]) -> tuple[bool | None, str]:
    if not constraints:
        return None, "No multiplier is learned."
    sentences = [
        f"The multiplier of {c['expression']} is held by its upper clip."
        for c in constraints
        if c["at_clip"] == "upper"
    ]
    sentences += [
        f"The multiplier of {c['expression']} has not settled: over steps {d['from_step']} to "
        f"{d['to_step']} it drifted by {d['share']:.1%} and ranged over {d['range']:.1%} of its "
        "size."
        for c in constraints
        if (d := c["drift"]) and not d["settled"]
    ]
    if sentences:
        return False, " ".join(sentences)
    if any(c["drift"] is None for c in constraints):
        return None, "There are too few records to tell whether the multipliers have settled."
    return True, (
        f"Over the last tenth of training no multiplier drifted by more than {MAX_DRIFT:.0%}, or "
        f"ranged over more than {MAX_RANGE:.0%}, of its size."
    )
