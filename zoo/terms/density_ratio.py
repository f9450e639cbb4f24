"""KL terms by density ratio: Dz, Dx and J in both directions, RATE_ratio and RATE_p.

A critic is trained to classify samples of two distributions; its logit is their log ratio.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from zoo import errors
from zoo.objectives.capabilities import ENCODER, PRIOR, Needs
from zoo.terms import base, kernels
from zoo.terms.critic import CriticTerm, Pair
from zoo.terms.estimate import Estimate


def density_ratio(
    critic_a: Any,
    critic_b: Any,
    expect_a: Callable[[Any], Any] = tf.reduce_mean,
    expect_b: Callable[[Any], Any] = tf.reduce_mean,
) -> Estimate:
    """KL(a||b) by a critic's logits T, which logistic regression trains to be log a/b.

    ```none
    value       = E_a[T]                                 KL(a||b) at T = log a/b
    critic_loss = E_a softplus(-T) + E_b softplus(T)     least at T = log a/b
    surrogate   = E_a[T] - log E_b[e^T]
    ```

    The value is not a bound and may be negative, but it has the least variance: that of T under a,
    over n. The variational bounds E_a[T] - E_b[e^T] + 1 and E_a[T] - log E_b[e^T] add the variance
    of e^T under b, the chi-squared divergence of a from b. For two normals in 8 dimensions with a
    KL of 8.0 nats, a critic trained on batches of 128 gave 7.8 +- .6; the bounds gave 6 +- 26 and
    12 +- 3.

    The surrogate provides the gradient, with T held fixed. Let a(x), b(x) be the densities and
    r = a/b = e^T:

    ```none
    d KL(a||b) when a moves:  int da (log a/b + 1) = int da T        as int da = 0
                              samples x ~ a:  E_a[ grad T . dx ]     the slope of E_a[T]
    d KL(a||b) when b moves:  -int (a/b) db = -int r db
                              samples x ~ b:  -E_b[ r grad T . dx ]  the slope of -E_b[e^T]
    ```

    E_a[T] alone has derivative 0 in b's parameters, unlike the KL. With log E_b[e^T] in place of
    E_b[e^T] the weights r are divided by their mean, which is 1 at T = log a/b: their mean is then
    1 in every batch, and a constant error of T cancels. If the KL is large, few samples of b carry
    most of the weight.

    For more information, see:
      Sugiyama et al. "Density Ratio Estimation in Machine Learning." Cambridge, 2012, chapter 4.
      Mescheder et al. "Adversarial Variational Bayes." ICML 2017, propositions 1 and 2.
      Donsker and Varadhan 1983, on E_a[T] - log E_b[e^T].

    Args:
      critic_a: [N], the critic's logits at samples of a; high means "drawn from a".
      critic_b: [M], its logits at samples of b.
      expect_a: Maps [N] to a scalar; the mean unless examples are weighted.
      expect_b: Maps [M] to a scalar; likewise.

    Returns:
      estimate: The value in nats, the surrogate, and the critic's loss.
    """
    critic_a = tf.cast(tf.convert_to_tensor(critic_a), tf.float32)
    critic_b = tf.cast(tf.convert_to_tensor(critic_b), tf.float32)
    # KL(a||b) = E_a T
    value = expect_a(critic_a)
    # E_a softplus(-T) + E_b softplus(T)
    loss = expect_a(tf.nn.softplus(-critic_a)) + expect_b(tf.nn.softplus(critic_b))
    # E_a T - log E_b e^T
    surrogate = value - log_mean_exp(critic_b, expect_b)
    return Estimate(value=value, surrogate=surrogate, critic_loss=loss)


def log_mean_exp(values: Any, expect: Callable[[Any], Any] = tf.reduce_mean) -> Any:
    """Returns log E[e^values], a scalar, for `values` [N] of any size."""
    largest = tf.stop_gradient(tf.reduce_max(values))
    return largest + tf.math.log(expect(tf.exp(values - largest)))


@dataclasses.dataclass(frozen=True)
class _Divergence(CriticTerm):
    """KL between q and p on the subclass's space; penalties as in `CriticTerm`."""

    directions = ("qp", "pq")
    divergence = "KL"
    gathers = True

    direction: str = "qp"

    def compare(self, pair: Pair, critic_a: Any, critic_b: Any) -> Estimate:
        if self.direction == "qp":
            return density_ratio(critic_a, critic_b, pair.expect_a, pair.expect_b)
        # log p/q = -log q/p
        return density_ratio(-critic_b, -critic_a, pair.expect_b, pair.expect_a)


@base.register("Dz", estimator="ratio")
@dataclasses.dataclass(frozen=True)
class DivergenceOfZ(_Divergence):
    """Dz_qp = KL(q(z)||p(z)) and Dz_pq = KL(p(z)||q(z))."""

    space: str = "z"


@base.register("Dx", estimator="ratio")
@dataclasses.dataclass(frozen=True)
class DivergenceOfX(_Divergence):
    """Dx_qp = KL(q(x)||p(x)) and Dx_pq = KL(p(x)||q(x))."""

    space: str = "x"


@base.register("J", estimator="ratio")
@dataclasses.dataclass(frozen=True)
class DivergenceOfJoints(_Divergence):
    """J_qp = KL(q(x,z)||p(x,z)) and J_pq = KL(p(x,z)||q(x,z))."""

    space: str = "xz"


