"""The learned constraints on held-out batches: what they are, and how far training must aim."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.lagrangian import Lagrangian

STANDARD_ERRORS = 4


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Of each learned constraint D_j over batches of equal size, [m], in its own units."""

    mean: np.ndarray
    deviation: np.ndarray  # of one batch's estimate
    error: np.ndarray  # standard error of the mean


def statistics(
    model: Any, lagrangian: Lagrangian, batches: Iterable[Any], seed: int = 0
) -> Statistics:
    """Returns the constraints' statistics with the estimators training uses.

    A last batch that is smaller is left out: MMD's noise depends on its size.
    """

    @tf.function(jit_compile=bool(model.jit_compile))
    def values(x: tf.Tensor, noise_seed: tf.Tensor) -> tf.Tensor:
        found = model.term_values(x, noise_seed)
        return lagrangian.constraint_values(
            {name: found.get(name, tf.constant(0.0)) for name in lagrangian.terms}
        )

    rows: list[np.ndarray] = []
    size = None
    for index, x in enumerate(batches):
        size = size or len(x)
        if len(x) == size:
            rows.append(values(x, tf.constant([seed, index], tf.int32)).numpy())
    table = np.stack(rows).astype(np.float64)
    deviation = table.std(axis=0, ddof=1) if len(table) > 1 else np.zeros(table.shape[1])
    return Statistics(table.mean(axis=0), deviation, deviation / math.sqrt(len(table)))


def aim(model: Any, batches: Iterable[Any], reached: np.ndarray) -> None:
    """Makes training aim at the tolerances less what held-out data costs more.

        margin_j = max(0, D_j(held out) - D_j(train)) + 4 standard errors of D_j(held out)

    The dual step sees training batches, but a constraint is meant to hold on data the model has
    not seen: two standard errors bring the whole interval of the mean below the tolerance, and
    two more are for what one held-out set differs from another.

    Args:
      model: its `margins` are set.
      batches: held-out images.
      reached: D_j on recent training batches, [m].
    """
    found = statistics(model, model.lagrangian, batches)
    model.margins.assign(np.maximum(found.mean - reached, 0.0) + STANDARD_ERRORS * found.error)
