"""Measures of conditional models: means over classes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from zoo.errors import InputError
from zoo.metrics.measured import Measured
from zoo.metrics.mutual_information import MutualInformation


def of_classes(model: Any, images: Any, classes: Any) -> Iterator[tuple[float, Any, np.ndarray]]:
    """Yields q(c), `model.given(c)` and the images [N_c, ...] of each class c.

    Args:
      model: a LagrangianModel with a condition of classes.
      images: [N, ...].
      classes: [N], whole numbers.

    Raises:
      InputError: the condition is not classes, or images and classes differ in number.
    """
    if model.condition is None or model.condition.classes is None:
        raise InputError("This measure is a mean over classes: condition the model on classes.")
    images, classes = np.asarray(images), np.asarray(classes)
    if classes.shape != (len(images),):
        raise InputError(
            f"There are {len(images)} images and classes of shape {classes.shape}: give one class "
            "for each image."
        )
    for c in np.unique(classes):
        chosen = images[classes == c]
        yield len(chosen) / len(images), model.given(int(c)), chosen


def over_classes(
    measure: Callable[[Any, np.ndarray], Measured], model: Any, images: Any, classes: Any
) -> Measured:
    """Returns the mean over classes c of a measure of the model given c on the images of c.

        value = sum_c q(c) value_c,   (value - low)^2 = sum_c q(c)^2 (value_c - low_c)^2

    The upper end is analogous, because classes are independent. The ceiling is the mean of
    ceilings.

    Args:
      measure: maps `model.given(c)` and images [N_c, ...] to a Measured.
      model, images, classes: as for `of_classes`.

    Raises:
      InputError: as `of_classes`, or a class has too few images for the measure.
    """
    return averaged(*_of_each(measure, model, images, classes))


def averaged(shares: Sequence[float], rows: Sequence[Measured]) -> Measured:
    """Returns the mean over classes with shares q(c), as in `over_classes`."""
    value = _mean(shares, [row.value for row in rows])
    intervals = [row.interval for row in rows if row.interval is not None]
    interval = None
    if len(intervals) == len(rows):
        low, high = (
            math.sqrt(
                sum(
                    (share * (row.value - ends[i])) ** 2
                    for share, row, ends in zip(shares, rows, intervals, strict=True)
                )
            )
            for i in (0, 1)
        )
        interval = value - low, value + high
    ceilings = [row.ceiling for row in rows if row.ceiling is not None]
    shared = [note for note in rows[0].notes if all(note in row.notes for row in rows)]
    own = [f"given the first class: {note}" for note in rows[0].notes if note not in shared]
    return dataclasses.replace(
        rows[0],
        value=value,
        interval=interval,
        size=sum(row.size for row in rows),
        estimator=f"{rows[0].estimator}, mean over {len(rows)} classes",
        notes=(f"the mean over {len(rows)} classes of what it is given each", *shared, *own),
        ceiling=_mean(shares, ceilings) if len(ceilings) == len(rows) else None,
    )


def information_given_classes(
    measure: Callable[[Any, np.ndarray], MutualInformation], model: Any, images: Any, classes: Any
) -> MutualInformation:
    """Returns I_q(x;z|c), the mean over classes of I_q(x;z) given c, and its bounds.

    Squares of standard errors add. log `points` is the mean of the classes' ceilings,
    sum_c q(c) log N_c.

    Raises:
      InputError: as `over_classes`.
    """
    shares, rows = _of_each(measure, model, images, classes)

    def mean(name: str) -> float:
        return _mean(shares, [getattr(row, name) for row in rows])

    def error(name: str) -> float:
        return math.hypot(*(s * getattr(row, name) for s, row in zip(shares, rows, strict=True)))

    return MutualInformation(
        estimate=mean("estimate"),
        standard_error=error("standard_error"),
        points=round(math.exp(mean("ceiling"))),
        rate=mean("rate"),
        rate_error=error("rate_error"),
        rec_x=mean("rec_x"),
        leave_one_out=mean("leave_one_out"),
        leave_one_out_error=error("leave_one_out_error"),
    )


def _of_each(
    measure: Callable[[Any, np.ndarray], Any], model: Any, images: Any, classes: Any
) -> tuple[list[float], list[Any]]:
    """Returns q(c) and the measure of the model given c, for each class c."""
    found = of_classes(model, images, classes)
    rows = [(share, measure(given, chosen)) for share, given, chosen in found]
    return [share for share, _ in rows], [row for _, row in rows]


def _mean(shares: Sequence[float], values: Sequence[float]) -> float:
    return float(sum(share * value for share, value in zip(shares, values, strict=True)))
