"""What terms with a critic share: a pass over both samples, and penalties on the slope."""

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
      expect_a, expect_b: Take values [B] at the samples to their expectation.
      still_a, still_b: Whether R1 is taken there.
    """

    a: tuple[Any, ...]
    b: tuple[Any, ...]
    expect_a: Callable[[Any], Any]
    expect_b: Callable[[Any], Any]
    still_a: bool
    still_b: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class CriticTerm(base.Term):
    """A term whose critic T is high at samples of a, which is q unless the term says otherwise.

    With `r1_gamma` the critic also pays for its slope at the samples that no player moves, which
    damps the circling around the equilibrium; with `gradient_penalty` for a slope other than 1
    between the samples, which keeps it 1-Lipschitz:

    ```none
    R1 = r1_gamma/2 E |grad T|^2              x: at q(x), the data;  z: at p(z), the prior;
                                              xz: at q plus at p
    GP = gradient_penalty E (|grad T| - 1)^2  at u a + (1 - u) b,  u ~ U(0, 1)
    ```

    Both are added to the critic's loss alone. Where joints have a condition c the critic reads it
    as a last input, T(x, c), and the term is the mean of the divergences given each c, for W1 too:
    slopes are those in x and z. See Mescheder et al. "Which Training Methods for GANs
    do actually Converge?" ICML 2018, eq. 9; Gulrajani et al. "Improved Training of Wasserstein
    GANs." NeurIPS 2017, eq. 3. The latter was made for W1: elsewhere, where T is a log ratio, a
    slope of 1 is a bias as well as a brake.
    """

    needs_critic = True
    conditions = "any"
    gathers: ClassVar[bool] = False  # whether the estimate is no mean over examples
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
        """Whether the term is the divergence of b from a, rather than of a from b."""
        return getattr(self, "direction", "qp") == "pq"

    @abc.abstractmethod
    def compare(self, pair: Pair, critic_a: Any, critic_b: Any) -> Estimate:
        """Returns the estimate, without penalties, from the logits [B] at a and at b."""

    def pair(self, joints: base.Joints) -> Pair:
        """Returns what the critic tells apart: q and p on the term's space."""
        q, p = joints.samples(self.space)
        still_q, still_p = self.space != "z", self.space != "x"
        return Pair(q, p, joints.expect_q, joints.expect_p, still_q, still_p)

    def __call__(self, joints: base.Joints, training: bool = True) -> Estimate:
        pair = self.pair(joints)
        # Where a and b share their x, or z, each has its own slope: so each gets its own tensor.
        a, b = tf.nest.map_structure(tf.identity, (pair.a, pair.b))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            if self.r1_gamma:
                tape.watch([a, b])
            logits = self._logits(a, b, joints.condition, training)
        estimate = self._compared(joints, pair, logits)
        penalty = 0.0
        if training and (remembered := joints.remembered(self.space)) is not None:
            # The critic sees earlier samples again; the other players see this batch's alone.
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
            # GP = weight E (|grad T| - 1)^2;  a slope of 0, such as at first, has no direction
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
        """Returns the critic's logits, [B], or [B, P] where it judges patches."""
        logit = self.critic(_one_or_both(parts), training=training)
        if logit.dtype in (tf.float16, tf.bfloat16):
            logit = tf.cast(logit, tf.float32)
        # [B, 1] beside log densities [B] would make [B, B].
        return logit[:, 0] if logit.shape.rank == 2 and logit.shape[1] == 1 else logit


def _between(pair: Pair, u: Any) -> tuple[Any, ...]:
    """Returns u a + (1 - u) b, u [B], with one u for all parts of an example."""
    mixed = []
    for a, b in zip(pair.a, pair.b, strict=True):
        weight = tf.reshape(u, [-1] + [1] * (a.shape.rank - 1))
        mixed.append(weight * a + (1.0 - weight) * b)
    return tuple(mixed)


def _beside(parts: tuple[Any, ...], condition: Any) -> tuple[Any, ...]:
    """Returns what the critic reads: the parts of an example, and the condition if any."""
    return tuple(parts) if condition is None else (*parts, condition)


def _one_or_both(parts: Any) -> Any:
    return list(parts) if len(parts) > 1 else parts[0]


def _squared_slopes(tape: tf.GradientTape, logits: Any, samples: tuple[Any, ...]) -> list[Any]:
    """Returns |grad T|^2, [B], at each of the samples."""
    # Of a critic of patches, [B, P], the slope of an image's mean logit.
    each = [tf.ones_like(t) / math.prod(t.shape[1:]) for t in tf.nest.flatten(logits)]
    # A critic may ignore a part of its input: its slope there is 0, not missing.
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
