"""The status of each constraint, decided by its bounds, and the verdict of the run.

    holds            an upper bound's confidence limit is within the tolerance
    violated         a lower bound's confidence limit is above it
    undecided        neither, though an upper bound exists
    not refuted      neither, and no upper bound exists: an attempt to refute it failed
    uninformative    it holds, but the tolerance allows known failures

An estimate alone decides nothing: a critic's is a lower bound or no bound. At a dual optimum the
active constraints are at their tolerances. So "undecided" is not a failure of the run; it means
that these data cannot tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from train.certificates.convergence import NEGLIGIBLE
from train.certificates.page import number

# The verdict of a run is that of its worst constraint, in this order.
_VERDICTS = {
    "violated": "infeasible",
    "undecided": "undecided",
    "uninformative": "uninformative",
    "not refuted": "not refuted",
    "holds": "feasible",
}


def judged(c: dict[str, Any], records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns a bounded constraint with its status, whether it is active, and its slackness."""
    eps, multiplier = c["tolerance_here"], c["multiplier"]
    low, high = limit(c, "lower"), limit(c, "upper")
    if not (c["value"] is None or math.isfinite(c["value"])):
        raise ValueError(f"{c['expression']} has value {c['value']}: use None.")
    status = "undecided"
    if multiplier is None or c["value"] is None:
        pass  # nothing can be decided if the value or the multiplier is not finite
    elif low is not None and low > eps:
        status = "violated"
    elif high is not None and high <= eps:
        status = "uninformative" if c["uninformative"] else "holds"
    elif c["upper"] is None and c["lower"] is not None and c["side"] != "exact":
        status = "not refuted"
    active = slackness = None
    if multiplier is not None and high is not None:
        path = [row["multipliers"].get(c["expression"], 0.0) for row in records]
        acts = max(multiplier, c["acting_multiplier"] or 0.0)
        idle = c["at_clip"] == "lower" or acts <= NEGLIGIBLE * max([multiplier, *path])
        active = not (idle and high < eps)
    if multiplier is not None and c["value"] is not None:
        # Complementary slackness: lambda (D - eps) is 0 at an optimum.
        slackness = multiplier * (c["value"] - eps)
    return {**c, "status": status, "active": active, "complementary_slackness": slackness}


def limit(c: Mapping[str, Any], side: str) -> float | None:
    """Returns the confidence limit of a constraint's bound on a side, or None."""
    bound = c[side]
    return None if bound is None else bound["limit"]


def decide(constraints: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Returns the run's verdict, and a sentence on each constraint that it depends on."""
    found = {c["status"] for c in constraints}
    if not found:
        return "fixed multipliers", "No constraint has a tolerance that could hold or be violated."
    if found == {"holds"}:
        return "feasible", "Every constraint holds on held-out data."
    status = next(status for status in _VERDICTS if status in found)
    reason = " ".join(complaint(c) for c in constraints if c["status"] == status)
    return _VERDICTS[status], reason


def complaint(c: Mapping[str, Any]) -> str:
    """Says why one constraint does not hold, or why that is unknown."""
    name, eps = c["expression"], number(c["tolerance_here"])
    low, high = limit(c, "lower"), limit(c, "upper")
    if c["multiplier"] is None:
        return f"{name} is undecided: its multiplier is not finite."
    if c["value"] is None:
        return f"{name} is undecided: it is not finite on held-out data."
    if c["status"] == "uninformative":
        return f"{name} holds but is uninformative: {c['uninformative']}."
    if c["status"] == "not refuted":
        return _not_refuted(c)
    if c["status"] == "undecided":
        if low is None and high is None and c["interval"] is not None:
            return f"{name} is undecided: no bound on it is known, and its estimate is not a bound."
        if low is None and high is None:
            return f"{name} is undecided: there are too few held-out examples for an interval."
        return " ".join([_between(c), *([c["decides"]] if c["decides"] else [])])
    found = f"{name} is violated: {c['quantity']} is {_range(low, high)}, where {eps} is allowed."
    training, path = c["training_value"], c["drift"]
    if c["at_clip"] == "upper":
        return f"{found} Its multiplier is at its upper clip: it is infeasible for this network."
    if c["side"] == "exact" and training is not None and training <= c["tolerance"]:
        return f"{found} It is {number(training)} in training: it does not generalise."
    if c["side"] != "exact" and c["value"] <= c["tolerance"]:
        return (
            f"{found} The training critic gives {number(c['value'])}: the encoder or decoder has "
            "beaten it. A stronger critic or more steps may help: raise --critic_steps."
        )
    if path and not path["settled"] and path["change"] > 0:
        return f"{found} Its multiplier still rises: a longer run may meet it."
    return found


def decides(c: Mapping[str, Any], examples: int) -> str | None:
    """Says how many examples or which tolerance would decide an undecided constraint."""
    low, high, eps = limit(c, "lower"), limit(c, "upper"), c["tolerance_here"]
    if high is None or low is None or not math.isfinite(high):
        return None
    wider = f"a tolerance of {number(_up(high))}"
    value = c["value"]
    if c["side"] != "exact":
        return f"{wider[0].upper()}{wider[1:]} or more would hold."
    end = high if value < eps else low
    gap, half = abs(value - eps), abs(end - value)
    if not gap or half / gap > 100:
        return f"Its estimate is at the tolerance: {wider} would hold."
    needed = math.ceil(1.1 * examples * (half / gap) ** 2)
    word = "hold" if value < eps else "be refuted"
    return (
        f"With about {needed:,} held-out examples instead of {examples:,} it would {word} "
        f"at this estimate; {wider} would hold with these."
    )


def _between(c: Mapping[str, Any]) -> str:
    name, eps = c["expression"], number(c["tolerance_here"])
    low, high = limit(c, "lower"), limit(c, "upper")
    if c["side"] == "exact":
        return (
            f"{name} is undecided: its interval, {_range(low, high)}, contains the tolerance {eps}."
        )
    if low is None or high is None:
        return f"{name} is undecided: it is {_range(low, high)}, where {eps} is allowed."
    loose = f"; {c['loose']}" if c["loose"] else ""
    return f"{name} is undecided: it is {_range(low, high)}, and {eps} is between{loose}."


def _not_refuted(c: Mapping[str, Any]) -> str:
    low = limit(c, "lower")
    found = (
        f"{c['expression']} is not refuted: no upper bound on it exists, and the best lower bound, "
        f"{number(low)}, is within the tolerance {number(c['tolerance_here'])}."
    )
    return f"{found} {c['power']['sentence']}." if c["power"] else found


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {number(high)}"
    if high is None or not math.isfinite(high):
        return f"at least {number(low)}"
    return f"{number(low)} to {number(high)}"


def _up(value: float) -> float:
    """Rounds up to three digits."""
    if not value:
        return value
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    return math.ceil(value / unit) * unit
