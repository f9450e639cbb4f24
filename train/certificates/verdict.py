"""What measured constraints and their multipliers say: status, drift, convergence, verdict.

A constraint holds if its whole interval is within its tolerance, and is violated if none of it is.
A dual optimum has its active constraints at their tolerances: that such an interval contains the
tolerance, undecided, is no failure of the run but all that these data can tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from train.certificates.page import number

# At 2% in a tenth of the training a multiplier would move by a fifth in as much training again. A
# cycle can end where it began, so the range counts too; the noise of batches makes a few per cent.
MAX_DRIFT, MAX_RANGE = 0.02, 0.1
NEGLIGIBLE = 0.01  # below this share of its largest value a multiplier no longer acts


def drift(records: Iterable[Mapping[str, Any]], expression: str) -> dict[str, Any] | None:
    """Returns how a multiplier moved over the last tenth of training, or None if it is not known.

    `change` is that of the least-squares line; `share` and `range` are the line's change and the
    path's extent relative to the largest value in the last half of training.
    """
    path = [
        (row["step"], row["multipliers"][expression])
        for row in records
        if row["split"] == "train" and expression in row["multipliers"]
    ]
    if len(path) < 2 or not np.all(np.isfinite(path)):
        return None
    steps, values = np.array(path, np.float64).T
    # From the last record before the tenth begins, and at least from the last but one.
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


def judged(c: dict[str, Any], records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Adds to a measured constraint whether it holds and what its multiplier says of it."""
    eps, interval, multiplier = c["tolerance"], c["interval"], c["multiplier"]
    status, active, slackness = "undecided", None, None
    if interval is not None and interval[1] <= eps:
        status = "holds"
    elif interval is not None and interval[0] > eps:
        status = "violated"
    if multiplier is not None and interval is not None:
        path = [row["multipliers"].get(c["expression"], 0.0) for row in records]
        idle = c["at_clip"] == "lower" or multiplier <= NEGLIGIBLE * max([multiplier, *path])
        active = not (idle and interval[1] < eps)
    if multiplier is not None and c["value"] is not None:
        # lambda (D - eps), which is 0 at an optimum
        slackness = multiplier * (c["value"] - eps)
    return {**c, "status": status, "active": active, "complementary_slackness": slackness}


def decide(constraints: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    found = {c["status"] for c in constraints}
    if not found:
        return "fixed multipliers", "No constraint has a tolerance that could hold or be violated."
    if found == {"holds"}:
        return "feasible", "Every constraint holds on held-out data."
    status = "violated" if "violated" in found else "undecided"
    reason = " ".join(_complaint(c) for c in constraints if c["status"] == status)
    return ("infeasible" if status == "violated" else "undecided"), reason


def _complaint(c: Mapping[str, Any]) -> str:
    """Says why one constraint does not hold."""
    name, eps = c["expression"], number(c["tolerance"])
    if c["value"] is None:
        return f"{name} is undecided: it is not finite on held-out data."
    if c["interval"] is None:
        return f"{name} is undecided: there are too few batches for an interval."
    low, high = map(number, c["interval"])
    if c["status"] == "undecided":
        return f"{name} is undecided: its interval, {low} to {high}, contains the tolerance {eps}."
    found = f"{name} is violated: {c['quantity']} is {low} to {high}, where {eps} is allowed."
    training, path = c["training_value"], c["drift"]
    if c["at_clip"] == "upper":
        return f"{found} Its multiplier is at its upper clip: it is infeasible for this network."
    if training is not None and training <= c["tolerance"]:
        return f"{found} It is {number(training)} in training: it does not generalise."
    if path and not path["settled"] and path["change"] > 0:
        return f"{found} Its multiplier still rises: a longer run may meet it."
    return found


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
        return None, "Too few records tell whether the multipliers have settled."
    return True, (
        f"Over the last tenth of training no multiplier drifted by more than {MAX_DRIFT:.0%}, or "
        f"ranged over more than {MAX_RANGE:.0%}, of its size."
    )
