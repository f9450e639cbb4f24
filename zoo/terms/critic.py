"""Base of terms with a critic: one pass over both samples, and gradient penalties."""

from __future__ import annotations

import abc
import dataclasses
import math
import numbers
from collections.abc import Callable
from typing import Any, ClassVar

import tensorflow as tf

from zoo import errors
from zoo.terms import base
from zoo.terms.estimate import Estimate

PENALTIES = ("r1_gamma", "gradient_penalty")


@dataclasses.dataclass(frozen=True)
class Pair:
    """Samples of the two distributions a and b that a critic tells apart.

    Attributes:
      a, b: One tensor [B, ...] each, or one for x and one for z.
      expect_a, expect_b: Map values [B] at the samples to their expectation.
      still_a, still_b: Whether R1 is applied at these samples.
    """

    a: tuple[Any, ...]
    b: tuple[Any, ...]
    expect_a: Callable[[Any], Any]
    expect_b: Callable[[Any], Any]
    still_a: bool
    still_b: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class CriticTerm(base.Term):
    """A term whose critic T is high at samples of a, by default q.

    `r1_gamma` penalises the critic's gradient at samples that training does not move, which damps
    oscillation around the equilibrium. `gradient_penalty` penalises gradient norms other than 1
    between the samples, which keeps the critic nearly 1-Lipschitz:

    ```none
    R1 = r1_gamma/2 E |grad T|^2              x: at q(x), the data;  z: at p(z), the prior;
                                              xz: at q plus at p
    GP = gradient_penalty E (|grad T| - 1)^2  at u a + (1 - u) b,  u ~ U(0, 1)
    ```

    Both are added to the critic's loss only. With a condition c the critic reads c as its last
    input, T(x, c), and the term is the mean over c of the divergence given c; gradients are in x
    and z. See Mescheder et al. "Which Training Methods for GANs do actually Converge?" ICML 2018,
    eq. 9; Gulrajani et al. "Improved Training of Wasserstein GANs." NeurIPS 2017, eq. 3. GP was
    made for W1: where T is a log ratio, it also biases the estimate.
    """

    needs_critic = True
    conditions = "any"
    gathers: ClassVar[bool] = False  # whether the estimate is not a mean over examples
    divergence: ClassVar[str]  # of a and b
    log_ratio: ClassVar[bool] = True  # whether the best critic is log a/b

    space: str
    critic: Any = None
    r1_gamma: float = 0.0
    gradient_penalty: float = 0.0

    def __post_init__(self) -> None:
        for name in PENALTIES:
            weight = getattr(self, name)
            if not (isinstance(weight, numbers.Real) and 0.0 <= float(weight) < math.inf):
                raise errors.InputError(f"{name} {weight!r} has to be a number, 0 or above.")

    @property
    def reverses(self) -> bool:
        """Whether the term is D(b||a) instead of D(a||b)."""
        return getattr(self, "direction", "qp") == "pq"

    @abc.abstractmethod
    def compare(self, pair: Pair, critic_a: Any, critic_b: Any) -> Estimate:
        """Returns the estimate, without penalties, from the logits [B] at a and at b."""

    def pair(self, joints: base.Joints) -> Pair:
        """Returns the samples that the critic tells apart: q and p on the term's space."""
        q, p = joints.samples(self.space)
        still_q, still_p = self.space != "z", self.space != "x"
        return Pair(q, p, joints.expect_q, joints.expect_p, still_q, still_p)

    def __call__(self, joints: base.Joints, training: bool = True) -> Estimate:
        pair = self.pair(joints)
        # a and b may share x or z. Copies give each sample its own gradient.
        a, b = tf.nest.map_structure(tf.identity, (pair.a, pair.b))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            if self.r1_gamma:
                tape.watch([a, b])
            logits = self._logits(a, b, joints.condition, training)
        estimate = self._compared(joints, pair, logits)
        penalty = 0.0
        if training and (remembered := joints.remembered(self.space)) is not None:
            # Only the critic's loss uses samples from the replay buffer.
            shown = self._logits(*remembered, joints.condition, training)
            seen = self._compared(joints, pair, shown)
            estimate = dataclasses.replace(estimate, critic_loss=seen.critic_loss)
        if self.r1_gamma:
            slope_a, slope_b = _squared_slopes(tape, logits, (a, b))
            # R1 = gamma/2 E |grad T|^2
            if pair.still_a:
                penalty += 0.5 * self.r1_gamma * pair.expect_a(slope_a)
            if pair.still_b:
                penalty += 0.5 * self.r1_gamma * pair.expect_b(slope_b)
        if self.gradient_penalty:
            size = tf.shape(pair.a[0])[:1]
            between = _between(pair, joints.noise(tf.random.stateless_uniform, size, self.name))
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(between)
                logit = self._logit(_beside(between, joints.condition), training)
            (slope,) = _squared_slopes(tape, logit, (between,))
            # GP = weight E (|grad T| - 1)^2;  1e-12 because the norm has no gradient at 0
            norm = tf.sqrt(slope + 1e-12)
            penalty += self.gradient_penalty * tf.reduce_mean((norm - 1.0) ** 2)
        return dataclasses.replace(estimate, critic_loss=estimate.critic_loss + penalty)

    def _compared(self, joints: base.Joints, pair: Pair, logits: tuple[Any, Any]) -> Estimate:
        return self.compare(pair, *(joints.gathered(*logits) if self.gathers else logits))

    def _logits(self, a: Any, b: Any, condition: Any, training: bool) -> tuple[Any, Any]:
        """Returns the logits at samples of a and of b, by one pass of the critic over both."""
        a, b = _beside(a, condition), _beside(b, condition)
        both = [tf.concat(parts, axis=0) for parts in zip(a, b, strict=True)]
        logits = self._logit(both, training)
        n = tf.shape(a[0])[0]
        return logits[:n], logits[n:]

    def _logit(self, parts: Any, training: bool) -> Any:
        """Returns the critic's logits, [B], or [B, P] for a critic of patches."""
        logit = self.critic(_one_or_both(parts), training=training)
        if logit.dtype in (tf.float16, tf.bfloat16):
            logit = tf.cast(logit, tf.float32)
        # [B, 1] would broadcast with log densities [B] to [B, B].
        return logit[:, 0] if logit.shape.rank == 2 and logit.shape[1] == 1 else logit


