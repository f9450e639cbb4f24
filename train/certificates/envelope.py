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
    False: ": they disagree, so that one of these runs is no optimum of its constraints.",
    None: ".",
}


def slope(
    expression: str, one: Sequence[Certificate], other: Sequence[Certificate]
) -> dict[str, Any]:
    """Holds the slope of the objective along one constraint against its multipliers.

        d f* / d D = -lambda,   f = sum_i c_i(0) term_i = alpha_q I_q + alpha_p I_p + fixed
        (f_2 - f_1) / (D_2 - D_1)   in   [-lambda_1, -lambda_2]   on a convex front, D_1 < D_2

    f is the Lagrangian without its learned constraints, up to a constant: the fixed constraints
    belong to it. D is where training held the constraint, which is below its tolerance by a margin
    that differs from run to run; the tolerance itself where the training value is not known.
    alpha_q I_q alone, by the estimate of I_q, has that slope only where nothing is fixed. They
    agree if the interval of the slope of f meets that of the multipliers.

    Args:
      expression: the learned constraint whose tolerance differs.
      one, other: certificates of runs that are alike but for that tolerance and the seed. Of
        several seeds the intervals are Student's, over seeds; of one, those of held-out images.

    Returns:
      JSON-able data: expression; tolerances, levels (D) and multipliers of one and other;
      predicted, minus the mean multiplier; objective and information, each {"slope", "interval"}
      or None; seeds, the fewer of both; agrees, None where the slope has no interval; and reasons
      for what is None.
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
    """Returns what `slope` found, for people."""
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
            "The intervals are those of held-out images; the noise of training is not in them "
            "without other seeds."
        )
    return " ".join(said)


def student(values: Sequence[float | None]) -> dict[str, Any]:
    """Returns the mean of independent values with Student's 95% interval.

        mean +- t_{n-1} s / sqrt(n)

    Args:
      values: None and what is not finite is left out.

    Returns:
      {"mean", "interval", "count"}: the interval is None for fewer than two values, the mean too
      for none.
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

    # `zoo.metrics.intervals.student` is a series, which 2 and 3 values are too few for.
    return float(stats.t.ppf(0.975, count - 1))


# A value and half the length of its interval, if that is known.
_Point = tuple[float, float | None]


def _levels(constraints: Sequence[Mapping[str, Any]]) -> list[_Point]:
    """Returns where training held a constraint in each run; its tolerances where that is unknown.

    The mean over the batches of a record has an error that is small beside that of the objective.
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
    """Returns the slope of what is read between two groups; or None, and why."""
    (first_level, *_), (second_level, *_) = levels
    apart = second_level - first_level
    if apart * (tolerances[1] - tolerances[0]) <= 0:
        return None, "There is no slope: the tolerances did not hold the constraint apart."
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
    """Returns sum_i c_i(0) term_i; the halves of its terms' intervals are added."""
    affine = Objective.from_config(certificate["objective"]).tractable().affine
    coefficients = {name: _at_zero(number) for name, number in affine.items()}
    value, half = 0.0, 0.0
    known = any(coefficients.values())
    if not known:
        return "The objective has nothing but learned constraints: its slope is 0."
    for name, coefficient in coefficients.items():
        if not coefficient:
            continue
        term = certificate["terms"][name]
        if term["value"] is None:
            return f"The slope of the objective is not known: {name} is not finite."
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
        return "The slope of the information is left out: alpha_p is not 0, and I_p not estimated."
    if not alpha:
        return "The slope of the information is left out: alpha_q is 0."
    found = certificate["information"]
    if found is None or found["estimate"] is None:
        return "The slope of the information is left out: it is not estimated."
    if found["sharing"] is not None and found["sharing"] < 2:
        return "The slope of the information is left out: its estimate is at the ceiling."
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
