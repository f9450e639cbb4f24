"""Implicit distributions, which have samples but no density."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from zoo import errors
from zoo.distributions.replicas import Replica

tfd = tfp.distributions


class Implicit(tfp.distributions.Distribution):
    """The distribution of a function of normal noise, for each of B conditions; without density.

        z = push(e),   e ~ N(0, I)

    Samples are reparameterised. Mean and standard deviation are over `draws` fixed values of e,
    shifted and scaled to mean 0 and variance 1, and equal on every device and under XLA. They are
    exact if every element of z is linear in one element of e; otherwise they have errors of about
    stddev / sqrt(draws) and stddev / sqrt(2 draws). They cost `draws` calls of the function.

    Args:
      push: [B, noise_dim] -> [B, ...], float32, for B fixed conditions.
      batch_size: B, a number or a scalar tensor.
      event_shape: The shape of one z.
      noise_dim: The length of e.
      draws: The number of e for mean and standard deviation.
    """

    def __init__(
        self,
        push: Callable[[tf.Tensor], tf.Tensor],
        batch_size: Any,
        event_shape: Sequence[int],
        noise_dim: int,
        draws: int = 64,
        name: str = "Implicit",
    ) -> None:
        parameters = dict(locals())
        self._push = push
        self._batch_size = batch_size
        self._event = tf.TensorShape(event_shape)
        self._noise_dim = noise_dim
        self._draws = draws
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    def _batch_shape(self) -> tf.TensorShape:
        return tf.TensorShape([tf.get_static_value(self._batch_size)])

    def _batch_shape_tensor(self) -> tf.Tensor:
        return tf.reshape(tf.convert_to_tensor(self._batch_size), [1])

    def _event_shape(self) -> tf.TensorShape:
        return self._event

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant(self._event.as_list())

    def sample_of(self, replica: Replica, seed: Any) -> tf.Tensor:
        """Returns `replica.drawn` of this distribution, by one call of the function."""
        shape = [replica.count, self._batch_size, self._noise_dim]
        noise = tf.random.stateless_normal(shape, tfp.random.sanitize_seed(seed))
        return self._push(noise[replica.index])

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        shape = [n, self._batch_size, self._noise_dim]
        noise = tf.random.stateless_normal(shape, tfp.random.sanitize_seed(seed))
        if tf.get_static_value(n) == 1:
            return self._push(noise[0])[tf.newaxis]
        return self._each(self._push, noise)

    def _log_prob(self, z: Any) -> Any:
        raise errors.InputError(
            "An implicit conditional has no log density: use a family, or terms that need samples "
            "alone, such as RATE_ratio in place of RATE."
        )

    def _mean(self) -> tf.Tensor:
        return self._moments[0]

    def _stddev(self) -> tf.Tensor:
        return tf.sqrt(self._moments[1])

    def _variance(self) -> tf.Tensor:
        return self._moments[1]

    @functools.cached_property
    def _moments(self) -> tuple[tf.Tensor, tf.Tensor]:
        def push(e: tf.Tensor) -> tf.Tensor:
            return self._push(tf.broadcast_to(e, [self._batch_size, self._noise_dim]))

        z = self._each(push, tf.constant(_draws(self._draws, self._noise_dim)))
        return tf.reduce_mean(z, axis=0), tf.math.reduce_variance(z, axis=0)

    def _each(self, push: Callable[[tf.Tensor], tf.Tensor], noise: tf.Tensor) -> tf.Tensor:
        # One call after another, to limit memory.
        one = tf.TensorSpec([*self.batch_shape, *self._event], tf.float32)
        return tf.map_fn(push, noise, fn_output_signature=one)


@functools.cache
def _draws(draws: int, noise_dim: int) -> np.ndarray:
    """Returns [draws, noise_dim], normal numbers with sample mean 0 and sample variance 1."""
    noise = np.random.default_rng(0).standard_normal([draws, noise_dim])
    noise -= noise.mean(axis=0)
    return (noise / noise.std(axis=0)).astype(np.float32)
