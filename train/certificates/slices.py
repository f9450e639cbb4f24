"""The worst class: each constraint with an unbiased estimate, on the images of one label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from zoo.batch import Batch

EXACT = frozenset({"REC_x", "RATE", "REC_z"})  # means over examples, unbiased on any subset
SIZES = (32, 8, 2)  # of batches: few, as the traced terms are compiled for each
_WANTED = 16
_MOST = 32  # batches of a class


def slices(model: Any, batches: Iterable[Any], labels: Any, seed: int = 0) -> dict[str, Any]:
    """Measures each learned constraint with an unbiased estimate on every class of the data.

        D_j(c) = sum_i C_ij term_i(c),   term_i(c) the mean over batches of images with label c
        interval: `mean_interval` of its batches, of confidence 1 - 0.05 / K for K classes

    Only constraints over REC_x, RATE and REC_z are measured. These are means over examples, so the
    mean of D_j(c) over classes, weighted by their shares, is D_j. REC_z is estimated on samples of
    p and is the same for all classes unless z is data: a constraint on REC_z alone is left out. By
    Bonferroni's correction the intervals hold for all classes of a constraint together, so that
    the worst class may be selected.

    Args:
      model: a LagrangianModel.
      batches: held-out images [B, ...], or (x, z) where z is data.
      labels: [N], one for each image, in the order of the batches.
      seed: of the terms' noise.

    Returns:
      {"classes": K, "constraints": [row]}, JSON-able. A row has expression, tolerance, labels (each
      with label, images, value and interval), worst (the label of the highest value that has an
      interval) and alone (whether every other interval lies below it). Value and interval are None
      if a class has too few images or a term is not finite.

    Raises:
      InputError: there are fewer labels than images.
    """
    from zoo import priors

    lagrangian, paired = model.lagrangian, priors.is_data(model.prior)
    labels = np.asarray(labels)
    columns = [
        {n: float(c) for n, c in zip(lagrangian.terms, column, strict=True) if c}
        for column in lagrangian.slopes.T
    ]
    sliced = [j for j, column in enumerate(columns) if _depends_on_class(column, paired)]
    classes, counts = np.unique(labels, return_counts=True)
    if not sliced:
        return {"classes": len(classes), "constraints": []}
    sizes = {c: _size(int(n)) for c, n in zip(classes.tolist(), counts, strict=True)}
    rows: dict[Any, list[dict[str, float]]] = {c: [] for c in sizes}
    for label, index, parts in _of_one_class(model, batches, labels, sizes):
        x, z, c = parts
        given = () if c is None else (c,)
        found = model.traced_terms(x, np.array([seed, index], np.int32), z, *given)
        rows[label].append({name: float(value) for name, value in found.items()})
    images = dict(zip(sizes, counts.tolist(), strict=True))
    return {
        "classes": len(classes),
        "constraints": [
            {
                "expression": lagrangian.learned[j].expression,
                "tolerance": float(lagrangian.tolerances[j]),
                **_ranked(
                    {
                        c: np.array([sum(k * row[n] for n, k in columns[j].items()) for row in of])
                        for c, of in rows.items()
                    },
                    images,
                ),
            }
            for j in sliced
        ],
    }


def sentences(
    found: Mapping[str, Any] | None, quantities: Mapping[str, str] | None = None
) -> list[str]:
    """Returns the result of `slices` in sentences, for the certificate's page.

    Args:
      quantities: constraint -> the name of the bounded quantity, such as "-ELBO"; the constraint's
        name if not given.
    """
    said = []
    for row in found["constraints"] if found is not None else ():
        quantity = (quantities or {}).get(row["expression"], row["expression"])
        said += _sentences(row, quantity)
    return said


def _sentences(row: Mapping[str, Any], quantity: str) -> list[str]:
    measured = [of for of in row["labels"] if of["interval"] is not None]
    missing = len(row["labels"]) - len(measured)
    if len(measured) < 2:
        return []
    worst = next(of for of in measured if of["label"] == row["worst"])
    low, high = worst["interval"]
    eps = row["tolerance"]
    place = "above" if low > eps else "within" if high <= eps else "around"
    value = f"{quantity} {low:.4g} to {high:.4g}, {place} the tolerance {eps:.4g}"
    if row["alone"]:
        text = f"Class {worst['label']} is the worst of {len(measured)}: {value}."
    else:
        rivals = [
            str(of["label"]) for of in measured if of is not worst and of["interval"][1] > low
        ]
        few = f"class {rivals[0]}" if len(rivals) == 1 else f"{len(rivals)} others"
        text = f"Class {worst['label']} has the highest {value}; {few} may be as high."
    above = [of for of in measured if of["interval"][0] > eps]
    said = [text]
    if len(above) > 1:
        said.append(f"{len(above)} of {len(measured)} classes are above it.")
    if above:
        said.append("The tolerance bounds the mean over all classes.")
    if missing:
        verb = "class has" if missing == 1 else "classes have"
        said.append(f"{missing} {verb} too few images for an interval.")
    return [" ".join(said)]


def _depends_on_class(column: Mapping[str, float], paired: bool) -> bool:
    return set(column) <= EXACT and bool(set(column) - (set() if paired else {"REC_z"}))


def _size(count: int) -> int:
    """Returns the largest batch size that gives enough batches of one class."""
    return next((size for size in SIZES if count // size >= _WANTED), SIZES[-1])


def _of_one_class(
    model: Any, batches: Iterable[Any], labels: np.ndarray, sizes: Mapping[Any, int]
) -> Iterator[tuple[Any, int, tuple[Any, Any, Any]]]:
    """Yields the label, the batch's number within its class, and (x, z, c) with None if absent."""
    from zoo.errors import InputError

    waiting: dict[Any, list[Any]] = {c: [] for c in sizes}
    given = dict.fromkeys(sizes, 0)
    first = 0
    for batch in batches:
        parts = [None if p is None else np.asarray(p) for p in Batch.to(model, batch)]
        x = parts[0]
        assert x is not None
        if first + len(x) > len(labels):
            raise InputError(
                f"There are {len(labels)} labels for at least {first + len(x)} images: give one "
                "label for each image."
            )
        for i, label in enumerate(labels[first : first + len(x)].tolist()):
            queue = waiting[label]
            if given[label] == _MOST:
                continue
            queue.append([None if p is None else p[i] for p in parts])
            if len(queue) == sizes[label]:
                xs, zs, cs = (
                    None if column[0] is None else np.stack(column)
                    for column in zip(*queue, strict=True)
                )
                yield label, given[label], (xs, zs, cs)
                given[label] += 1
                queue.clear()
        first += len(x)


def _ranked(values: Mapping[Any, np.ndarray], images: Mapping[Any, int]) -> dict[str, Any]:
    """Returns each label's value and interval, and the label with the highest value."""
    from zoo.metrics.intervals import MIN_VALUES

    # Bonferroni: all intervals hold together with confidence 95%
    confidence = 1 - 0.05 / max(1, sum(len(of) >= MIN_VALUES for of in values.values()))
    rows = [
        {"label": label, "images": images[label], **_value(of, confidence)}
        for label, of in values.items()
    ]
    known = [row for row in rows if row["interval"] is not None]
    worst = max(known, key=lambda row: row["value"], default=None)
    alone = worst is not None and all(
        row is worst or row["interval"][1] < worst["interval"][0] for row in known
    )
    return {"labels": rows, "worst": worst and worst["label"], "alone": alone}


def _value(of: np.ndarray, confidence: float) -> dict[str, Any]:
    from zoo.metrics.intervals import MIN_VALUES, mean_interval

    if not len(of) or not np.all(np.isfinite(of)):
        return {"value": None, "interval": None}
    enough = len(of) >= MIN_VALUES
    return {
        "value": float(of.mean()),
        "interval": list(mean_interval(of, confidence)) if enough else None,
    }
