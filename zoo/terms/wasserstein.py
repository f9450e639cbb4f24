"""W1: the Wasserstein-1 distance between q and p, by a critic with a gradient penalty."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from zoo.terms import base
from zoo.terms.critic import CriticTerm, Pair
from zoo.terms.estimate import Estimate


def wasserstein(
    critic_q: Any,
    critic_p: Any,
    expect_q: Callable[[Any], Any] = tf.reduce_mean,
    expect_p: Callable[[Any], Any] = tf.reduce_mean,
) -> Estimate:
    """The Wasserstein-1 distance, bounded from below by a 1-Lipschitz critic T.

    ```none
    W1(q, p) = max_T { E_q[T] - E_p[T] : |T(a) - T(b)| <= |a - b| }
    ```

    The difference is the value and the surrogate; the critic's loss is minus the difference. It is
    a lower bound only if the critic is 1-Lipschitz, which this function does not enforce: a critic
    with slopes up to L gives up to L W1.

    For more information, see:
      Arjovsky et al. "Wasserstein GAN." ICML 2017, eq. 2.

    Args:
      critic_q: [N], the critic at samples of q.
      critic_p: [M], the critic at samples of p.
      expect_q: Maps [N] to a scalar; the mean unless examples are weighted.
      expect_p: Maps [M] to a scalar; likewise.

    Returns:
      estimate: The value in units of distance (not nats), the surrogate, and the critic's loss.
    """
    critic_q = tf.cast(tf.convert_to_tensor(critic_q), tf.float32)
    critic_p = tf.cast(tf.convert_to_tensor(critic_p), tf.float32)
    # W1 >= E_q T - E_p T
    difference = expect_q(critic_q) - expect_p(critic_p)
    return Estimate(value=difference, surrogate=difference, critic_loss=-difference)


@base.estimates("W1")
@dataclasses.dataclass(frozen=True)
class Wasserstein(CriticTerm):
    """W1 between q and p on x, on z, or on both, in Euclidean distance over all their elements.

    Its `gradient_penalty` is 10 by default, as in Gulrajani et al. 2017, which pulls slopes between
    the samples to 1 but does not bound them: with slopes up to L the value may reach L W1. It can
    be 0 for spectrally normalised critics.
    """

    log_ratio = False

    gradient_penalty: float = 10.0

    def compare(self, pair: Pair, critic_a: Any, critic_b: Any) -> Estimate:
        return wasserstein(critic_a, critic_b, pair.expect_a, pair.expect_b)
