"""SW: the sliced Wasserstein distance between q and p, from samples."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from zoo import errors
from zoo.terms import base, kernels
from zoo.terms.estimate import Estimate


def sliced_wasserstein(z: Any, prior_sample: Any, projections: int = 50, seed: Any = (0, 0)) -> Any:
    """The squared sliced Wasserstein-2 distance between two samples.

    ```none
    SW = 1/L sum_l W2^2(theta_l . q, theta_l . p),   theta_l uniform on the unit sphere
    W2^2 of two samples on a line = 1/n sum_i (a_[i] - b_[i])^2,   a and b sorted
    ```

    It needs no critic. The value is never negative and biased upwards, by the order of 1/n, because
    two samples of one distribution differ. For normals N(m, s^2 I) in D dimensions it tends to
    |m_q - m_p|^2 / D + (s_q - s_p)^2.

    For more information, see:
      Kolouri et al. "Sliced Wasserstein Auto-Encoders." ICLR 2019, algorithm 1 with c = |.|^2.

    Args:
      z: [N, ...], samples of q.
      prior_sample: [N, ...], the same number of samples of p.
      projections: L, the number of directions.
      seed: Two whole numbers, which determine the directions.

    Returns:
      sw: Scalar, in units of squared distance (not nats), symmetric in q and p.

    Raises:
      InputError: the samples differ in number or size, or `projections` is not positive.
    """
    _check(projections)
    q, p = kernels.flatten(z), kernels.flatten(prior_sample)
    if not q.shape.is_compatible_with(p.shape):
        raise errors.InputError(
            f"SW needs two samples of the same shape: got shapes {tuple(q.shape)} and "
            f"{tuple(p.shape)}."
        )
    theta = _directions(q.shape[1], projections, seed)
    # a_[i] and b_[i], [L, N]
    a, b = (tf.sort(tf.matmul(theta, points, transpose_b=True)) for points in (q, p))
    # 1/L sum_l 1/n sum_i (a_[i] - b_[i])^2
    return tf.reduce_mean((a - b) ** 2)


def sliced_wasserstein_weighted(
    points: Any, q_weights: Any, p_weights: Any, projections: int = 50, seed: Any = (0, 0)
) -> Any:
    """The squared sliced Wasserstein-2 distance between two distributions on the same points.

    ```none
    W2^2 on a line = int_0^1 (F_q^-1(u) - F_p^-1(u))^2 du
    ```

    It is exact for each direction, and differentiable in the weights.

    Args:
      points: [N, ...], the common support of q and p.
      q_weights: [N], probabilities.
      p_weights: [N], probabilities.
      projections: As in `sliced_wasserstein`.
      seed: As in `sliced_wasserstein`.

    Returns:
      sw: Scalar, 0 for equal weights.

    Raises:
      InputError: `projections` is not positive.
    """
    _check(projections)
    a = kernels.flatten(points)
    line = tf.matmul(_directions(a.shape[1], projections, seed), a, transpose_b=True)
    order = tf.argsort(line)
    line = tf.gather(line, order, batch_dims=1)
    # F at the sorted points, [L, N]
    f_q, f_p = (
        tf.cumsum(tf.gather(tf.cast(weights, tf.float32), order), axis=1)
        for weights in (q_weights, p_weights)
    )
    # Both quantile functions are constant between consecutive steps of F_q and F_p.
    steps = tf.sort(tf.concat([f_q, f_p], axis=1))
    before = tf.pad(steps[:, :-1], [[0, 0], [1, 0]])
    middle = tf.stop_gradient(0.5 * (before + steps))
    quantile_q, quantile_p = (_quantile(line, f, middle) for f in (f_q, f_p))
    # int_0^1 (F_q^-1(u) - F_p^-1(u))^2 du
    costs = tf.reduce_sum((steps - before) * (quantile_q - quantile_p) ** 2, axis=1)
    return tf.reduce_mean(costs)


@base.estimates("SW")
@dataclasses.dataclass(frozen=True)
class SlicedWasserstein(base.Term):
    """SW between q and p on x, on z, or on both side by side, in new directions at every step.

    On enumerated joints it is `sliced_wasserstein_weighted`.
    """

    space: str
    projections: int = 50

    def __post_init__(self) -> None:
        _check(self.projections)

    def __call__(self, joints: base.Joints, training: bool = True) -> Estimate:
        q, p = (kernels.flatten(*parts) for parts in joints.samples(self.space))
        options = {"projections": self.projections, "seed": joints.stream(self.name)}
        if joints.q_weights is None:
            return Estimate.of(sliced_wasserstein(*joints.gathered(q, p), **options))
        weights = joints.q_weights, joints.p_weights
        return Estimate.of(sliced_wasserstein_weighted(q, *weights, **options))


def _directions(dim: int, projections: int, seed: Any) -> Any:
    """Returns unit vectors [L, D]."""
    normal = tf.random.stateless_normal([projections, dim], tf.cast(seed, tf.int32))
    return tf.math.l2_normalize(normal, axis=1)


def _quantile(line: Any, f: Any, u: Any) -> Any:
    """Returns F^-1(u), [L, M], at u [L, M], from sorted points [L, N] and F at them, [L, N]."""
    below = tf.reduce_sum(tf.cast(f[:, None, :] < u[:, :, None], tf.int32), axis=2)
    # Rounding can leave the last F below 1.
    last = tf.shape(f)[1] - 1
    return tf.gather(line, tf.minimum(below, last), batch_dims=1)


def _check(projections: int) -> None:
    if isinstance(projections, bool) or not isinstance(projections, int) or projections < 1:
        raise errors.InputError(f"projections {projections!r} has to be a whole number above 0.")
