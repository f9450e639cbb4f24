"""The envelope theorem between two runs: the slope of the objective against the multipliers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from zoo.objectives.affine import Affine, Number, rational
from zoo.objectives.objective import Objective

Certificate = Mapping[str, Any]
_VERDICTS = {
    True: ": they agree, as on a front of optima.",
    False: ": they disagree, so at least one of these runs is not at a constrained optimum.",
    None: ".",
}


def slope(
    expression: str, one: Sequence[Certificate], other: Sequence[Certificate]
) -> dict[str, Any]:
    """Compares the slope of the objective along one constraint with its multipliers.

        d f* / d D = -lambda,   f = sum_i c_i(0) term_i = alpha_q I_q + alpha_p I_p + fixed
        (f_2 - f_1) / (D_2 - D_1)   in   [-lambda_1, -lambda_2]   on a convex front, D_1 < D_2

    f is the Lagrangian without its learned constraints, up to a constant; it includes the fixed
    constraints. D is the value at which training held the constraint: below the tolerance by a
    margin that differs between runs, or the tolerance itself if the training value is unknown.
    alpha_q I_q alone, with the estimate of I_q, has that slope only without fixed constraints.
    Slope and multipliers agree if their intervals overlap.

    Args:
      expression: the learned constraint whose tolerance differs.
      one, other: certificates of runs that differ in that tolerance and the seed only. With
        several seeds the intervals are Student's over seeds; with one, over held-out images.

    Returns:
      JSON-able data: expression; tolerances, levels (D) and multipliers of one and other;
      predicted, minus the mean multiplier; objective and information, each {"slope", "interval"}
      or None; seeds, the smaller number of the two; agrees, None if the slope has no interval; and
      the reasons for each None.
    """
    ends = [[_constraint(c, expression) for c in group] for group in (one, other)]
    tolerances = [student([c["tolerance"] for c in end])["mean"] for end in ends]
    multipliers = [student([c["multiplier"] for c in end])["mean"] for end in ends]
    levels = [_together(_levels(end)) for end in ends]
    objective, no_objective = _rise(_objective, one, other, tolerances, levels)
    information, no_information = _rise(_information, one, other, tolerances, levels)
    found: dict[str, Any] = {
        "expression": expression,
        "tolerances": tolerances,
        "levels": [level for level, _ in levels],
        "multipliers": multipliers,
        "predicted": None if None in multipliers else -float(np.mean(multipliers)),
        "objective": objective,
        "information": information,
        "seeds": min(len(one), len(other)),
        "agrees": None,
        "reasons": list(dict.fromkeys(r for r in (no_objective, no_information) if r)),
    }
    if objective is not None and objective["interval"] and None not in multipliers:
        low, high = objective["interval"]
        found["agrees"] = bool(low <= -min(multipliers) and high >= -max(multipliers))
    return found


def sentence(found: Mapping[str, Any]) -> str:
    """Returns the result of `slope` in sentences."""
    said = []
    if found["objective"] is not None and found["predicted"] is not None:
        levels, tolerances = (
            " and ".join(f"{value:.4g}" for value in found[name])
            for name in ("levels", "tolerances")
        )
        low, high = sorted(-value for value in found["multipliers"])
        said.append(
            f"Training held {found['expression']} at {levels}, for tolerances of {tolerances}. "
            f"Between them the objective changes by {_with_interval(found['objective'])} per unit; "
            f"minus the multipliers is {low:.3g} to {high:.3g}{_VERDICTS[found['agrees']]}"
        )
    if found["information"] is not None:
        said.append(f"alpha_q I_q alone changes by {_with_interval(found['information'])}.")
    said += found["reasons"]
    if found["seeds"] == 1 and found["objective"] is not None:
        said.append(
            "The intervals are over held-out images. They do not include the noise of training, "
            "which takes runs with other seeds."
        )
    return " ".join(said)


def student(values: Sequence[float | None]) -> dict[str, Any]:
    """Returns the mean of independent values with Student's 95% interval.

        mean +- t_{n-1} s / sqrt(n)

    Args:
      values: those that are None or not finite are left out.

    Returns:
      {"mean", "interval", "count"}. The interval is None for fewer than two values, and the mean
      is None for no values.
    """
    kept = np.array([v for v in values if v is not None and math.isfinite(v)], np.float64)
    if not len(kept):
        return {"mean": None, "interval": None, "count": 0}
    mean, interval = float(kept.mean()), None
    if len(kept) > 1:
        half = quantile(len(kept)) * float(kept.std(ddof=1)) / math.sqrt(len(kept))
        interval = [mean - half, mean + half]
    return {"mean": mean, "interval": interval, "count": len(kept)}


def quantile(count: int) -> float:
    """Returns Student's 97.5% quantile for the mean of `count` values, two or more."""
    from scipy import stats

    # `zoo.metrics.intervals.student` is a series that is inaccurate for 2 and 3 values.
    return float(stats.t.ppf(0.975, count - 1))