@base.register("RATE_p", estimator="ratio")
@dataclasses.dataclass(frozen=True)
class ReverseRate(CriticTerm):
    """RATE_p = KL(p(x,z) || q(x)p(z)); the product pairs data with independent codes."""

    divergence = "KL"
    gathers = True
    differentiates = base.DIFFERENTIATED["x"]

    space: str = "xz"

    def pair(self, joints: base.Joints) -> Pair:
        p, product = (joints.x_p, joints.z_p), (joints.x_q, joints.z_p)
        return Pair(p, product, joints.expect_p, _expect_product(joints), False, True)

    def compare(self, pair: Pair, critic_a: Any, critic_b: Any) -> Estimate:
        return density_ratio(critic_a, critic_b, pair.expect_a, pair.expect_b)


@base.register("RATE_ratio", estimator="ratio")
@dataclasses.dataclass(frozen=True)
class RateByRatio(CriticTerm):
    """RATE_ratio = KL(q(x,z) || q(x)p(z)), for encoders without a density.

    `adaptive_contrast` makes the critic's two distributions more alike. Let r(z|x) be the normal
    with the means m(x) and standard deviations s(x) of q(z|x), elementwise, e = (z - m(x)) / s(x):

    ```none
    RATE = E_q(x) KL(q(z|x) || r(z|x)) + E_q(x,z)[ log r(z|x) - log p(z) ]
    KL(q(z|x) || r(z|x)) = KL(q(e|x) || N(0, I))    by a critic of (x, e) against (x, N(0, I))
    ```

    This holds for any m and s, so no gradient flows through them. They are the mean and standard
    deviation of `joints.posterior`; an implicit encoder estimates them from many samples other than
    z.

    See Mescheder et al. "Adversarial Variational Bayes." ICML 2017, on adaptive contrast.
    """

    divergence = "KL"
    gathers = True
    differentiates = base.DIFFERENTIATED["z"]

    space: str = "xz"
    adaptive_contrast: bool = False

    @property
    def needs(self) -> Needs:
        return {ENCODER: ("moments",), PRIOR: ("density",)} if self.adaptive_contrast else {}

    def reads_prior(self, prior: Any) -> base.Reading:
        return "density" if self.adaptive_contrast else "samples"

    def pair(self, joints: base.Joints) -> Pair:
        if not self.adaptive_contrast:
            q, product = (joints.x_q, joints.z_q), (joints.x_q, joints.z_p)
            return Pair(q, product, joints.expect_q, _expect_product(joints), False, True)
        if joints.q_weights is not None:
            raise errors.InputError(
                "RATE_ratio's adaptive contrast is for drawn z, not for a table of them: "
                "use adaptive_contrast=False."
            )
        e, _ = _standardised(joints)
        noise = joints.noise(tf.random.stateless_normal, tf.shape(e), self.name)
        q, normal = (joints.x_q, e), (joints.x_q, noise)
        return Pair(q, normal, joints.expect_q, tf.reduce_mean, False, True)

    def compare(self, pair: Pair, critic_a: Any, critic_b: Any) -> Estimate:
        return density_ratio(critic_a, critic_b, pair.expect_a, pair.expect_b)

    def __call__(self, joints: base.Joints, training: bool = True) -> Estimate:
        estimate = super().__call__(joints, training)
        if not self.adaptive_contrast:
            return estimate
        e, log_s = _standardised(joints)
        # log r(z|x) = sum -1/2 e^2 - log s - 1/2 log 2 pi
        log_r = -kernels.flatten(0.5 * e**2 + log_s + 0.5 * math.log(2.0 * math.pi))
        rest = joints.expect_q(tf.reduce_sum(log_r, axis=1) - joints.log_p_z_q)
        return dataclasses.replace(
            estimate, value=estimate.value + rest, surrogate=estimate.surrogate + rest
        )


def _standardised(joints: base.Joints) -> tuple[Any, Any]:
    """Returns e = (z - m(x)) / s(x) at z ~ q(z|x), and log s(x)."""
    mean, scale = joints.posterior.mean(), joints.posterior.stddev()
    # Identical samples have standard deviation 0.
    mean, scale = tf.stop_gradient(mean), tf.stop_gradient(tf.maximum(scale, 1e-6))
    return (joints.z_q - mean) / scale, tf.math.log(scale)


def _expect_product(joints: base.Joints) -> Callable[[Any], Any]:
    """Returns the expectation under q(x)p(z) of values [B] at the pairs (x_q, z_p)."""
    if joints.q_weights is None:
        return tf.reduce_mean
    # With enumerated pairs, q(x) is the sum of q over pairs with the same x; p(z) likewise.
    q_x = tf.linalg.matvec(_same(joints.x_q), joints.q_weights)
    p_z = tf.linalg.matvec(_same(joints.z_p), joints.p_weights)
    return lambda values: tf.reduce_sum(q_x * p_z * values)


def _same(points: Any) -> Any:
    """Returns [B, B], with 1 if two rows of `points` are equal, else 0."""
    rows = kernels.flatten(points)
    return tf.cast(tf.reduce_all(rows[:, None] == rows[None, :], axis=2), tf.float32)
