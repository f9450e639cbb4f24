"""MMD over a whole data set, with its standard error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.conditionals import stateless_seed
from zoo.errors import InputError
from zoo.metrics.measured import Measured, around
from zoo.terms import kernels
from zoo.terms.diagonal_normal import diagonal_normal

_MEDIAN_OF = 1000  # examples of each side that a median bandwidth is over


def full_mmd(
    q: Any,
    p: Any,
    kernel: str = "rbf",
    bandwidth: Any = "dim",
    scales: Sequence[float] | None = None,
    seed: int = 0,
    block: int = 1024,
) -> Measured:
    """The squared maximum mean discrepancy of all samples at once, by the U-statistic.

        MMD^2 = 1/(N (N-1)) sum_{i != j} h_ij                    Gretton et al. 2012, eq. 4
        h_ij  = k(z_i, z_j) + k(y_i, y_j) - k(z_i, y_j) - k(z_j, y_i)

    Where p is a diagonal normal and the kernel an RBF the mean over y is exact, as in
    `zoo.terms.mmd_to_normal`: h_ij = k(z_i, z_j) - mu(z_i) - mu(z_j) + c. The interval is that of
    U-statistics, with r_i = 1/(N-1) sum_{j != i} h_ij:

        Var MMD^2 ~= 4/N Var r - 2/(N (N-1)) Var h
                  >= 2/(N (N-1)) Var h                       with equality at q = p

    Of the two the larger is taken, so that at q = p the interval is a quarter too wide.

    The N x N kernels are taken in blocks of block x block, each pair once; a few of these are all
    the memory that is used (17 MB for 1024).

    Args:
      q: [N, ...], samples of q, all of the data set's codes or images.
      p: [N, ...], as many samples of p; or p itself, a tfd distribution.
      kernel, bandwidth, scales: as in `zoo.terms.mmd`; "median" is over 1000 samples of each.
      seed: of the samples of p, where it is a distribution that is not a diagonal normal.
      block: how many examples are compared with as many others at once.

    Raises:
      InputError: an option is unknown, the samples differ in number or size, or there are fewer
        than four of them.
    """
    k = kernels.kernel(kernel, scales)
    z = kernels.flatten(q)
    n = int(z.shape[0])
    if n < 4:
        raise InputError(f"MMD over a data set was asked of {n} examples: give four or more.")
    normal = None
    if hasattr(p, "log_prob"):
        normal = diagonal_normal(p) if k.profile is kernels.rbf else None
        p = p.sample(n, seed=stateless_seed([seed, 0]))
    y = kernels.flatten(p)
    if y.shape != z.shape:
        raise InputError(
            f"MMD compares as many samples of one size: got {tuple(z.shape)} of q and "
            f"{tuple(y.shape)} of p."
        )
    first = slice(0, _MEDIAN_OF)
    s2 = tf.cast(kernels.bandwidth(bandwidth, z[first], y[first]), tf.float32)
    if normal is None:
        found = _pairs(_of_samples(k, s2, z, y), n, block)
        estimator = f"U-statistic of {n} and {n} samples, {kernel} kernel"
    else:
        found = _pairs(_to_normal(k, s2, z, normal), n, block)
        estimator = f"U-statistic of {n} samples, {kernel} kernel, exact normal"
    value, error = found
    return Measured(value, around(value, error), n, estimator, units="squared kernel distance")


def _of_samples(k: kernels.Kernel, s2: Any, z: tf.Tensor, y: tf.Tensor) -> Any:
    """Returns a function of two slices that gives h, [rows, columns]."""

    def h(z_i: Any, y_i: Any, z_j: Any, y_j: Any) -> Any:
        def gram(a: Any, b: Any) -> Any:
            return k(kernels.squared_distances(a, b), s2)

        # h_ij = k(z_i, z_j) + k(y_i, y_j) - k(z_i, y_j) - k(y_i, z_j)
        return gram(z_i, z_j) + gram(y_i, y_j) - gram(z_i, y_j) - gram(y_i, z_j)

    return lambda i, j: h(z[i], y[i], z[j], y[j])


def _to_normal(k: kernels.Kernel, s2: Any, z: tf.Tensor, normal: Any) -> Any:
    """Returns a function of two slices that gives h, [rows, columns], y averaged out."""
    m, v = normal.mean(), normal.variance()
    mu, c = [], []
    for scale in k.scales:
        b = scale * s2
        # mu(z) = E_p k(z, y),   c = E_pp k(y, y'),   as in zoo.terms.mmd_to_normal
        log_mu = -0.5 * tf.reduce_sum(tf.math.log1p(v / b) + (z - m) ** 2 / (b + v), axis=1)
        mu.append(tf.exp(log_mu))
        c.append(tf.exp(-0.5 * tf.reduce_sum(tf.math.log1p(2.0 * v / b))))
    mean, constant = tf.add_n(mu) / len(mu), tf.add_n(c) / len(c)

    def h(z_i: Any, mean_i: Any, z_j: Any, mean_j: Any) -> Any:
        gram = k(kernels.squared_distances(z_i, z_j), s2)
        # h_ij = k(z_i, z_j) - mu(z_i) - mu(z_j) + c
        return gram - mean_i[:, tf.newaxis] - mean_j + constant

    return lambda i, j: h(z[i], mean[i], z[j], mean[j])


def _pairs(h: Any, n: int, block: int) -> tuple[float, float]:
    """Returns the U-statistic of h_ij and its standard error."""
    rows, squares = np.zeros(n), 0.0
    for start in range(0, n, block):
        i = slice(start, min(start + block, n))
        for other in range(start, n, block):
            j = slice(other, min(other + block, n))
            values = h(i, j)
            if other == start:
                values = tf.linalg.set_diag(values, tf.zeros_like(values[0]))
                rows[i] += tf.reduce_sum(values, axis=1).numpy()
                squares += float(tf.reduce_sum(values**2))
            else:
                rows[i] += tf.reduce_sum(values, axis=1).numpy()
                rows[j] += tf.reduce_sum(values, axis=0).numpy()
                squares += 2.0 * float(tf.reduce_sum(values**2))
    # r_i = 1/(N-1) sum_{j != i} h_ij
    means = rows / (n - 1)
    value = float(means.mean())
    pairs = n * (n - 1)
    spread = max(squares / pairs - value**2, 0.0)
    # Var MMD^2 ~= 4/N Var r - 2/(N (N-1)) Var h >= 2/(N (N-1)) Var h
    least = 2.0 * spread / pairs
    return value, math.sqrt(max(4.0 * means.var(ddof=1) / n - least, least))
