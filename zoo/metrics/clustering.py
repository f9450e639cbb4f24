"""Whether a categorical code agrees with labels it has never seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from zoo.errors import InputError
from zoo.metrics.measured import Measured


def cluster_accuracy(codes: Any, labels: Any) -> Measured:
    """Measures how many examples a categorical code puts into the class it stands for.

        max over one-to-one matchings m of codes and classes   1/N sum_i 1[ m(c_i) = y_i ]

    The best matching is found exactly (Kuhn 1955). As in Yang et al. "Image clustering using
    local discriminant models." 2010: a code or class without a partner is wrong throughout.

    Args:
      codes: [N] code values, or [N, K] their probabilities, whose largest counts.
      labels: [N].

    Returns:
      The share, 1 if every class has a value of its own.

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
    table = np.zeros((len(used), len(classes)), np.int64)
    np.add.at(table, (rows, columns), 1)
    # the matching whose cells hold the most examples
    matched = np.zeros(table.shape, bool)
    matched[linear_sum_assignment(table, maximize=True)] = True
    hits = matched[rows, columns].astype(np.float64)
    chance = np.bincount(columns).max() / len(labels)
    return Measured.of_mean(
        hits,
        "share of examples whose code is its class's, under the best one-to-one matching",
        (
            f"{len(used)} values of the code are used for {len(classes)} classes; one value for "
            f"all would give {chance:.3g}",
        ),
        units="share",
    )
