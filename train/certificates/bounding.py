"""Upper and lower bounds on the learned constraints, on held-out data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

from train.certificates import sides, verdict
from train.certificates.held_out import Measurements, measure
from zoo import priors
from zoo.batch import Batch
from zoo.bounds import power as planting
from zoo.bounds.examples import CHOSEN_ON, FITTED_TO, READ_ON, Examples, Samples
from zoo.bounds.functionals import FUNCTIONALS
from zoo.bounds.kernel_power import mmd_power
from zoo.bounds.of_terms import Bounds
from zoo.errors import InputError
from zoo.objectives.declaration import Constraint
from zoo.terms.mmd import MMD


def bounded(
    model: Any,
    measured: Measurements,
    batches: Iterable[Any],
    training: Iterable[Any] | None,
    validation: Iterable[Any] | None,
    neutral: Any,
    declared: Mapping[str, Any],
    seed: int,
    repeats: int,
) -> list[dict[str, Any]]:
    """Returns the bounds on every learned constraint, with notes on how far they can be trusted.

    Each is what `train.certificates.sides.of_constraint` returns, with `uninformative`, `loose`,
    `decides` and `faults` (a sentence or None each), and `power`: the planted differences that
    were detected, for a constraint without an upper bound.
    """
    found = []
    bounds = _bounds(model, batches, training, validation, seed)
    other = None
    if neutral is not None:
        # The same images and noise for both runs, so that their common errors cancel.
        compared = measure(neutral, batches, seed, model.lagrangian)
        other = compared, _bounds(model, batches, training, validation, seed, of=neutral)
    examples = measured.count * measured.size
    for index, constraint in enumerate(model.lagrangian.learned):
        name = constraint.expression
        c = sides.of_constraint(model, index, measured, bounds, other, declared.get(name))
        c["uninformative"] = uninformative(model, constraint, c["tolerance_here"])
        c["loose"] = _loose(c, measured)
        c["faults"] = _faults(model, index, c)
        c["power"] = _power(model, index, bounds, c, repeats)
        c["decides"] = verdict.decides(c, examples)
        found.append(c)
    return found


def _bounds(
    model: Any,
    batches: Iterable[Any],
    training: Iterable[Any] | None,
    validation: Iterable[Any] | None,
    seed: int,
    of: Any = None,
) -> Bounds | None:
    """Returns bounds on MMD_z and the terms with biased estimates, of `of` if given, else `model`.

    None if no learned constraint of `model` has such a term, or there are too few examples.
    """
    lagrangian = model.lagrangian
    sides = {model.term(name).side for name in lagrangian.constrained_terms}
    if sides <= {"exact"} and "MMD_z" not in lagrangian.constrained_terms:
        return None
    kind = Batch.kind(model)
    read = Examples.of(batches, READ_ON, *kind)
    try:
        if training is None:
            samples = Samples.split(read)
        else:
            fit = Examples.of(training, FITTED_TO, *kind)
            if validation is None:
                last = len(fit) - max(1, len(fit) // 10)
                fit, choose = fit.part(0, last), fit.part(last, len(fit))
            else:
                choose = Examples.of(validation, CHOSEN_ON, *kind)
            samples = Samples(fit, choose, read)
    except InputError:
        return None
    return Bounds(of or model, samples, seed)


def uninformative(model: Any, constraint: Constraint, eps: float) -> str | None:
    """Says which failures of q(z) an MMD tolerance allows, if any."""
    if constraint.subject.compares != "z" or priors.is_data(model.prior):
        return None
    if constraint.term not in model.lagrangian.terms:
        return None
    term = model.term(constraint.term)
    if not isinstance(term, MMD):
        return None
    power = mmd_power(model.prior, term.kernel, term.bandwidth, term.scales)
    return power.uninformative(eps)


def _loose(c: Mapping[str, Any], measured: Measurements) -> str | None:
    """Says that an upper bound is loose, and compares RATE with log N, the most N examples show."""
    if c["upper"] is None or not c["upper"]["notes"]:
        return None
    said = c["upper"]["notes"][0]
    if "RATE" in measured.terms:
        rate, n = float(measured.terms["RATE"].mean()), c["upper"]["size"]
        said += f" (RATE is {rate:.4g} nats, and log {n} is {math.log(n):.3g})"
    return said


def _faults(model: Any, index: int, c: Mapping[str, Any]) -> str | None:
    """Says that the training estimator gave a value that the divergence cannot have."""
    constraint, column = model.lagrangian.learned[index], model.lagrangian.slopes[:, index]
    if c["interval"] is None or c["side"] == "exact":
        return None
    names = [n for n, weight in zip(model.lagrangian.terms, column, strict=True) if weight]
    critic = any(model.term(name).needs_critic for name in names)
    low, high = c["interval"]
    least, largest = constraint.subject.range
    if high < least or low > largest:
        allowed = f"{least:.3g} or more"
        if math.isfinite(largest):
            allowed = f"between {least:.3g} and {largest:.3g}"
        reader = "critic" if critic else "estimator"
        return (
            f"The training {reader} gives {c['value']:.3g} for {constraint.expression}, which is "
            f"{allowed}: the {reader} is at fault"
        )
    return None


def _power(
    model: Any, index: int, bounds: Bounds | None, c: Mapping[str, Any], repeats: int
) -> dict[str, Any] | None:
    """Plants differences of known size and returns which of them the lower bound detects.

    This is the power of an attempt that refutes nothing, where no upper bound exists.
    """
    column = model.lagrangian.slopes[:, index]
    names = [n for n, weight in zip(model.lagrangian.terms, column, strict=True) if weight]
    eps = c["tolerance_here"]
    lower = c["lower"]
    if bounds is None or not repeats or len(names) != 1 or c["upper"] is not None or lower is None:
        return None
    divergence = getattr(model.term(names[0]), "divergence", None)
    if divergence not in FUNCTIONALS or eps <= 0 or lower["limit"] > eps:
        return None
    try:
        planted = bounds.power(names[0], eps, repeats)
    except InputError:  # too few examples
        return None
    return {
        "planted": [dataclasses.asdict(p) for p in planted],
        "sentence": planting.sentence(planted, eps),
    }
