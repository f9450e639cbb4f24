"""Samples of the two joints q(x,z) = q(x)q(z|x) and p(x,z) = p(z)p(x|z), drawn when needed."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import tensorflow as tf

from zoo.critics.sample_history import SampleHistory
from zoo.distributions.conditionals import BaseConditional, stateless_seed
from zoo.distributions.replicas import ALONE, Replica

_STREAMS = ("z_q", "z_p", "x_p")


class SampledJoints:
    """One batch of both joints and their log densities, each part computed at most once.

    Samples of p are drawn only if a term needs them. Noise is a pure function of `seed`.

    Args:
      x: [B, ...], a batch of the data q(x).
      encoder: q(z|x).
      decoder: p(x|z).
      prior: p(z), event shape [K].
      seed: two whole numbers; every draw uses a separate stream.
      training: passed to the networks.
      z: [B, ...], samples of the prior if it is a data set; drawn from the prior if None.
      histories: replay buffers of generated samples "x_p" or "z_q", if any.
      replica: the replica whose part of the batch x is.
      relaxed: whether z ~ q(z|x) is differentiable, by a relaxation if samples are not.
      condition: c of each example, [B, ...], read by q(z|x,c) and p(x|z,c); None without one.
    """

    # Samples are drawn, not enumerated with probabilities.
    q_weights: Any = None
    p_weights: Any = None

    def __init__(
        self,
        x: Any,
        encoder: BaseConditional,
        decoder: BaseConditional,
        prior: Any,
        seed: Any,
        training: bool = False,
        z: Any = None,
        histories: Mapping[str, SampleHistory] | None = None,
        replica: Replica = ALONE,
        relaxed: bool = True,
        condition: Any = None,
    ):
        self.x_q = x
        self.condition = condition
        self.encoder = encoder
        self.decoder = decoder
        self.prior = prior
        self._seed = stateless_seed(seed)
        self._training = training
        self._z_p = z
        self._histories = histories or {}
        self.replica = replica
        self._relaxed = relaxed
        self._shown: dict[str, tf.Tensor] = {}

    @cached_property
    def posterior(self) -> Any:
        """q(z|x) at the data, batch shape [B]."""
        return self.encoder(self._read(self.x_q), training=self._training)

    @cached_property
    def z_q(self) -> tf.Tensor:
        """z ~ q(z|x), [B, K], or the family's stand-in, such as the mean."""
        if not self._relaxed:
            return self.replica.drawn(self.posterior, self._stream("z_q"))
        return self.encoder.relaxed_sample(self.posterior, self._stream("z_q"), self.replica)

    @cached_property
    def likelihood(self) -> Any:
        """p(x|z) at z_q: the distribution of reconstructions, batch shape [B]."""
        return self.decoder(self._read(self.z_q), training=self._training)

    @cached_property
    def z_p(self) -> tf.Tensor:
        """z ~ p(z), [B, K]."""
        if self._z_p is not None:
            return self._z_p
        number = self.replica.count * tf.shape(self.x_q)[0]
        return self.replica.part(self.prior.sample(number, seed=self._stream("z_p")))

    @cached_property
    def x_p(self) -> tf.Tensor:
        """x ~ p(x|z) at z_p, or the family's stand-in, such as the mean."""
        generated = self.decoder(self._read(self.z_p), training=self._training)
        return self.decoder.relaxed_sample(generated, self._stream("x_p"), self.replica)

    @cached_property
    def log_p_x_given_z_q(self) -> tf.Tensor:
        """log p(x|z) at (x, z) ~ q, [B], nats."""
        return self.likelihood.log_prob(self.x_q)

    @cached_property
    def log_q_z_given_x_q(self) -> tf.Tensor:
        """log q(z|x) at (x, z) ~ q, [B], nats."""
        return self.posterior.log_prob(self.z_q)

    @cached_property
    def log_p_z_q(self) -> tf.Tensor:
        """log p(z) at z ~ q(z), [B], nats."""
        return self.prior.log_prob(self.z_q)

    @cached_property
    def log_q_z_given_x_p(self) -> tf.Tensor:
        """log q(z|x) at (x, z) ~ p, [B], nats."""
        return self.log_q_z_given(self.x_p)

    def log_q_z_given(self, x: Any) -> tf.Tensor:
        """log q(z|x) at z ~ p(z) and the given images x instead of x_p, [B], nats."""
        return self.encoder(self._read(x), training=self._training).log_prob(self.z_p)

    def expect_q(self, values: Any) -> tf.Tensor:
        """E_q(x,z) of values [B] at samples of q."""
        return tf.reduce_mean(values)

    def expect_p(self, values: Any) -> tf.Tensor:
        """E_p(x,z) of values [B] at samples of p."""
        return tf.reduce_mean(values)

    def expect_data(self, values: Any) -> tf.Tensor:
        """E_q(x) of values [B] at the data."""
        return tf.reduce_mean(values)

    def samples(self, space: str) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Returns samples of q and of p on `space`: "x", "z" or "xz"."""
        q = {"x": lambda: self.x_q, "z": lambda: self.z_q}
        p = {"x": lambda: self.x_p, "z": lambda: self.z_p}
        return tuple(q[v]() for v in space), tuple(p[v]() for v in space)

    def remembered(self, space: str) -> tuple[tuple[Any, ...], tuple[Any, ...]] | None:
        """Returns `samples`, with some generated ones replaced from a replay buffer, for critics.

        It returns None in evaluation, without replay buffers, and on pairs (x, z).
        """
        if not self._training or space == "xz":
            return None
        name = {"x": "x_p", "z": "z_q"}[space]
        if name not in self._histories:
            return None
        if name not in self._shown:
            now = self.x_p if space == "x" else self.z_q
            (whole,) = self.gathered(now)
            shown = self._histories[name](whole, self.stream(name))
            self._shown[name] = self.replica.part(shown)
        old = (self._shown[name],)
        (q, p) = self.samples(space)
        return (q, old) if space == "x" else (old, p)

    def gathered(self, *values: Any) -> tuple[Any, ...]:
        """Returns `values` [B, ...] of the whole batch, gathered over replicas."""
        return self.replica.gathered(*values)

    def noise(self, draw: Callable[[Any, Any], Any], size: Any, name: str) -> Any:
        """Returns noise [B, ...] for the term `name`; `draw` takes a shape and a seed."""
        rows, *rest = tf.unstack(tf.convert_to_tensor(size))
        return self.replica.part(draw([self.replica.count * rows, *rest], self.stream(name)))

    def stream(self, name: str) -> tf.Tensor:
        """Returns the seed of the noise for the term `name`."""
        number = zlib.crc32(name.encode()) & 0x7FFFFFFF
        return tf.random.experimental.stateless_fold_in(self._seed, number)

    def _read(self, variable: Any) -> Any:
        """Returns the input of a conditional of `variable`: with the condition, if any."""
        return variable if self.condition is None else [variable, self.condition]

    def _stream(self, name: str) -> tf.Tensor:
        return tf.random.experimental.stateless_fold_in(self._seed, _STREAMS.index(name))
