"""MMD between a sample and a normal, with the expectation over the normal in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from zoo import errors
from zoo.terms import kernels


def mmd_to_normal(
    z: Any,
    loc: Any,
    scale: Any,
    kernel: str = "rbf",
    bandwidth: Any = "dim",
    estimator: str = "u",
    scales: Sequence[float] | None = None,
    pairs: Any = None,
) -> Any:
    """The squared maximum mean discrepancy between a sample and a normal N(loc, diag(scale^2)).

    Expectations over the normal are in closed form, so that only the noise of `z` remains:

    ```none
    MMD^2 = E_qq k(z, z') - 2 E_q mu(z) + c
    mu(z) = E_p k(z, y)  = prod_d sqrt(s2 / (s2 + v_d)) exp(-(z_d - m_d)^2 / (2 (s2 + v_d)))
    c     = E_pp k(y, y') = prod_d sqrt(s2 / (s2 + 2 v_d)),     m = loc, v = scale^2
    ```

    For more information, see:
      Rustamov. "Closed-form Expressions for Maximum Mean Discrepancy with Applications to
      Wasserstein Auto-Encoders." Stat 10(1), 2021.

    Args:
      z: [N, ...], samples of q.
      loc: The normal's mean: a number, or the shape of one example.
      scale: The normal's standard deviations, likewise.
      kernel: "rbf" or "rbf_mixture".
      bandwidth: "dim", or s2 as a number or scalar tensor, for example
        `kernels.median_bandwidth(z, prior_sample)`.
      estimator: "u" or "v", for the pairs of `z`.
      scales: Factors of s2; the kernel is the mean over them. `None` for the kernel's default.
      pairs: [N, N], weights of the pairs of `z`, such as `kernels.pairs_of_one_class`, in place of
        `estimator`.

    Returns:
      mmd: Scalar.

    Raises:
      InputError: an option is unknown, the kernel has no closed form, or the batch has one example.
    """
    q, k = kernels.flatten(z), kernels.kernel(kernel, scales)
    if k.profile is not kernels.rbf:
        raise errors.InputError(
            f"Kernel {kernel!r} has no closed form under a normal: use 'rbf', or mmd with a sample."
        )
    if isinstance(bandwidth, str) and bandwidth == "median":
        # A collapsing posterior would also shrink the median of its samples, and look correct.
        raise errors.InputError(
            "The median of z alone is not a valid bandwidth: pass "
            "kernels.median_bandwidth(z, prior_sample)."
        )
    s2 = kernels.bandwidth(bandwidth, q)
    m, v = _row(loc, q), _row(scale, q) ** 2
    rows = None if pairs is None else tf.reduce_sum(pairs, axis=1)
    mu, c = [], []
    for factor in k.scales:
        b = factor * s2
        # log mu(z) = 1/2 sum_d [ -log(1 + v_d / b) - (z_d - m_d)^2 / (b + v_d) ]
        log_mu = -0.5 * tf.reduce_sum(tf.math.log1p(v / b) + (q - m) ** 2 / (b + v), axis=1)
        # log c = -1/2 sum_d log(1 + 2 v_d / b)
        log_c = -0.5 * tf.reduce_sum(tf.math.log1p(2.0 * v / b))
        if rows is None:
            mu.append(tf.reduce_mean(tf.exp(log_mu)))
            c.append(tf.exp(log_c))
        else:
            mu.append(tf.reduce_sum(rows * tf.exp(log_mu)))
            c.append(tf.reduce_sum(rows) * tf.exp(log_c))
    gram = k(kernels.squared_distances(q, q), s2)
    k_qq = kernels.mean_of_pairs(gram, estimator) if pairs is None else tf.reduce_sum(pairs * gram)
    # MMD^2 = E_qq k - 2 E_q mu + c
    return k_qq - 2.0 * tf.add_n(mu) / len(mu) + tf.add_n(c) / len(c)


def _row(parameter: Any, q: Any) -> Any:
    """Returns a normal's `parameter` as [D], for samples `q` [N, D]."""
    row = tf.reshape(tf.cast(tf.convert_to_tensor(parameter), tf.float32), [-1])
    if row.shape[0] not in (1, q.shape[1]):
        raise errors.InputError(
            f"MMD compares examples of one size: got {q.shape[1]} and {row.shape[0]} numbers each."
        )
    # Sums over D need a scalar parameter D times.
    return tf.broadcast_to(row, [q.shape[1]])