# A value, and half the length of its interval if known.
_Point = tuple[float, float | None]


def _levels(constraints: Sequence[Mapping[str, Any]]) -> list[_Point]:
    """Returns the training value of a constraint in each run; the tolerances if one is unknown.

    The values have no interval: the error of a record's mean is small beside the objective's.
    """
    known = all(c.get("training_value") is not None for c in constraints)
    return [(float(c["training_value" if known else "tolerance"]), 0.0) for c in constraints]


def _rise(
    read: Callable[[Certificate], _Point | str],
    one: Sequence[Certificate],
    other: Sequence[Certificate],
    tolerances: Sequence[float],
    levels: Sequence[_Point],
) -> tuple[dict[str, Any] | None, str | None]:
    """Returns the slope of a quantity between two groups of runs; or None and the reason."""
    (first_level, *_), (second_level, *_) = levels
    apart = second_level - first_level
    if apart * (tolerances[1] - tolerances[0]) <= 0:
        return None, "There is no slope: both tolerances gave the same value of the constraint."
    ends: list[_Point] = []
    for group in (one, other):
        points = []
        for certificate in group:
            point = read(certificate)
            if isinstance(point, str):
                return None, point
            points.append(point)
        ends.append(_together(points))
    rise = (ends[1][0] - ends[0][0]) / apart
    halves = [half for _, half in ends if half is not None]
    if len(halves) < 2:
        return {"slope": rise, "interval": None}, None
    # error^2 = [ sum of errors^2 of f + slope^2 (sum of errors^2 of D) ] / (D_2 - D_1)^2
    errors = [*halves, *(rise * (half or 0.0) for _, half in levels)]
    half = math.hypot(*errors) / abs(apart)
    return {"slope": rise, "interval": [rise - half, rise + half]}, None


def _together(points: Sequence[_Point]) -> _Point:
    if len(points) == 1:
        return points[0]
    found = student([value for value, _ in points])
    return found["mean"], (found["interval"][1] - found["interval"][0]) / 2


def _objective(certificate: Certificate) -> _Point | str:
    """Returns sum_i c_i(0) term_i, with the sum of its terms' half intervals."""
    affine = Objective.from_config(certificate["objective"]).tractable().affine
    coefficients = {name: _at_zero(number) for name, number in affine.items()}
    value, half = 0.0, 0.0
    known = any(coefficients.values())
    if not known:
        return "The objective consists of learned constraints only: its slope is 0."
    for name, coefficient in coefficients.items():
        if not coefficient:
            continue
        term = certificate["terms"][name]
        if term["value"] is None:
            return f"The slope of the objective is unknown: {name} is not finite."
        value += coefficient * term["value"]
        if term["interval"] is None:
            known = False
        else:
            half += abs(coefficient) * (term["interval"][1] - term["interval"][0]) / 2
    return value, half if known else None


def _information(certificate: Certificate) -> _Point | str:
    """Returns alpha_q I_q."""
    objective = Objective.from_config(certificate["objective"])
    alpha = float(rational(objective.alpha_q))
    if objective.alpha_p:
        return "The slope of the information is left out: alpha_p is not 0, I_p is not estimated."
    if not alpha:
        return "The slope of the information is left out: alpha_q is 0."
    found = certificate["information"]
    if found is None or found["estimate"] is None:
        return "The slope of the information is left out: I_q is not estimated."
    if found["sharing"] is not None and found["sharing"] < 2:
        return "The slope of the information is left out: the estimate of I_q is at its ceiling."
    low, high = found["interval"] or (None, None)
    half = None if low is None or high is None else abs(alpha) * (high - low) / 2
    return alpha * found["estimate"], half


def _constraint(certificate: Certificate, expression: str) -> Mapping[str, Any]:
    return next(c for c in certificate["constraints"] if c["expression"] == expression)


def _at_zero(number: Number) -> float:
    return float(number.constant if isinstance(number, Affine) else number)


def _with_interval(of: Mapping[str, Any]) -> str:
    interval = of["interval"]
    ends = f" ({interval[0]:.3g} to {interval[1]:.3g})" if interval is not None else ""
    return f"{of['slope']:.3g}{ends}"
