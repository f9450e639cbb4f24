"""Dz_qp by Stein's method: steepest descent of KL(q(z)||p(z)) from the score of p."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import tensorflow as tf

from zoo import errors
from zoo.objectives.capabilities import PRIOR, Needs
from zoo.terms import base, kernels
from zoo.terms.estimate import Estimate

STATISTICS = ("u", "v")


def stein(
    z: Any,
    score: Any,
    kernel: str = "rbf",
    bandwidth: Any = "dim",
    statistic: str = "u",
    scales: Sequence[float] | None = None,
) -> Estimate:
    """The Stein variational gradient of KL(q||p): a descent direction, and its speed.

    ```none
    phi(z_i) = 1/(n-1) sum_{j != i} [ k(z_j, z_i) grad log p(z_j) + grad_{z_j} k(z_j, z_i) ]
    surrogate = -1/n sum_i stop_gradient(phi(z_i)) . z_i
    ```

    Among directions of unit norm in the kernel's space, KL(q||p) decreases fastest along phi, and
    descending the surrogate moves z along phi. [V] appendix B prints it without the minus, which
    raises the KL. phi is the gradient of KL smoothed by k: a descent direction of another size.

    The value is not the KL, which this method never computes. It is the squared kernelised Stein
    discrepancy (KSD), the speed at which KL decreases when z moves along phi, in nats per unit
    step. It is 0 if q = p and positive otherwise; a tolerance on it is not a tolerance on KL.

    ```none
    KSD^2 = E_{z,z'} [ s.s' k + s.grad_{z'} k + s'.grad_z k + tr(grad_z grad_{z'} k) ],
            s = grad log p(z), s' = grad log p(z'),   z and z' ~ q independent
    ```

    "u" leaves out the pairs i = j in both. "v" keeps them, as [V] and Liu and Wang do: phi then
    pulls every z to the mode by 1/n of its score and, as an encoder draws new z at every step, q
    becomes too narrow. "u" is unbiased; its KSD^2 is negative about half of the time if q = p.

    For more information, see:
      Liu and Wang. "Stein Variational Gradient Descent: A General Purpose Bayesian Inference
      Algorithm." NeurIPS 2016, theorem 3.1 and eq. 8.
      Liu et al. "A Kernelized Stein Discrepancy for Goodness-of-fit Tests." ICML 2016, theorem 3.6.

    Args:
      z: [N, ...], samples of q.
      score: [N, ...], grad log p at z.
      kernel: "rbf", "rbf_mixture", "imq" or "imq_mixture", see `kernels.Kernel`.
      bandwidth: s2: "dim", "median" (of z) or a number, see `kernels.bandwidth`.
      statistic: "u" or "v".
      scales: Factors of s2; the kernel is the mean over them. `None` for the kernel's default.

    Returns:
      estimate: KSD^2 in nats per unit step, without a gradient, and the surrogate.

    Raises:
      InputError: an option is unknown, shapes differ, or the batch has one example for "u".
    """
    _check(statistic)
    k = kernels.kernel(kernel, scales)
    particles, s = kernels.flatten(z), tf.stop_gradient(kernels.flatten(score))
    if not particles.shape.is_compatible_with(s.shape):
        raise errors.InputError(
            f"The score is that of every example: got shapes {tuple(particles.shape)} of z and "
            f"{tuple(s.shape)} of the score."
        )
    if statistic == "u" and particles.shape[0] == 1:
        raise errors.InputError(
            "Stein's U-statistic needs pairs: use batches of two or more, or statistic='v'."
        )
    # Only differences of z matter; products of values near 0 lose fewer digits.
    a = tf.stop_gradient(particles - tf.reduce_mean(particles, axis=0))
    r2 = kernels.squared_distances(a, a)
    # k = K(|a_i - a_j|^2), and its first two derivatives in the squared distance
    k_0, k_1, k_2 = _derivatives(k, r2, kernels.bandwidth(bandwidth, a))
    n, dim = tf.cast(tf.shape(a)[0], tf.float32), float(a.shape[1])
    pairs = n - 1.0
    if statistic == "v":
        pairs = n
    else:
        k_0, k_1, k_2 = (_without_diagonal(matrix) for matrix in (k_0, k_1, k_2))

    # grad_{z_j} k(z_j, z_i) = 2 K' (z_j - z_i)
    repulsion = 2.0 * (tf.matmul(k_1, a) - a * tf.reduce_sum(k_1, axis=1, keepdims=True))
    # phi(z_i) = mean_j [ k s_j + grad_{z_j} k ]
    phi = tf.stop_gradient((tf.matmul(k_0, s) + repulsion) / pairs)
    surrogate = -tf.reduce_sum(phi * particles) / n

    # (z_j - z_i).(s_i - s_j), from z_i.s_j
    z_s = tf.matmul(a, s, transpose_b=True)
    own = tf.linalg.diag_part(z_s)
    crossed = z_s + tf.transpose(z_s) - own[:, tf.newaxis] - own
    # tr(grad_z grad_{z'} k) = -2 D K' - 4 r^2 K''
    trace = -2.0 * dim * k_1 - 4.0 * r2 * k_2
    stein_kernel = k_0 * tf.matmul(s, s, transpose_b=True) + 2.0 * k_1 * crossed + trace
    # KSD^2 = mean_{i,j} [ s.s' k + s.grad_{z'} k + s'.grad_z k + tr(grad_z grad_{z'} k) ]
    value = tf.stop_gradient(tf.reduce_sum(stein_kernel) / (n * pairs))
    return Estimate(value=value, surrogate=surrogate)


@base.register("Dz", estimator="stein")
@dataclasses.dataclass(frozen=True)
class Stein(base.Term):
    """Dz_qp = KL(q(z)||p(z)) by Stein's direction, for priors with a smooth density.

    Its value is not the KL but the squared Stein discrepancy; options as in `stein`. A learned
    prior descends the KL itself, whose gradient in p is that of -E_q log p(z).
    """

    directions = ("qp",)
    needs: ClassVar[Needs] = {PRIOR: ("score",)}
    differentiates = frozenset({"z_q"})

    direction: str = "qp"
    kernel: str = "rbf"
    bandwidth: Any = "dim"
    statistic: str = "u"
    scales: Sequence[float] | None = None

    def __post_init__(self) -> None:
        kernels.kernel(self.kernel, self.scales)
        kernels.check_bandwidth(self.bandwidth)
        _check(self.statistic)

    def reads_prior(self, prior: Any) -> base.Reading:
        return "density"

    def __call__(self, joints: base.Joints, training: bool = True) -> Estimate:
        if joints.q_weights is not None:
            raise errors.InputError(
                "Stein's direction moves z, and a table's z cannot move: use estimator='ratio'."
            )
        (z_q,) = joints.gathered(joints.z_q)
        z = tf.stop_gradient(tf.convert_to_tensor(z_q))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(z)
            log_p = joints.prior.log_prob(z)
        score = tape.gradient(log_p, z)
        if score is None:
            raise errors.InputError(
                f"A {type(joints.prior).__name__} prior has no gradient in z: "
                "use estimator='ratio'."
            )
        options = {option: getattr(self, option) for option in self.options()}
        found = stein(z_q, score, **options)
        # d KL(q||p) in p: -E_q[ d log p(z) ], with z held fixed
        of_prior = tf.reduce_mean(log_p - tf.stop_gradient(log_p))
        return dataclasses.replace(found, surrogate=found.surrogate - of_prior)


def _derivatives(k: kernels.Kernel, r2: Any, s2: Any) -> tuple[Any, Any, Any]:
    """Returns K, K' and K'' at the squared distances r2, elementwise, in r2."""
    with tf.GradientTape() as outer:
        outer.watch(r2)
        with tf.GradientTape() as inner:
            inner.watch(r2)
            value = k(r2, s2)
        first = inner.gradient(value, r2)
    return value, first, outer.gradient(first, r2)


def _without_diagonal(matrix: Any) -> Any:
    return tf.linalg.set_diag(matrix, tf.zeros_like(matrix[0]))


def _check(statistic: str) -> None:
    if statistic not in STATISTICS:
        raise errors.unknown("statistic", statistic, STATISTICS)
