"""MMD between a mixture of normals and a normal, with the noise of both integrated out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from zoo import errors
from zoo.terms import kernels


def mmd_of_normals(
    locs: Any,
    scales: Any,
    loc: Any,
    scale: Any,
    bandwidth: Any = "dim",
    bandwidth_scales: Sequence[float] = (1.0,),
    weights: Any = None,
) -> Any:
    """The squared maximum mean discrepancy between E_x q(z|x) and N(loc, diag(scale^2)).

    It is the mean of the U-statistic over one sample of each q(z|x), for an RBF kernel:

    ```none
    MMD^2 = 1/(n(n-1)) sum_{i != j} E k(z_i, z_j) - 2/n sum_i E k(z_i, y) + E k(y, y')
    E k(a, b) = prod_d sqrt(s2 / (s2 + v_d)) exp(-m_d^2 / (2 (s2 + v_d))),   a - b ~ N(m, diag(v))
    ```

    Its gradient has no sampling noise. With a large multiplier that noise dominates training: with
    weight 1000 and batches of 128 the posterior collapsed.

    Args:
      locs: [N, K], the means of q(z|x) at N examples.
      scales: [N, K], their standard deviations.
      loc: The normal's mean, [K].
      scale: Its standard deviations, [K].
      bandwidth: s2, "dim" or a number.
      bandwidth_scales: Factors of s2; the kernel is the mean over them.
      weights: [N, N], weights of pairs, such as `kernels.pairs_of_one_class`; uniform over i != j
        if None.

    Returns:
      mmd: Scalar, unbiased over the examples and sometimes negative.

    Raises:
      InputError: the batch has one example.
    """
    if locs.shape[0] == 1:
        raise errors.InputError("MMD's U-statistic needs pairs: use batches of two or more.")
    s2 = kernels.bandwidth(bandwidth, locs)
    m, v, prior_v = locs - loc, scales**2, scale**2
    n = tf.cast(tf.shape(m)[0], tf.float32)
    rows = None if weights is None else tf.reduce_sum(weights, axis=1)
    totals = []
    for factor in bandwidth_scales:
        b = factor * s2
        pairs = _sum_of_pairs(tf.transpose(m), tf.transpose(v), b, weights)
        k_qp = _expected(m, v + prior_v, b)
        k_pp = _expected(tf.zeros_like(prior_v), 2.0 * prior_v, b)
        if rows is None:
            totals.append(pairs / (n * (n - 1.0)) - 2.0 * tf.reduce_mean(k_qp) + k_pp)
        else:
            totals.append(pairs + tf.reduce_sum(rows * (k_pp - 2.0 * k_qp)))
    return tf.add_n(totals) / len(totals)


def _expected(m: Any, v: Any, s2: Any) -> Any:
    """Returns E exp(-|d|^2 / (2 s2)) for d ~ N(m, diag(v)), over the last axis."""
    # log E k = -1/2 sum_d [ log(1 + v_d / s2) + m_d^2 / (s2 + v_d) ]
    return tf.exp(-0.5 * tf.reduce_sum(tf.math.log1p(v / s2) + m**2 / (s2 + v), axis=-1))


def _sum_of_pairs(m: Any, v: Any, s2: Any, weights: Any = None) -> Any:
    """Returns sum_{i != j} w_ij E k for means m and variances v, [K, N].

    s2 and w are constants; w is symmetric, and 1 if None.

    The gradient is written by hand for speed: every pair counts twice, and no logarithm is needed.

        E k_ij       = prod_d sqrt(s2 r_d) exp(-d_d^2 r_d / 2)
        d / d m_id   = -2 sum_j E k_ij d_d r_d
        d / d v_id   =    sum_j E k_ij (d_d^2 r_d^2 - r_d)

    with d = m_i - m_j and r = 1 / (s2 + v_i + v_j).
    """

    @tf.custom_gradient
    def total(m: Any, v: Any) -> Any:
        d = m[:, :, tf.newaxis] - m[:, tf.newaxis, :]
        r = 1.0 / (s2 + v[:, :, tf.newaxis] + v[:, tf.newaxis, :])
        k = tf.sqrt(tf.reduce_prod(s2 * r, axis=0)) * tf.exp(-0.5 * tf.reduce_sum(d**2 * r, axis=0))
        k = tf.linalg.set_diag(k, tf.zeros_like(k[0]))
        k = k if weights is None else weights * k

        def gradients(upstream: Any) -> tuple[Any, Any]:
            of_m = -2.0 * tf.reduce_sum(k * d * r, axis=2)
            of_v = tf.reduce_sum(k * ((d * r) ** 2 - r), axis=2)
            return upstream * of_m, upstream * of_v

        return tf.reduce_sum(k), gradients

    return total(m, v)
