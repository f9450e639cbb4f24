"""The number of latent dimensions that depend on the data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from zoo.distributions.probes import encoded_mean
from zoo.errors import InputError
from zoo.metrics.batches import in_batches
from zoo.metrics.measured import NORMAL_95, Measured

THRESHOLD = 0.01  # Burda et al. 2016, section 5.2


def active_units(model: Any, images: Any, threshold: float = THRESHOLD) -> Measured:
    """Counts the dimensions of z whose posterior mean varies with x.

        A_k = Var_x( E_q(z|x)[z_k] ) > threshold       Burda et al. 2016, section 5.2

    The interval counts the dimensions with A_k above the threshold by two standard errors, and
    those with A_k above it less two: Var A_k ~= (m4 - A_k^2) / N with m4 the fourth central moment.

    Args:
      model: has `encode(x)`, a tfd distribution with a mean, over codes [K].
      images: [N, ...], or batches [B, ...] of them.
      threshold: above 0, in the units of z squared.

    Returns:
      measured: the number of active units; `units` states K.

    Raises:
      InputError: there are fewer than two images, the threshold is not positive, or q(z|x) has no
        mean.
    """
    if not threshold > 0:
        raise InputError(f"The threshold of active units is {threshold!r}: give one above 0.")
    reader = "The count of active units"
    of_batches = (encoded_mean(model, x, reader) for x in in_batches(images))
    means = [np.asarray(mean, np.float64) for mean in of_batches]
    n = sum(map(len, means))
    if n < 2:
        raise InputError(f"There are {n} images for active units: give two or more.")
    mean = np.concatenate(means).reshape(n, -1)
    # A_k = Var_x( E[z_k|x] )
    variance = mean.var(axis=0, ddof=1)
    fourth = np.mean((mean - mean.mean(axis=0)) ** 4, axis=0)
    half = NORMAL_95 * np.sqrt(np.maximum(fourth - variance**2, 0.0) / n)
    low, count, high = (
        float(np.sum(variance + shift > threshold)) for shift in (-half, np.zeros_like(half), half)
    )
    borderline = math.floor(high - low)
    notes = (f"{borderline} of them near the threshold",) if borderline else ()
    return Measured(
        count,
        (low, high),
        n,
        f"variance of posterior means above {threshold:g}",
        notes,
        ceiling=float(mean.shape[1]),
        units=f"of {mean.shape[1]} units",
    )
