"""Upper and lower bounds on one learned constraint, from the bounds on its terms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from train.certificates.held_out import Measurements
from zoo.bounds import Bound
from zoo.bounds.bound import Side
from zoo.bounds.of_terms import Bounds, TermBounds
from zoo.errors import InputError
from zoo.metrics.intervals import MIN_VALUES, mean_interval
from zoo.objectives.declaration import Constraint


def of_constraint(
    model: Any,
    index: int,
    measured: Measurements,
    bounds: Bounds | None,
    neutral: tuple[Measurements, Bounds | None] | None = None,
    declared: Any = None,
) -> dict[str, Any]:
    """Bounds learned constraint `index` from above and from below.

        D_j = sum_i C_ij term_i

    Terms with unbiased estimates are summed in every batch, and the mean over batches has an
    interval. Every other term has bounds from `zoo.bounds`; if there are none, its estimate serves
    as a one-sided bound where it is one. The bounds on D_j are the weighted sums of these; a
    negative C_ij turns a term's upper bound into a lower one. A sum of limits holds at least as
    often as each limit.

    If the tolerance is relative to best and `neutral` is given, both runs are measured on the same
    batches with the same noise, and D - factor best is compared with the offset. The difficulty of
    these images then cancels.

    Args:
      model: a LagrangianModel.
      measured: its terms on held-out batches.
      bounds: on its terms with biased estimates; None if there are too few examples.
      neutral: the neutral run's measurements on the same batches, and bounds on its terms.
      declared: the `Tolerance` as declared, such as best + 4; eps is its numerical value.

    Returns:
      value, interval: by the estimators of training, on held-out batches.
      side: "exact", "lower", "upper" or "neither": how that value bounds D.
      lower, upper: {"value", "limit", "method", "size", "notes"}, or None without such a bound.
      tolerance_here, best_here: on these examples, if `neutral` is given.
    """
    lagrangian = model.lagrangian
    column = dict(zip(lagrangian.terms, lagrangian.slopes[:, index].astype(float), strict=True))
    column = {name: c for name, c in column.items() if c}
    sides = {name: model.term(name).side for name in column}
    constraint = lagrangian.learned[index]
    tolerance = constraint.at_most
    assert tolerance is not None
    eps = tolerance.at(0.0)
    found: dict[str, Any] = {
        "side": _side(column, sides),
        **value_of(measured.constraints[index]),
        "tolerance_here": eps,
        "best_here": None,
    }
    exact = {name: c for name, c in column.items() if sides[name] == "exact"}
    parts = [_of_batches(measured, exact)] if exact else []
    relative = declared is not None and declared.needs_best and neutral is not None
    factor = float(declared.factor) if relative else 0.0
    if column.keys() == {"MMD_z"} and (whole := _whole_mmd(bounds)):
        # All codes at once give a smaller error than batches.
        parts = [(1.0, whole)]
        found["value"] = whole.lower.value
        found["interval"] = [whole.lower.limit, whole.upper.limit]
        if relative and neutral and (best := _whole_mmd(neutral[1])):
            parts = [(1.0, _against(whole, best, factor))]
            found |= _here(best.lower.value, declared, constraint)
    elif relative and neutral and exact == column:
        best = neutral[0].constraints[index]
        if np.all(np.isfinite(best)):
            difference = measured.constraints[index] - factor * best
            shift = factor * float(best.mean())
            parts = [_interval(difference, shift, measured, "against the neutral run")]
            found |= _here(float(best.mean()), declared, constraint)
    parts += [
        (c, _or_one_sided(bounds, name, measured, sides[name]))
        for name, c in column.items()
        if sides[name] != "exact"
    ]
    found |= {side: _json(_added(parts, side)) for side in _OTHER}
    return found


def _here(best: float, declared: Any, constraint: Constraint) -> dict[str, float]:
    return {"best_here": best, "tolerance_here": declared.at(constraint.reachable(best))}


def _whole_mmd(bounds: Bounds | None) -> Any:
    """Returns both bounds on MMD_z from all codes at once; None if there are too few."""
    found = _or_none(bounds, "MMD_z")
    return found if found.lower and found.upper else None


def _against(whole: Any, best: Any, factor: float) -> TermBounds:
    """Returns bounds on D - factor best, shifted by factor times the estimate of best."""
    low = math.hypot(
        whole.lower.value - whole.lower.limit, factor * (best.upper.limit - best.upper.value)
    )
    high = math.hypot(
        whole.upper.limit - whole.upper.value, factor * (best.lower.value - best.lower.limit)
    )
    method = f"{whole.lower.method}, against the neutral run"
    value, size = whole.lower.value, whole.lower.size
    return TermBounds(
        Bound("lower", value, value - low, method, size),
        Bound("upper", value, value + high, method, size),
    )


def value_of(per_batch: np.ndarray) -> dict[str, Any]:
    """Returns the mean over batches and its interval; None if a value is not finite."""
    if not np.all(np.isfinite(per_batch)):
        return {"value": None, "interval": None}
    enough = len(per_batch) >= MIN_VALUES
    interval = list(mean_interval(per_batch)) if enough else None
    return {"value": float(per_batch.mean()), "interval": interval}


def _side(column: Mapping[str, float], sides: Mapping[str, str]) -> str:
    """Returns how a weighted sum of estimates bounds the sum of their terms."""
    turned = {"lower": "upper", "upper": "lower"}
    found = {
        side if column[name] > 0 else turned.get(side, side)
        for name, side in sides.items()
        if side != "exact"
    }
    if not found:
        return "exact"
    return found.pop() if len(found) == 1 else "neither"


def _of_batches(measured: Measurements, exact: Mapping[str, float]) -> tuple[float, TermBounds]:
    total = np.sum([c * measured.terms[name] for name, c in exact.items()], axis=0)
    return _interval(total, 0.0, measured, "")


def _interval(
    values: np.ndarray, shift: float, measured: Measurements, how: str
) -> tuple[float, TermBounds]:
    """Returns both bounds on a quantity with an unbiased estimate in each batch."""
    found = value_of(values)
    if found["interval"] is None:
        return 1.0, TermBounds()
    method = f"mean of {measured.count} held-out batches {how}".strip()
    size = measured.count * measured.size
    low, high = found["interval"]
    value = found["value"] + shift
    return 1.0, TermBounds(
        Bound("lower", value, low + shift, method, size),
        Bound("upper", value, high + shift, method, size),
    )


def _or_none(bounds: Bounds | None, name: str) -> TermBounds:
    try:
        return TermBounds() if bounds is None else bounds.of(name)
    except InputError:
        return TermBounds()


def _or_one_sided(
    bounds: Bounds | None, name: str, measured: Measurements, side: str
) -> TermBounds:
    """Returns the bounds on a term; if there are none, its estimate as a bound on its side."""
    found = _or_none(bounds, name)
    if found != TermBounds() or side not in _OTHER or name not in measured.terms:
        return found
    _, both = _interval(measured.terms[name], 0.0, measured, "")
    return TermBounds(**{side: getattr(both, side)})


def _added(parts: list[tuple[float, TermBounds]], side: Side) -> Bound | None:
    """Returns the bound on a weighted sum of terms; None if a term lacks the bound needed."""
    needed = []
    for weight, found in parts:
        bound = getattr(found, side if weight > 0 else _OTHER[side])
        if bound is None:
            return None
        needed.append((float(weight), bound))
    if not needed:
        return None
    return Bound(
        side,
        sum(weight * bound.value for weight, bound in needed),
        sum(weight * bound.limit for weight, bound in needed),
        "; ".join(dict.fromkeys(bound.method for _, bound in needed)),
        min(bound.size for _, bound in needed),
        tuple(note for _, bound in needed for note in bound.notes),
    )


_OTHER: dict[Side, Side] = {"lower": "upper", "upper": "lower"}


def _json(bound: Bound | None) -> dict[str, Any] | None:
    """Returns a bound as JSON; None if it is not finite."""
    if bound is None or not math.isfinite(bound.limit):
        return None
    return {
        "value": bound.value,
        "limit": bound.limit,
        "method": bound.method,
        "size": bound.size,
        "notes": list(bound.notes),
    }
