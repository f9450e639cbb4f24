"""The Frechet distance between features of samples and of data: FID."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.errors import InputError
from zoo.metrics.measured import Measured

RESAMPLES = 200
_MOST_RESAMPLED = 256  # features; the time of a resampling is cubic in them


def frechet_distance(samples: Any, data: Any, seed: int = 0) -> Measured:
    """Measures the squared Frechet distance between normals with the moments of the features.

        |m - m'|^2 + tr( S + S' - 2 (S S')^(1/2) )

    Heusel et al. "GANs Trained by a Two Time-Scale Update Rule." NeurIPS 2017, eq. 6. With the
    features of Inception it is FID; with other features, values are comparable only for the same
    features. The value uses sample moments, as usual, and is too large by O(1/N). The interval, a
    basic bootstrap of both sets, is for infinitely many examples, and so lower. With more than 256
    features there is no interval.

    Args:
      samples: [N, F], features of samples, with N at least 2 F.
      data: [M, F], features of data.
      seed: seed of the bootstrap.

    Returns:
      The squared distance, in the features' units squared.

    Raises:
      InputError: the features differ in length, are not finite, or there are too few examples.
    """
    a, b = _checked(samples, data)
    value = _distance(a, b)
    kind = f"Frechet distance between {len(a)} samples and {len(b)} data in {a.shape[1]} features"
    if a.shape[1] > _MOST_RESAMPLED:
        note = f"no interval: {a.shape[1]} features are too many to resample"
        return Measured(value, None, min(len(a), len(b)), kind, (note,), units="features squared")
    rng = np.random.default_rng(seed)
    resampled = [
        _distance(a[rng.integers(len(a), size=len(a))], b[rng.integers(len(b), size=len(b))])
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(resampled, [0.025, 0.975])
    bias = float(np.mean(resampled)) - value
    return Measured(
        value,
        (max(2 * value - float(high), 0.0), max(2 * value - float(low), 0.0)),
        min(len(a), len(b)),
        kind,
        (f"too large by about {bias:.2g} for the number of examples; the interval is not",),
        units="features squared",
    )


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    s, t = np.cov(a, rowvar=False, ddof=1), np.cov(b, rowvar=False, ddof=1)
    s, t = np.atleast_2d(s), np.atleast_2d(t)
    # tr (S S')^(1/2) = sum of the square roots of the eigenvalues of S^(1/2) S' S^(1/2)
    values, vectors = np.linalg.eigh(s)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    overlap = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ t @ root), 0.0)).sum()
    apart = a.mean(axis=0) - b.mean(axis=0)
    # |m - m'|^2 + tr(S + S') - 2 tr (S S')^(1/2)
    return float(apart @ apart + np.trace(s) + np.trace(t) - 2 * overlap)


def _checked(samples: Any, data: Any) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(samples, np.float64), np.asarray(data, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise InputError(
            f"Features of samples have shape {a.shape} and of data {b.shape}: give [N, F] and "
            "[M, F]."
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("A feature is not finite: the model has diverged, train it again.")
    if min(len(a), len(b)) < 2 * a.shape[1]:
        raise InputError(
            f"There are {min(len(a), len(b))} examples for a covariance of {a.shape[1]} features: "
            f"give {2 * a.shape[1]} or more."
        )
    return a, b
