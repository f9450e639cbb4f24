"""The price of an information preference: a run compared with its neutral run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from zoo.objectives import subjects
from zoo.objectives.divergences import NATS

POINTS = 5000  # the N x N densities take seconds for each model
_UNKNOWN = {"run": None, "neutral": None, "difference": None, "interval": None}


def price(
    model: Any, neutral: Any, batches: Iterable[Any], seed: int = 0, points: int = POINTS
) -> dict[str, Any]:
    """Returns the values of both models on the same images, and their differences.

        difference = D(model) - D(neutral),   interval: `mean_interval` of it over batches

    The neutral run is the run without an information preference that measured `best`. Batches are
    paired: both models see the same images with the same noise, so that the variation between
    images cancels. The two estimates of I_q(x;z) are not paired: their standard errors are added in
    quadrature, which gives too wide an interval if the errors are correlated.

    Args:
      model: a LagrangianModel.
      neutral: the LagrangianModel of the neutral run.
      batches: held-out images [B, ...], or (images, labels), or (x, z) where z is data; iterated
        over four times.
      seed: of the terms' noise and of the codes.
      points: the largest number of images for estimating the information.

    Returns:
      JSON-able data: "batches"; "terms", by name, if both models have them; "constraints", the
      model's learned ones; "neg_elbo", REC_x + RATE; "information". Each has run, neutral,
      difference and interval, in nats per example or the constraint's unit. Numbers are None if
      they cannot be measured on both models. Intervals are None with fewer than 8 batches. For the
      information, at_ceiling says whether each estimate is at `ceiling`; I_q may be far higher.

    Raises:
      InputError: there are no images.
    """
    from train.certificates.held_out import measure

    one, other = measure(model, batches, seed), measure(neutral, batches, seed)
    common = [name for name in one.terms if name in other.terms]
    terms = {name: (one.terms[name], other.terms[name]) for name in common}
    lagrangian = model.lagrangian
    # D_j = sum_i C_ij term_i
    columns = [
        {n: float(c) for n, c in zip(lagrangian.terms, column, strict=True) if c}
        for column in lagrangian.slopes.T
    ]
    return {
        "batches": one.count,
        "information": _information(model, neutral, batches, seed, points),
        "neg_elbo": _combined(terms, {"REC_x": 1.0, "RATE": 1.0}),
        "constraints": [
            {"expression": constraint.expression, **(_combined(terms, column) or _UNKNOWN)}
            for constraint, column in zip(lagrangian.learned, columns, strict=True)
        ],
        "terms": {name: _combined(terms, {name: 1.0}) for name in common},
    }


def sentences(found: Mapping[str, Any] | None) -> list[str]:
    """Returns the result of `price` in sentences, for the certificate's page; [] if None."""
    if found is None:
        return []
    said = []
    information, cost = found["information"], found["neg_elbo"]
    if information is not None and information["difference"] is not None:
        said.append(_exchange(information, cost, found["terms"].get("RATE")))
    elif cost is not None and cost["difference"] is not None:
        said.append(f"Against the neutral run, {_change('-ELBO', cost, ' nats')}.")
    said += [
        f"Against the neutral run, {_change(c['expression'], c, _unit(c['expression']))}."
        for c in found["constraints"]
        if c["expression"] != "KL(q(x,z)||p(x,z))" and c["difference"] is not None
    ]
    return said


def _exchange(
    information: Mapping[str, Any], cost: Mapping[str, Any] | None, rate: Mapping[str, Any] | None
) -> str:
    """Says how much information was gained or lost for which change of -ELBO."""
    at_ceiling = information["at_ceiling"]
    bill = None
    if cost is not None and cost["difference"] is not None:
        bill = _change("-ELBO", cost, " nats")
    if all(at_ceiling.values()):
        text = (
            "Against the neutral run, I_q cannot be compared: both estimates are at their ceiling, "
            f"{information['ceiling']:.3g} nats"
        )
        if rate is not None and rate["difference"] is not None:
            text += f"; {_change('RATE, its upper bound,', rate, ' nats')}"
    else:
        text = f"Against the neutral run, {_change('I_q', information, ' nats')}"
        if any(at_ceiling.values()):
            text += " or more" if _moved(information) else ""
            text += ", as one estimate is at its ceiling"
        elif cost and bill and _moved(information) and _moved(cost) and cost["difference"] > 0:
            return f"{text} for {cost['difference']:.3g} nats{_interval(cost)} of -ELBO."
    return f"{text}; {bill}." if bill else f"{text}."


def _change(name: str, of: Mapping[str, Any], unit: str) -> str:
    if not _moved(of):
        low, high = of["interval"]
        return f"{name} does not change measurably ({low:.3g} to {high:.3g}{unit})"
    verb = "rises" if of["difference"] > 0 else "falls"
    return f"{name} {verb} by {abs(of['difference']):.3g}{unit}{_interval(of)}"


def _interval(of: Mapping[str, Any]) -> str:
    """Returns the interval of the size of a difference, in parentheses."""
    if of["interval"] is None:
        return ""
    low, high = sorted(abs(end) for end in of["interval"])
    return f" ({low:.3g} to {high:.3g})"


def _moved(of: Mapping[str, Any]) -> bool:
    """Whether the interval of a difference excludes 0, or is unknown."""
    return of["interval"] is None or not of["interval"][0] <= 0.0 <= of["interval"][1]


def _unit(expression: str) -> str:
    unit = subjects.unit(expression)
    return f" {unit}" if unit == NATS else ""


def _combined(
    terms: Mapping[str, tuple[np.ndarray, np.ndarray]], weights: Mapping[str, float]
) -> dict[str, Any] | None:
    """Returns both means of a sum of terms and their paired difference, or None."""
    from zoo.metrics.intervals import MIN_VALUES, mean_interval

    if not set(weights) <= set(terms):
        return None
    run, neutral = (sum(w * terms[n][side] for n, w in weights.items()) for side in (0, 1))
    difference = np.asarray(run - neutral)
    found: dict[str, Any] = {
        "run": _finite(np.mean(run)),
        "neutral": _finite(np.mean(neutral)),
        "difference": _finite(np.mean(difference)),
        "interval": None,
    }
    if len(difference) >= MIN_VALUES and np.all(np.isfinite(difference)):
        found["interval"] = list(mean_interval(difference))
    return found


def _information(
    model: Any, neutral: Any, batches: Iterable[Any], seed: int, points: int
) -> dict[str, Any] | None:
    from train.certificates import held_out
    from zoo import priors

    if priors.is_data(model.prior):
        return None
    parts = (model.encoder, model.decoder, neutral.encoder, neutral.decoder)
    if not all(part.has_density for part in parts):
        return None
    run, before = (held_out.information(m, batches, points, seed) for m in (model, neutral))
    if run is None or before is None:
        return None
    difference = _finite(run.estimate - before.estimate)
    half = 1.96 * math.hypot(run.standard_error, before.standard_error)
    return {
        "run": _finite(run.estimate),
        "neutral": _finite(before.estimate),
        "difference": difference,
        "interval": None if difference is None else [difference - half, difference + half],
        "ceiling": run.ceiling,
        # exp(log N - I) < 2: on average, a code could come from fewer than two of the images
        "at_ceiling": {"run": run.sharing < 2, "neutral": before.sharing < 2},
    }


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
