"""FKL, RKL, CHI2, H2 and TV: f-divergences between q and p by their variational bound."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from zoo import errors
from zoo.terms import base
from zoo.terms.critic import CriticTerm, Pair
from zoo.terms.density_ratio import log_mean_exp
from zoo.terms.estimate import Estimate

Expectation = Callable[[Any], Any]

# Each function maps V at samples of a and of b to the surrogate and to the bound
# E_a f'(u) - E_b f*(f'(u)) at u = e^V, for a convex f with f(1) = f'(1) = 0.


def _forward_kl(v_a: Any, v_b: Any, e_a: Expectation, e_b: Expectation) -> tuple[Any, Any]:
    # f(u) = u log u - u + 1:    f' = log u,        f*(f') = u - 1
    bound = e_a(v_a) - e_b(tf.math.expm1(v_b))
    # E_b e^V = 1
    return bound, e_a(v_a) - log_mean_exp(v_b, e_b)


def _reverse_kl(v_a: Any, v_b: Any, e_a: Expectation, e_b: Expectation) -> tuple[Any, Any]:
    # f(u) = -log u + u - 1:     f' = 1 - 1/u,      f*(f') = log u
    bound = -e_a(tf.math.expm1(-v_a)) - e_b(v_b)
    # E_a e^-V = 1
    return bound, -log_mean_exp(-v_a, e_a) - e_b(v_b)


def _chi_squared(v_a: Any, v_b: Any, e_a: Expectation, e_b: Expectation) -> tuple[Any, Any]:
    # f(u) = (u - 1)^2:          f' = 2 (u - 1),    f*(f') = u^2 - 1
    bound = 2.0 * e_a(tf.math.expm1(v_a)) - e_b(tf.math.expm1(2.0 * v_b))
    # E_b e^2V = E_a e^V
    mean = e_a(tf.exp(v_a))
    return bound, 2.0 * mean - tf.stop_gradient(mean) * log_mean_exp(2.0 * v_b, e_b)


def _squared_hellinger(v_a: Any, v_b: Any, e_a: Expectation, e_b: Expectation) -> tuple[Any, Any]:
    # f(u) = (sqrt(u) - 1)^2:    f' = 1 - 1/sqrt(u),    f*(f') = sqrt(u) - 1
    bound = -e_a(tf.math.expm1(-0.5 * v_a)) - e_b(tf.math.expm1(0.5 * v_b))
    # E_a e^(-V/2) = E_b e^(V/2) = E_b sqrt(a/b), which is at most 1
    log_a, log_b = log_mean_exp(-0.5 * v_a, e_a), log_mean_exp(0.5 * v_b, e_b)
    mean_a, mean_b = (tf.stop_gradient(tf.exp(tf.minimum(log, 0.0))) for log in (log_a, log_b))
    return bound, -mean_b * log_a - mean_a * log_b


def _total_variation(v_a: Any, v_b: Any, e_a: Expectation, e_b: Expectation) -> tuple[Any, Any]:
    # f(u) = |u - 1| / 2:        f' = sign(log u) / 2 = f*(f'),    with tanh for the sign
    bound = 0.5 * e_a(tf.tanh(v_a)) - 0.5 * e_b(tf.tanh(v_b))
    return bound, bound


BOUNDS = {
    "FKL": _forward_kl,
    "RKL": _reverse_kl,
    "CHI2": _chi_squared,
    "H2": _squared_hellinger,
    "TV": _total_variation,
}


def f_divergence(
    critic_q: Any,
    critic_p: Any,
    name: str,
    expect_q: Expectation = tf.reduce_mean,
    expect_p: Expectation = tf.reduce_mean,
) -> Estimate:
    """An f-divergence of q from p, bounded from below by a critic's logits V.

    ```none
    D_f(q||p) = E_p[ f(q/p) ] >= E_q[T] - E_p[ f*(T) ],   T = f'(exp V)

    FKL    KL(q||p)                    >= E_q[V] - E_p[ e^V - 1 ]
    RKL    KL(p||q)                    >= E_q[ 1 - e^-V ] - E_p[V]
    CHI2   E_p[ (q/p - 1)^2 ]          >= E_q[ 2 (e^V - 1) ] - E_p[ e^2V - 1 ]
    H2     E_p[ (sqrt(q/p) - 1)^2 ]    >= E_q[ 1 - e^(-V/2) ] - E_p[ e^(V/2) - 1 ]
    TV     1/2 E_p|q/p - 1|            >= 1/2 E_q tanh(V) - 1/2 E_p tanh(V)
    ```

    with equality at V = log q/p; for TV, as V goes to +infinity where q/p > 1 and to -infinity
    where q/p < 1. With T written by V, T is always in the domain of f*, every bound is 0 at V = 0,
    and all divergences have the same critic: FKL here and KL by density ratio differ only in how it
    is trained.

    The value is the bound, and the critic's loss is minus the bound. Means of exponentials depend
    on rare samples: the variance of e^V under p is the chi-squared divergence of q from p, and a
    lower bound from n samples is not reliable above log n nats of KL.

    If the critic attains the bound, bound and surrogate have the gradient of the divergence, in
    both arguments. But a decoder or encoder that moves towards larger V could lower the bound
    exponentially before the critic adapts, and diverge. So the surrogate replaces such an
    exponential mean by its logarithm, times the value of the mean where the bound is attained,
    which is estimated from the other samples:

    ```none
    FKL    E_q[V] - log E_p[e^V]                       as E_p[e^V] = 1
    RKL    -log E_q[e^-V] - E_p[V]                     as E_q[e^-V] = 1
    CHI2   2 E_q[e^V] - {E_q[e^V]} log E_p[e^2V]       as E_p[e^2V] = E_q[e^V]
    H2     -{E_p[e^(V/2)]} log E_q[e^(-V/2)] - {E_q[e^(-V/2)]} log E_p[e^(V/2)]
    TV     the bound, which has no gradient where the critic is sure
    ```

    No gradient flows through braces; those of H2 are clipped at 1, their largest value.

    For more information, see:
      Nguyen et al. "Estimating Divergence Functionals and the Likelihood Ratio by Convex Risk
      Minimization." IEEE Transactions on Information Theory 56(11), 2010, lemma 1.
      Nowozin et al. "f-GAN: Training Generative Neural Samplers using Variational Divergence
      Minimization." NeurIPS 2016, eq. 4-6.
      McAllester and Stratos. "Formal Limitations on the Measurement of Mutual Information." AISTATS
      2020, on the log n limit.

    Args:
      critic_q: [N], the critic's logits V at samples of q; high means "drawn from q".
      critic_p: [M], its logits at samples of p.
      name: "FKL", "RKL", "CHI2", "H2" or "TV".
      expect_q: Maps [N] to a scalar; the mean unless examples are weighted.
      expect_p: Maps [M] to a scalar; likewise.

    Returns:
      estimate: The value (FKL and RKL in nats), the surrogate, and the critic's loss.

    Raises:
      InputError: the divergence is unknown.
    """
    if name not in BOUNDS:
        raise errors.unknown("f-divergence", name, BOUNDS)
    critic_q = tf.cast(tf.convert_to_tensor(critic_q), tf.float32)
    critic_p = tf.cast(tf.convert_to_tensor(critic_p), tf.float32)
    bound, surrogate = BOUNDS[name](critic_q, critic_p, expect_q, expect_p)
    return Estimate(value=bound, surrogate=surrogate, critic_loss=-bound)


@dataclasses.dataclass(frozen=True)
class _FDivergence(CriticTerm):
    """An f-divergence by a critic; subclasses are registered by a name in `BOUNDS`."""

    gathers = True

    direction: str = "qp"

    def compare(self, pair: Pair, critic_a: Any, critic_b: Any) -> Estimate:
        if self.direction == "qp":
            return f_divergence(critic_a, critic_b, self.registered, pair.expect_a, pair.expect_b)
        # log p/q = -log q/p
        return f_divergence(-critic_b, -critic_a, self.registered, pair.expect_b, pair.expect_a)


@base.estimates("FKL")
class ForwardKL(_FDivergence):
    """FKL(a||b) = KL(a||b) by its variational bound; penalties as in `CriticTerm`."""


@base.estimates("RKL")
class ReverseKL(_FDivergence):
    """RKL(a||b) = KL(b||a) by its variational bound; penalties as in `CriticTerm`."""


@base.estimates("CHI2")
class ChiSquared(_FDivergence):
    """CHI2(a||b) = E_b[ (a/b - 1)^2 ], Pearson's; penalties as in `CriticTerm`.

    It is infinite if a has much heavier tails: for normals, if s_a^2 >= 2 s_b^2. Then the critic's
    loss has no minimum and training diverges: choose the wider distribution as b.
    """


@base.estimates("H2")
class SquaredHellinger(_FDivergence):
    """H2 = E_p[ (sqrt(q/p) - 1)^2 ], in [0, 2]; penalties as in `CriticTerm`."""


@base.estimates("TV")
class TotalVariation(_FDivergence):
    """TV = 1/2 E_p|q/p - 1|, in [0, 1]; penalties as in `CriticTerm`."""

    gathers = False
    log_ratio = False  # the best critic is +-infinity
