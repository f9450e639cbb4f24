"""JS: the Jensen-Shannon divergence between q and p, by a critic that tells them apart."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from zoo import errors
from zoo.terms import base
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

    with equality at T = log q/p. So 0 <= JS <= log 2 while the estimate, though it never exceeds
    log 2 either, falls below 0 when the critic is worse than a guess. L(T), the cross entropy of
    classifying the samples, is what the critic descends: L = 2 (log 2 - value). The game value of
    a GAN is -L = 2 JS - log 4 at the optimal critic.

    The encoder and decoder descend one of two surrogates:

    ```none
    saturating:        log 2 - 1/2 [ E_q softplus(-T) + E_p softplus(T) ]
    non_saturating:            1/2 [ E_p softplus(-T) + E_q softplus(T) ]
    ```

    The first is the value: at the optimal critic its gradient is that of JS, but it vanishes for a
    side which the critic is sure of. In the second each side tries to be taken for the other; at
    the optimal critic its gradient is that of KL(m||q) when p moves, plus that of KL(m||p) when q
    moves. The two surrogates have the same gradient where T = 0, since there softplus(T) and
    -softplus(-T) have the same slope, 1/2.

    For more information, see:
      Goodfellow et al. "Generative Adversarial Nets." NeurIPS 2014, section 3 and theorem 1.

    Args:
      critic_q: [N], the critic's logits at samples of q: high where it takes them for q's.
      critic_p: [M], its logits at samples of p.
      surrogate: "non_saturating" or "saturating".
      expect_q: Takes [N] to a scalar; the mean unless the examples carry other weights.
      expect_p: Takes [M] to a scalar, likewise.

    Returns:
      estimate: Its value in nats, its surrogate, and the critic's loss.

    Raises:
      InputError: if there is no such surrogate.
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


@base.register("JS")
@dataclasses.dataclass(frozen=True)
class JensenShannon(base.Term):
    """JS between q and p on x, on z, or on both.

    With `r1_gamma` the critic also pays for its slope at the samples that no player moves, which
    damps the circling around the equilibrium:

    ```none
    R1 = gamma/2 E |grad T|^2    x: at q(x), the data;  z: at p(z), the prior;  xz: at q plus at p
    ```

    See Mescheder et al. "Which Training Methods for GANs do actually Converge?" ICML 2018, eq. 9.
    """

    spaces = ("x", "z", "xz")
    needs_critic = True

    space: str
    critic: Any = None
    surrogate: str = "non_saturating"
    r1_gamma: float = 0.0

    def __post_init__(self) -> None:
        _check(self.surrogate)
        if not (isinstance(self.r1_gamma, numbers.Real) and 0.0 <= self.r1_gamma < math.inf):
            raise errors.InputError(f"r1_gamma {self.r1_gamma!r} has to be a number, 0 or above.")

    def __call__(self, joints: base.Joints, training: bool = True) -> Estimate:
        q, p = joints.samples(self.space)
        expectations = {"expect_q": joints.expect_q, "expect_p": joints.expect_p}
        if self.r1_gamma == 0.0:
            return jensen_shannon(*self._logits(q, p, training), self.surrogate, **expectations)

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([q, p])
            critic_q, critic_p = self._logits(q, p, training)
        # A critic may ignore a part of its input: its slope there is 0, not missing.
        slopes_q, slopes_p = tape.gradient(
            (critic_q, critic_p), (q, p), unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        estimate = jensen_shannon(critic_q, critic_p, self.surrogate, **expectations)
        # R1 = gamma/2 E |grad T|^2
        penalty = 0.0
        if self.space != "z":
            penalty += 0.5 * self.r1_gamma * joints.expect_q(_squared_norm(slopes_q))
        if self.space != "x":
            penalty += 0.5 * self.r1_gamma * joints.expect_p(_squared_norm(slopes_p))
        return dataclasses.replace(estimate, critic_loss=estimate.critic_loss + penalty)

    def _logits(self, q: Any, p: Any, training: bool) -> tuple[Any, Any]:
        """Returns the logits at samples of q and of p, by one pass of the critic over both."""
        both = [tf.concat(parts, axis=0) for parts in zip(q, p, strict=True)]
        logits = self.critic(both if self.space == "xz" else both[0], training=training)
        n = tf.shape(q[0])[0]
        return logits[:n], logits[n:]


def _squared_norm(slopes: Any) -> Any:
    """Returns |grad T|^2, [B], of the gradients with respect to each part of the samples."""
    norms = []
    for slope in slopes:
        slope = tf.cast(slope, tf.float32)
        norms.append(tf.reduce_sum(slope**2, axis=list(range(1, slope.shape.rank))))
    return tf.add_n(norms)


def _check(surrogate: str) -> None:
    if surrogate not in SURROGATES:
        raise errors.unknown("surrogate", surrogate, SURROGATES)
