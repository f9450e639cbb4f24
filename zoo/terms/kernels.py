"""Positive definite kernels of the squared distance, all with k(z, z) = 1."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from zoo import errors


@dataclasses.dataclass(frozen=True)
class Kernel:
    """The mean of one profile over several scales of the bandwidth.

    ```none
    k(a, b) = 1/|C| sum_{c in C} profile( |a - b|^2 / (2 c s2) )
    rbf:  profile(t) = exp(-t)        exp(-|d|^2 / (2 s2))
    imq:  profile(t) = 1 / (1 + t)    C / (C + |d|^2) with C = 2 s2
    ```

    The inverse multiquadric with s2 = dim, so C = 2 dim, is the kernel of Tolstikhin et al.
    "Wasserstein Auto-Encoders." ICLR 2018, section 4, for a standard normal prior.
    """

    profile: Callable[[Any], Any]
    scales: tuple[float, ...]

    def __call__(self, squared_distance: Any, s2: Any) -> Any:
        """Returns k at `squared_distance`, elementwise, for the bandwidth `s2`."""
        values = [self.profile(squared_distance / (2.0 * c * s2)) for c in self.scales]
        return tf.add_n(values) / len(values)


def rbf(t: Any) -> Any:
    """exp(-t)."""
    return tf.exp(-t)


def inverse_multiquadric(t: Any) -> Any:
    """1 / (1 + t)."""
    return 1.0 / (1.0 + t)


KERNELS = {
    "rbf": Kernel(rbf, (1.0,)),
    "rbf_mixture": Kernel(rbf, (0.25, 0.5, 1.0, 2.0, 4.0)),
    "imq": Kernel(inverse_multiquadric, (1.0,)),
    "imq_mixture": Kernel(inverse_multiquadric, (0.25, 0.5, 1.0, 2.0, 4.0)),
}
BANDWIDTHS = ("dim", "median")


def kernel(name: str, scales: Sequence[float] | None = None) -> Kernel:
    """Returns the kernel called `name`, with its default scales or with `scales`.

    Raises:
      InputError: the kernel is unknown, or a scale is not a positive number.
    """
    if name not in KERNELS:
        raise errors.unknown("kernel", name, KERNELS)
    if scales is None:
        return KERNELS[name]
    if len(scales) == 0 or not all(_is_positive(scale) for scale in scales):
        raise errors.InputError(f"Kernel scales {scales!r} have to be one or more numbers above 0.")
    return Kernel(KERNELS[name].profile, tuple(scales))


def check_bandwidth(rule: Any) -> None:
    """Raises `InputError` unless `rule` is "dim", "median", a tensor or a number above 0."""
    if isinstance(rule, str):
        if rule not in BANDWIDTHS:
            raise errors.unknown("bandwidth", rule, (*BANDWIDTHS, "a number"))
    elif not tf.is_tensor(rule) and not _is_positive(rule):
        raise errors.InputError(f"Bandwidth {rule!r} has to be above 0, or 'dim' or 'median'.")


def bandwidth(rule: Any, *samples: Any) -> Any:
    """Returns s2, the variance of the RBF kernel exp(-|d|^2 / (2 s2)).

    Squared distances grow as the dimension, so s2 must grow as well. With s2 = dim^2 / 2 the kernel
    is almost constant on a standard normal in 64 dimensions, and MMD detects nothing.

    Args:
      rule: "dim" for s2 = dim, "median" for `median_bandwidth`, or s2 itself.
      *samples: [N, D] each.

    Raises:
      InputError: `rule` is not one of these.
    """
    check_bandwidth(rule)
    if isinstance(rule, str):
        return float(samples[0].shape[-1]) if rule == "dim" else median_bandwidth(*samples)
    return rule if tf.is_tensor(rule) else float(rule)


def median_bandwidth(*samples: Any) -> Any:
    """The median heuristic: s2 is the median squared distance between two of the pooled samples.

    ```none
    s2 = median { |a_i - a_j|^2 : i < j },   a = all samples together
    ```

    See Gretton et al. "A Kernel Two-Sample Test." JMLR 13, 2012, section 8. No gradient flows
    through it, so that training cannot lower MMD by changing the bandwidth.

    Args:
      *samples: [N, ...] each, two or more examples in all.

    Returns:
      s2: Scalar.
    """
    pooled = tf.concat([flatten(sample) for sample in samples], axis=0)
    distances = squared_distances(pooled, pooled)
    # The diagonal is set to -1, so that the n distances of points to themselves sort first.
    n = tf.shape(pooled)[0]
    distances = tf.linalg.set_diag(distances, -tf.ones([n]))
    ordered = tf.sort(tf.reshape(distances, [-1]))
    # Then follows each of the m = n(n-1)/2 pairs, twice.
    m = n * (n - 1) // 2
    lower, upper = ordered[n + 2 * ((m - 1) // 2)], ordered[n + 2 * (m // 2)]
    # If all samples are identical the median is 0, and any positive bandwidth gives k = 1.
    return tf.stop_gradient(tf.maximum(0.5 * (lower + upper), 1e-12))


def mean_of_pairs(gram: Any, estimator: str) -> Any:
    """Returns the mean of k(z_i, z_j): over i != j ("u"), or over all i, j ("v").

    Raises:
      InputError: the estimator is unknown, or the U-statistic has one example.
    """
    if estimator not in ("u", "v"):
        raise errors.unknown("estimator of all pairs", estimator, ("u", "v"))
    if estimator == "u" and gram.shape[0] == 1:
        raise errors.InputError(
            "MMD's U-statistic needs pairs: use batches of two or more, or estimator='v'."
        )
    n = tf.cast(tf.shape(gram)[0], tf.float32)
    pairs = tf.reduce_sum(tf.linalg.set_diag(gram, tf.zeros_like(gram[0])))
    # U: sum_{i != j} k_ij / (n (n - 1));  V: (sum_{i != j} k_ij + n) / n^2, as k(z, z) = 1
    return pairs / (n * (n - 1.0)) if estimator == "u" else (pairs + n) / n**2


def pairs_of_one_class(condition: Any, estimator: str) -> Any:
    """Returns weights [N, N] of pairs for the mean within each class, averaged over classes.

    ```none
    w_ij = 1[c_i = c_j] / ((n_c - 1) N)  for i != j ("u"),    1[c_i = c_j] / (n_c N) for all ("v")
    sum_ij w_ij k_ij = sum_c n_c / N (mean of k over the pairs of class c)
    ```

    "u" leaves out classes with one example, which do not count in N; if no class is left, all
    weights are 0.

    Args:
      condition: [N, K], the classes as one-hot vectors.
      estimator: "u" or "v".

    Raises:
      InputError: the estimator is unknown.
    """
    if estimator not in ("u", "v"):
        raise errors.unknown("estimator within classes", estimator, ("u", "v"))
    same = tf.matmul(condition, condition, transpose_b=True)
    if estimator == "u":
        same = tf.linalg.set_diag(same, tf.zeros_like(same[0]))
    mates = tf.reduce_sum(same, axis=1, keepdims=True)
    weights = same / tf.maximum(mates, 1.0)
    return weights / tf.maximum(tf.reduce_sum(weights), 1.0)


def flatten(*parts: Any) -> Any:
    """Returns the parts of a sample, [N, ...] each, side by side as [N, D] in float32."""
    rows = []
    for part in parts:
        part = tf.cast(tf.convert_to_tensor(part), tf.float32)
        rows.append(tf.reshape(part, [tf.shape(part)[0], math.prod(part.shape[1:])]))
    return rows[0] if len(rows) == 1 else tf.concat(rows, axis=1)


def squared_distances(a: Any, b: Any) -> Any:
    """Returns |a_i - b_j|^2, [N, M], of `a` [N, D] and `b` [M, D], in float32."""
    # |a - b|^2 = |a|^2 + |b|^2 - 2 a.b loses digits if both lie far from 0: subtract their mean.
    center = tf.stop_gradient(tf.reduce_mean(tf.concat([a, b], axis=0), axis=0))
    a, b = a - center, b - center
    norms = tf.reduce_sum(a**2, axis=1)[:, tf.newaxis] + tf.reduce_sum(b**2, axis=1)
    return tf.maximum(norms - 2.0 * tf.matmul(a, b, transpose_b=True), 0.0)


def _is_positive(number: Any) -> bool:
    return isinstance(number, numbers.Real) and 0.0 < float(number) < math.inf
