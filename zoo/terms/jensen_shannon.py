"""JS: the Jensen-Shannon divergence between q and p, by a critic that tells them apart."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from zoo import errors
from zoo.terms import base
from zoo.terms.critic import CriticTerm, Pair
from zoo.terms.estimate import Estimate

SURROGATES = ("non_saturating", "saturating")


def jensen_shannon(
    critic_q: Any,
    critic_p: Any,
    surrogate: str = "non_saturating",
    expect_q: Callable[[Any], Any] = tf.reduce_mean,
    expect_p: Callable[[Any], Any] = tf.reduce_mean,
) -> Estimate:
    """The Jensen-Shannon divergence, bounded from below by a critic's logits T.

    ```none
    JS(q||p) = 1/2 KL(q||m) + 1/2 KL(p||m),   m = (q + p) / 2
            >= log 2 - 1/2 L(T),              L(T) = E_q softplus(-T) + E_p softplus(T)
    ```

    with equality at T = log q/p. JS is in [0, log 2]; the estimate is at most log 2, and negative
    if the critic is worse than a guess. L(T), the cross entropy of classifying the samples, is the
    critic's loss: L = 2 (log 2 - value). The game value of a GAN is -L = 2 JS - log 4 at the
    optimal critic.

    The encoder and decoder descend one of two surrogates:

    ```none
    saturating:        log 2 - 1/2 [ E_q softplus(-T) + E_p softplus(T) ]
    non_saturating:            1/2 [ E_p softplus(-T) + E_q softplus(T) ]
    ```

    The first is the value: at the optimal critic its gradient is that of JS, but it vanishes where
    the critic is sure. The second exchanges the labels; at the optimal critic its gradient is that
    of KL(m||q) in p, plus that of KL(m||p) in q. Where T = 0 both surrogates have the same
    gradient, since softplus(T) and -softplus(-T) both have slope 1/2.

    For more information, see:
      Goodfellow et al. "Generative Adversarial Nets." NeurIPS 2014, section 3 and theorem 1.

    Args:
      critic_q: [N], the critic's logits at samples of q; high means "drawn from q".
      critic_p: [M], its logits at samples of p.
      surrogate: "non_saturating" or "saturating".
      expect_q: Maps [N] to a scalar; the mean unless examples are weighted.
      expect_p: Maps [M] to a scalar; likewise.

    Returns:
      estimate: The value in nats, the surrogate, and the critic's loss.

    Raises:
      InputError: the surrogate is unknown.
    """
    _check(surrogate)
    critic_q = tf.cast(tf.convert_to_tensor(critic_q), tf.float32)
    critic_p = tf.cast(tf.convert_to_tensor(critic_p), tf.float32)
    # L(T) = E_q softplus(-T) + E_p softplus(T)
    loss = expect_q(tf.nn.softplus(-critic_q)) + expect_p(tf.nn.softplus(critic_p))
    # JS >= log 2 - L(T) / 2
    value = math.log(2.0) - 0.5 * loss
    if surrogate == "saturating":
        return Estimate(value=value, surrogate=value, critic_loss=loss)
    # 1/2 [ E_p softplus(-T) + E_q softplus(T) ]
    exchanged = expect_p(tf.nn.softplus(-critic_p)) + expect_q(tf.nn.softplus(critic_q))
    return Estimate(value=value, surrogate=0.5 * exchanged, critic_loss=loss)


@base.estimates("JS")
@dataclasses.dataclass(frozen=True)
class JensenShannon(CriticTerm):
    """JS between q and p on x, on z, or on both; the critic's penalties are those of `CriticTerm`.

    The option `surrogate` is that of `jensen_shannon`.
    """

    surrogate: str = "non_saturating"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.surrogate)

    def compare(self, pair: Pair, critic_a: Any, critic_b: Any) -> Estimate:
        return jensen_shannon(critic_a, critic_b, self.surrogate, pair.expect_a, pair.expect_b)


def _check(surrogate: str) -> None:
    if surrogate not in SURROGATES:
        raise errors.unknown("surrogate", surrogate, SURROGATES)
