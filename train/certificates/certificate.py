"""What a run achieved, measured on held-out data: constraints, multipliers and information."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from train.certificates import page, verdict
from train.workdir import Workdir, write_atomically
from zoo import algebra
from zoo.affine import rational
from zoo.objective import Constraint

MIN_BATCHES = 4  # fewer say nothing about the spread of their mean
WANTED_BATCHES = 16
POINTS = 5000  # the N x N densities take seconds; the ceiling is 8.5 nats


def certify(
    model: Any,
    batches: Iterable[Any],
    records: Sequence[Mapping[str, Any]] = (),
    *,
    declared: Mapping[str, str] | None = None,
    best: Mapping[str, float] | None = None,
    at_clip: Mapping[str, str | None] | None = None,
    seed: int = 0,
    points: int = POINTS,
) -> dict[str, Any]:
    """Measures what a model achieves, with the estimators it is trained with.

        D_j = sum_i C_ij term_i,   a held-out value is the mean over batches of equal size

    A smaller last batch is left out, but for the information. Nats per example; MMD and
    distances in their own units. Numbers that are not finite are null, and a note says so.

    Args:
      model: a LagrangianModel.
      batches: held-out images [B, ...], or (images, labels); gone through twice.
      records: rows of metrics.jsonl; those with split "train" hold the multipliers' paths.
      declared: learned constraint -> its tolerance as it was declared, "best + 4".
      best: learned constraint -> eps_hat, what was reached without an information preference.
      at_clip: learned constraint -> "lower", "upper" or None; the model's own if not given.
      seed: of the terms' noise and of the bootstrap.
      points: the most images that the information is estimated on.

    Returns:
      JSON-able data; `train.page.markdown` makes it readable.

    Raises:
      InputError: there are no images.
    """
    from train.certificates.held_out import measure

    measured = measure(model, batches, seed)
    lagrangian = model.lagrangian
    names = [c.expression for c in lagrangian.learned]
    multipliers = [float(value) for value in model.multipliers.value]
    at_clip = at_clip or dict(zip(names, model.multipliers.at_clip(), strict=True))
    constraints = [
        verdict.judged(
            {
                "expression": name,
                "quantity": _quantity(constraint),
                "declared": (declared or {}).get(name, str(constraint.at_most)),
                "best": _finite((best or {}).get(name)),
                "tolerance": constraint.at_most.at(0.0),
                **_value(measured.constraints[j], seed),
                "training_value": _training_value(records, name),
                "multiplier": _finite(multipliers[j]),
                "at_clip": at_clip.get(name),
                "drift": verdict.drift(records, name),
            },
            records,
        )
        for j, (name, constraint) in enumerate(zip(names, lagrangian.learned, strict=True))
    ]
    weights = np.asarray(lagrangian.coefficients(np.array(multipliers, np.float32)))
    coefficients = dict(zip(lagrangian.terms, weights, strict=True))
    decision, reason = verdict.decide(constraints)
    converged, convergence = verdict.convergence(constraints)
    return {
        "model": model.objective.name,
        "objective": model.objective.to_config(),
        "step": int(model.step.numpy()),
        "verdict": decision,
        "reason": reason,
        "converged": converged,
        "convergence": convergence,
        "constraints": constraints,
        "fixed": [
            {"expression": c.expression, "multiplier": float(rational(c.weight))}
            for c in model.objective.constraints
            if not c.learned
        ],
        "terms": {
            name: {**_value(values, seed), "coefficient": _finite(coefficients.get(name))}
            for name, values in measured.terms.items()
        },
        "information": _information(model, batches, seed, points),
        "measured_on": {
            "batches": measured.count,
            "batch_size": measured.size,
            "left_out": measured.left_out,
            "seed": seed,
        },
        "notes": [*model.objective.tractable().notes, *_notes(measured)],
    }


def write(workdir: Workdir, certificate: Mapping[str, Any]) -> None:
    """Writes certificate.json, certificate.md and plots/certificate.png, each whole or not at all.

    The plot shows learned constraints; without any there is none.
    """
    plot = workdir.plots / "certificate.png"
    if certificate["constraints"]:
        page.plot(certificate, workdir.records(), plot)
    else:
        plot.unlink(missing_ok=True)
    text = json.dumps(certificate, indent=2, allow_nan=False) + "\n"
    write_atomically(
        workdir.path / "certificate.md", page.markdown(certificate).encode()
    )
    write_atomically(workdir.path / "certificate.json", text.encode())


def batch_size(examples: int, training: int) -> int:
    """Returns the batch size to certify with: the training's, unless the batches were too few.

    Every mean, and the U-statistic of MMD, is unbiased in batches of any size.
    """
    return max(2, min(training, examples // WANTED_BATCHES))


def _notes(measured: Any) -> list[str]:
    broken = {name: int(np.sum(~np.isfinite(v))) for name, v in measured.terms.items()}
    sentences = [
        f"{name} is not finite on {count} of {measured.count} batches, so that it and what is made "
        "of it are null"
        for name, count in broken.items()
        if count
    ]
    if measured.count < MIN_BATCHES:
        sentences.append(f"{measured.count} batches give no intervals: {MIN_BATCHES} would")
    return sentences


def _value(per_batch: np.ndarray, seed: int) -> dict[str, Any]:
    from zoo.metrics import bootstrap_interval

    if not np.all(np.isfinite(per_batch)):
        return {"value": None, "interval": None}
    enough = len(per_batch) >= MIN_BATCHES
    interval = list(bootstrap_interval(per_batch, seed)) if enough else None
    return {"value": float(per_batch.mean()), "interval": interval}


def _quantity(constraint: Constraint) -> str:
    """Returns what is bounded: the divergence, or what is left of it without the unknown H_q(x)."""
    if constraint.expression == "KL(q(x,z)||p(x,z))":
        return "-ELBO"
    vector = algebra.constraint_vector(constraint)
    if vector is not None and algebra.decompose(vector)[1]["E_q[log q(x)]"]:
        return f"{constraint.expression} + H_q(x)"
    return constraint.expression


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
    from train.certificates.held_out import images
    from zoo import priors
    from zoo.metrics import mutual_information

    if isinstance(model.prior, priors.Empirical):
        return None
    if not (model.encoder.has_density and model.decoder.has_density):
        return None
    found = mutual_information(model, _first(images(batches), points), seed)
    half = 1.96 * found.standard_error
    return {
        "estimate": _finite(found.estimate),
        "interval": [_finite(found.estimate - half), _finite(found.estimate + half)],
        "ceiling": found.ceiling,
        "points": found.points,
        "sharing": _finite(found.sharing),
        "rate": _finite(found.rate),
        "rec_x": _finite(found.rec_x),
    }


def _first(images: Iterable[Any], points: int) -> Iterator[Any]:
    """Yields batches of the first `points` images."""
    for x in images:
        if points <= 0:
            return
        yield x[:points]
        points -= len(x)


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
