"""The kernel distance between features of samples and of data: KID."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from zoo.errors import InputError
from zoo.metrics.measured import Measured, around

_BLOCK = 1000  # rows of kernels in memory: 1000 N numbers


def kernel_distance(samples: Any, data: Any) -> Measured:
    """Measures the squared MMD between features with a cubic kernel, without bias.

        MMD^2 = 1/(N (N-1)) sum_{i != j} h_ij
        h_ij  = k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(y_i, x_j),   k(x, y) = (x.y / F + 1)^3

    Binkowski et al. "Demystifying MMD GANs." ICLR 2018. With the features of Inception it is KID;
    it uses all pairs, while that paper averages over subsets. It can be negative. Its variance is
    that of a U-statistic (Hoeffding 1948),

        4 Var_i[ E_j h_ij ] / N + 2 Var[ h_ij ] / N^2

    Args:
      samples: [N, F], features of samples.
      data: [N, F], features of the same number of data.

    Returns:
      The squared distance, without unit.

    Raises:
      InputError: the shapes differ, a feature is not finite, or there are fewer than 4 examples.
    """
    x, y = np.asarray(samples, np.float64), np.asarray(data, np.float64)
    if x.ndim != 2 or x.shape != y.shape or len(x) < 4:
        raise InputError(
            f"Features of samples have shape {x.shape} and of data {y.shape}: give as many of "
            "both, [N, F] with N at least 4."
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError("A feature is not finite: the model has diverged, train it again.")
    n = len(x)
    rows, squares = np.empty(n), 0.0
    for start in range(0, n, _BLOCK):
        part = slice(start, start + _BLOCK)
        h = _kernel(x[part], x) + _kernel(y[part], y) - _kernel(x[part], y) - _kernel(y[part], x)
        own = np.arange(n)[part]
        h[own - start, own] = 0.0
        rows[part] = h.sum(axis=1) / (n - 1)
        squares += float(np.square(h).sum())
    value = float(rows.mean())
    whole = squares / (n * (n - 1)) - value**2
    # Var_i of means over n - 1 others includes Var[h_ij] / (n - 1) of noise
    first = max(float(rows.var(ddof=1)) - whole / (n - 1), 0.0)
    error = math.sqrt(4 * first / n + 2 * max(whole, 0.0) / n**2)
    return Measured(
        value,
        around(value, error),
        n,
        f"U-statistic of the squared MMD in {x.shape[1]} features, kernel (x.y / F + 1)^3",
        units="",
    )


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # k(x, y) = (x.y / F + 1)^3
    return (a @ b.T / a.shape[1] + 1.0) ** 3
