"""The agreement of a categorical code with labels that were not used in training."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from zoo.errors import InputError
from zoo.metrics.measured import Measured


def cluster_accuracy(codes: Any, labels: Any) -> Measured:
    """Measures the accuracy of a categorical code under the best matching of codes and classes.

        max over one-to-one matchings m of codes and classes   1/N sum_i 1[ m(c_i) = y_i ]

    The best matching is found exactly (Kuhn 1955). As in Yang et al. "Image clustering using local
    discriminant models." 2010, all examples of a code or class without a partner are wrong.
    With few examples the accuracy of the best matching is too high in expectation. A matching
    chosen on one half and evaluated on the other gives a value that is too low: the interval spans
    both.

    Args:
      codes: [N] code values, or [N, K] probabilities, of which the largest counts.
      labels: [N].

    Returns:
      The accuracy, a share; 1 if every class has one code value.

    Raises:
      InputError: there are no examples, or codes and labels differ in number.
    """
    codes, labels = np.asarray(codes), np.asarray(labels)
    if not len(codes) or len(codes) != len(labels):
        raise InputError(
            f"There are {len(codes)} codes and {len(labels)} labels: give one label to each code."
        )
    values = codes.argmax(axis=1) if codes.ndim == 2 else codes
    used, rows = np.unique(values, return_inverse=True)
    classes, columns = np.unique(labels, return_inverse=True)
    best = _matched(rows, columns, len(used), len(classes))
    hits = best[rows, columns].astype(np.float64)
    # each half under the best matching of the other; random halves, because examples may be sorted
    half = np.random.default_rng(0).permutation(len(rows)) % 2
    others = np.stack(
        [_matched(rows[half != h], columns[half != h], len(used), len(classes)) for h in (0, 1)]
    )
    crossed = others[half, rows, columns].astype(np.float64)
    chance = np.bincount(columns).max() / len(labels)
    found = Measured.of_mean(
        hits,
        "share of examples whose code is its class's, under the best one-to-one matching",
        (
            f"{len(used)} values of the code are used for {len(classes)} classes; one value for "
            f"all would give {chance:.3g}",
        ),
        units="share",
    )
    least = Measured.of_mean(crossed, "").interval
    if found.interval is None or least is None:
        return found
    low, high = found.interval
    return dataclasses.replace(found, interval=(max(0.0, min(low, least[0])), min(1.0, high)))


def _matched(rows: np.ndarray, columns: np.ndarray, codes: int, classes: int) -> np.ndarray:
    """Returns the matching with the most examples, bool [codes, classes]."""
    table = np.zeros((codes, classes), np.int64)
    np.add.at(table, (rows, columns), 1)
    matched = np.zeros(table.shape, bool)
    matched[linear_sum_assignment(table, maximize=True)] = True
    return matched
