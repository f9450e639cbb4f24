"""The divergence between the class distributions of samples and of data."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.errors import InputError
from zoo.metrics import class_shares
from zoo.metrics.measured import Measured


def class_mismatch(predicted: Any, labels: Any, seed: int = 0) -> Measured:
    """Measures the divergence of the samples' class distribution from that of the data.

        l_ce(c, c') = -c^T (log c' - log c) = KL(c || c')          [V] section 5.2, figure 6 (C)

    c are the shares of the labels, c' those of a classifier's decisions on samples. c' has half a
    sample added to each class, so that a class without samples gives a large but finite value. If
    c' = c, the estimate from M samples in K classes is too large by about (K - 1) / 2M; the
    interval is for infinitely many samples.

    Args:
      predicted: [M], the classes of samples by a classifier.
      labels: [N], the classes of data.
      seed: seed of the bootstrap over samples; labels are not resampled.

    Returns:
      The mismatch in nats, 0 if the shares agree.

    Raises:
      InputError: there are no samples or labels, or a sample has a class without labels.
    """
    predicted, labels = np.asarray(predicted).ravel(), np.asarray(labels).ravel()
    if not len(predicted) or not len(labels):
        raise InputError(
            f"There are {len(predicted)} samples and {len(labels)} labels for class shares: "
            "give some of both."
        )
    classes, of_labels = np.unique(labels, return_counts=True)
    counts = (predicted[:, None] == classes).sum(axis=0)
    if counts.sum() < len(predicted):
        strange = predicted[~np.isin(predicted, classes)][0]
        raise InputError(f"A sample is of class {strange}, which no label has: give more labels.")
    c = of_labels / of_labels.sum()

    def mismatch(counts: np.ndarray) -> np.ndarray:
        # KL(c || c') = c^T (log c - log c')
        return (np.log(c) - np.log(class_shares.shares(counts))) @ c

    low, high = class_shares.interval(mismatch, counts, seed)
    bias = (len(classes) - 1) / (2 * len(predicted))
    return Measured(
        float(mismatch(counts)),
        (max(low, 0.0), high),
        len(predicted),
        "KL from the classes of the data to those a classifier finds in samples, [V] section 5.2",
        (f"too large by about {bias:.2g} where the shares are equal",),
        units="nats",
    )