def _between(pair: Pair, u: Any) -> tuple[Any, ...]:
    """Returns u a + (1 - u) b, u [B], with one u for all parts of an example."""
    mixed = []
    for a, b in zip(pair.a, pair.b, strict=True):
        weight = tf.reshape(u, [-1] + [1] * (a.shape.rank - 1))
        mixed.append(weight * a + (1.0 - weight) * b)
    return tuple(mixed)


def _beside(parts: tuple[Any, ...], condition: Any) -> tuple[Any, ...]:
    """Returns the critic's inputs: the parts of an example, and the condition if any."""
    return tuple(parts) if condition is None else (*parts, condition)


def _one_or_both(parts: Any) -> Any:
    return list(parts) if len(parts) > 1 else parts[0]


def _squared_slopes(tape: tf.GradientTape, logits: Any, samples: tuple[Any, ...]) -> list[Any]:
    """Returns |grad T|^2, [B], at each of the samples."""
    # For a critic of patches, [B, P], the gradient is that of an image's mean logit.
    each = [tf.ones_like(t) / math.prod(t.shape[1:]) for t in tf.nest.flatten(logits)]
    # The gradient in an input that the critic ignores is 0, not None.
    slopes = tape.gradient(
        logits,
        samples,
        output_gradients=tf.nest.pack_sequence_as(logits, each),
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return [_squared_norm(parts) for parts in slopes]


def _squared_norm(parts: Any) -> Any:
    norms = []
    for part in parts:
        part = tf.cast(part, tf.float32)
        norms.append(tf.reduce_sum(part**2, axis=list(range(1, part.shape.rank))))
    return tf.add_n(norms)
