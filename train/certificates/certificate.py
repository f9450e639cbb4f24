"""`certify`: a model's constraints, multipliers and information on held-out data."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from train.certificates import convergence, oscillation, verdict
from train.certificates.document import Certificate, records_of
from zoo.objectives.affine import rational
from zoo.objectives.declaration import Constraint

if TYPE_CHECKING:
    from train.loop.phases import Best

POINTS = 5000  # the N x N densities take seconds; the estimate cannot exceed log N = 8.5 nats


def certify(
    model: Any,
    data: Any,
    records: Any = (),
    *,
    training: Any = None,
    validation: Any = None,
    relative_to: Best | None = None,
    neutral: Any = None,
    declared: Mapping[str, str] | None = None,
    best: Mapping[str, float] | None = None,
    at_clip: Mapping[str, str | None] | None = None,
    labels: Any = None,
    seed: int = 0,
    points: int = POINTS,
    power: int = 4,
) -> Certificate:
    """Bounds a model's constraints on held-out data, and says which of them hold.

        D_j = sum_i C_ij term_i,   holds if its upper limit is at most eps_j

    A constraint with an unbiased estimate has an interval: that of the mean over batches of equal
    size, without a smaller last batch. One that a critic estimates has a lower bound by fresh
    critics and, if it is a divergence on z, an upper bound by the densities of the posteriors; see
    `zoo.bounds`. Nats per example, or the units of `zoo.objectives.divergences`. Numbers that are
    not finite become null, with a note.

    Args:
      model: a LagrangianModel.
      data: held-out images, as `held_out.in_batches` takes them: an array [N, ...], or a
        tf.data.Dataset of batches [B, ...] or (images, labels), or (x, c) where the model has a
        condition.
      records: rows of metrics.jsonl, whose rows of split "train" give the multipliers over the
        steps; or the History that `fit` returns.
      training, validation: data for fitting fresh critics and for stopping them early. Without
        them, parts of the held-out examples are used, which leaves fewer for the bounds.
      relative_to: what `train.loop.phases.measure_best` returns. It sets the next three arguments.
      neutral: the model of the first phase. Tolerances relative to best are judged against it on
        the same images.
      declared: learned constraint -> its tolerance as declared, such as "best + 4".
      best: learned constraint -> eps_hat, the value reached without an information preference.
      at_clip: learned constraint -> "lower", "upper" or None; read from the model if not given.
      labels: [N], one for each held-out image, to find the worst class; or None.
      seed: of all noise.
      points: the largest number of images for estimating the information.
      power: repeats of each planted difference, where only a lower bound exists; 0 plants none.

    Raises:
      InputError: there are no images, or the data does not fit the model.
    """
    from train.certificates import bounding, collapse, gradients, price, sides, slices
    from train.certificates.held_out import TRAINING_BATCH, in_batches, measure

    batches = in_batches(model, data)
    training, validation = (
        given if given is None else in_batches(model, given, TRAINING_BATCH)
        for given in (training, validation)
    )
    records = records_of(records)
    if relative_to is not None:
        neutral, best = relative_to.neutral, relative_to.values
        declared = relative_to.declared
    measured = measure(model, batches, seed)
    lagrangian = model.lagrangian
    names = [c.expression for c in lagrangian.learned]
    multipliers = [float(value) for value in model.multipliers.value]
    acting = gradients.acting_multipliers(model)
    margins = np.asarray(model.margins, np.float64)
    at_clip = at_clip or dict(zip(names, model.multipliers.at_clip(), strict=True))
    found = bounding.bounded(
        model,
        measured,
        batches,
        training,
        validation,
        neutral,
        {name: _tolerance(name, text) for name, text in (declared or {}).items()},
        seed,
        power,
    )
    constraints = [
        verdict.judged(
            {
                "expression": name,
                "quantity": constraint.subject.quantity,
                "declared": (declared or {}).get(name, str(constraint.at_most)),
                "best": _finite((best or {}).get(name)),
                "tolerance": constraint.at_most.at(0.0),
                **found[j],
                "training_value": _training_value(records, name),
                "multiplier": _finite(multipliers[j]),
                "acting_multiplier": _finite(acting[j]),
                "margin": _finite(margins[j]),
                "at_clip": at_clip.get(name),
                "drift": convergence.drift(records, name),
                "oscillation": oscillation.oscillation(records, name, constraint.at_most.at(0.0)),
            },
            records,
        )
        for j, (name, constraint) in enumerate(zip(names, lagrangian.learned, strict=True))
    ]
    weights = np.asarray(lagrangian.coefficients(np.array(multipliers, np.float32)))
    coefficients = dict(zip(lagrangian.terms, weights, strict=True))
    decision, reason = verdict.decide(constraints)
    converged, settled = convergence.convergence(constraints)
    information = _information(model, batches, seed, points)
    learned = bool(names)
    terms = {name: model.term(name) for name in measured.terms}
    unbiased = {name for name, term in terms.items() if term.divergence and term.side == "exact"}
    certificate = {
        "model": model.objective.name,
        "objective": model.objective.to_config(),
        "step": int(model.step.numpy()),
        "verdict": decision,
        "reason": reason,
        "converged": converged,
        "convergence": settled,
        "constraints": constraints,
        "fixed": [
            {"expression": c.expression, "multiplier": float(rational(c.weight))}
            for c in model.objective.constraints
            if not c.learned
        ],
        "terms": {
            name: {
                **sides.value_of(values),
                "side": terms[name].side,
                "coefficient": _finite(coefficients.get(name)),
            }
            for name, values in measured.terms.items()
        },
        "information": information,
        "collapse": collapse.collapse(model, batches, information),
        "price": None if neutral is None else price.price(model, neutral, batches, seed, points),
        "gradients": gradients.gradients(model, training or batches, seed) if learned else None,
        "classes": None if labels is None else slices.slices(model, batches, labels, seed),
        "measured_on": {
            "batches": measured.count,
            "batch_size": measured.size,
            "left_out": measured.left_out,
            "seed": seed,
        },
        "notes": [
            *_given(model),
            *model.objective.tractable().notes,
            *_notes(measured, unbiased),
        ],
    }
    return Certificate(certificate, records)


def _tolerance(name: str, text: str) -> Any:
    return Constraint(name, at_most=text).at_most


def _given(model: Any) -> list[str]:
    """Says how to read the terms and constraints of a model with a condition."""
    if getattr(model, "condition", None) is None:
        return []
    return [
        "every term and constraint is conditional on c and averaged over c, such as "
        "E_c KL(q(z|c)||p(z)) = KL(q(z,c)||p(z)q(c)), whose critics read (z, c); the information "
        "is I_q(x;z|c)"
    ]


def _notes(measured: Any, unbiased: Collection[str]) -> list[str]:
    from zoo.metrics.intervals import MIN_VALUES

    broken = {name: int(np.sum(~np.isfinite(v))) for name, v in measured.terms.items()}
    sentences = [
        f"{name} is not finite on {count} of {measured.count} batches, so it and every value that "
        "depends on it are null"
        for name, count in broken.items()
        if count
    ]
    if measured.count < MIN_VALUES:
        sentences.append(
            f"{measured.count} batches are too few for intervals, which need {MIN_VALUES}: certify "
            "on more examples or in smaller batches"
        )
    negative = [n for n, v in measured.terms.items() if n in unbiased and v.mean() < 0]
    sentences += [
        f"{name} is below 0, as an unbiased estimate of a small divergence often is"
        for name in negative
    ]
    return sentences


def _training_value(records: Iterable[Mapping[str, Any]], expression: str) -> float | None:
    """Returns D at the last record of training, or None if it is not recorded."""
    values = [
        row["constraints"][expression]
        for row in records
        if row["split"] == "train" and expression in row.get("constraints", {})
    ]
    return _finite(values[-1]) if values else None


def _information(
    model: Any, batches: Iterable[Any], seed: int, points: int
) -> dict[str, Any] | None:
    from train.certificates import held_out
    from zoo import priors

    if priors.is_data(model.prior):
        return None
    if not (model.encoder.has_density and model.decoder.has_density):
        return None
    found = held_out.information(model, batches, points, seed)
    if found is None:
        return None
    half = 1.96 * found.standard_error
    return {
        "estimate": _finite(found.estimate),
        "interval": [_finite(found.within(found.estimate + d)) for d in (-half, half)],
        "ceiling": found.ceiling,
        "points": found.points,
        "sharing": _finite(found.sharing),
        "rate": _finite(found.rate),
        "rec_x": _finite(found.rec_x),
    }


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
