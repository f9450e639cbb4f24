"""Priors p(z) without weights: the standard normal, and data sets of latents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from zoo import errors

tfd = tfp.distributions


def standard_normal(latent_dim: int) -> Any:
    """Returns N(0, I) over a latent of `latent_dim` dimensions."""
    if not isinstance(latent_dim, int) or latent_dim < 1:
        raise errors.InputError(f"latent_dim is {latent_dim!r}: give a positive whole number.")
    return tfd.Independent(
        tfd.Normal(tf.zeros(latent_dim), tf.ones(latent_dim)), reinterpreted_batch_ndims=1
    )


class Empirical(tfp.distributions.Distribution):
    """The prior of latents that are a data set, such as the second set of images of CycleGAN.

    It only has the shape of one example: its samples come with the batches (x, z), and it has no
    density. `is_data(prior)` recognises it.

    Args:
      event_shape: the shape of one example, [K] or [H, W, C].
    """

    is_data = True

    def __init__(self, event_shape: Sequence[int], name: str = "Empirical") -> None:
        parameters = dict(locals())
        sizes = list(event_shape) if isinstance(event_shape, Sequence) else []
        if not sizes or not all(type(size) is int and size > 0 for size in sizes):
            raise errors.InputError(
                f"An Empirical prior's event_shape is {event_shape!r}: give positive whole "
                "numbers, such as (28, 28, 1)."
            )
        self._shape = tf.TensorShape(sizes)
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    def _batch_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _event_shape(self) -> tf.TensorShape:
        return self._shape

    def _sample_n(self, n: Any, seed: Any = None) -> Any:
        raise errors.InputError(
            "An Empirical prior draws nothing: take z from the batches (x, z) of the data."
        )

    def _log_prob(self, value: Any) -> Any:
        raise errors.InputError(
            "An Empirical prior has no density, as z is data: use terms that need samples alone."
        )


def is_data(prior: Any) -> bool:
    """Whether the prior is a data set, which has no density and cannot be sampled."""
    return bool(getattr(prior, "is_data", False))


def event_shape(prior: Any) -> tuple[int, ...]:
    """Returns the shape of one latent: [K], or [H, W, C] if latents are images.

    Raises InputError unless the prior is one tfd distribution (batch shape []) over float32 vectors
    of known length, or an Empirical, which may be over images.
    """
    if not isinstance(prior, tfd.Distribution):
        raise errors.InputError(f"The prior is {prior!r}: give a tfp.distributions distribution.")
    kind = type(prior).__name__
    if isinstance(prior.event_shape, tf.TensorShape) and isinstance(
        prior.batch_shape, tf.TensorShape
    ):
        event, batch = prior.event_shape, prior.batch_shape
        ranks = (1, 3) if is_data(prior) else (1,)
        if event.rank not in ranks or not event.is_fully_defined() or batch.rank != 0:
            raise errors.InputError(
                f"The prior, a {kind}, has batch shape {batch} and event shape {event}: it must "
                "be one distribution over vectors of known length, batch shape () and event "
                "shape (K,); wrap independent dimensions in tfd.Independent."
            )
        if prior.dtype != tf.float32:
            raise errors.InputError(
                f"The prior, a {kind}, has dtype {tf.as_dtype(prior.dtype).name}: latents are "
                "float32, so give its parameters (or its dtype) as float32."
            )
        return tuple(event.as_list())
    raise errors.InputError(
        f"The prior, a {kind}, has several events: give a distribution over one vector."
    )


def latent_dim(prior: Any) -> int:
    """Returns K for a prior over latents of shape [K].

    Raises InputError as `event_shape`, and if latents are images.
    """
    shape = event_shape(prior)
    if len(shape) != 1:
        raise errors.InputError(f"These latents have shape {shape}: give a prior over vectors.")
    return shape[0]
