"""Recognises diagonal normals, for which terms have closed forms."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from zoo.distributions.blocks import block_sizes

tfd = tfp.distributions


def diagonal_normal(distribution: Any) -> Any | None:
    """Returns `distribution` as a `tfd.Independent(tfd.Normal)`, or `None` if it is not one.

    It recognises `tfd.MultivariateNormalDiag`, `tfd.Independent` of a `tfd.Normal`, a scalar
    `tfd.Normal`, and blocks (`tfd.Blockwise`, `Blocks`) that are all of these kinds. Mean and scale
    of the result have the full event shape.
    """
    if block_sizes(distribution) is not None:
        return _concatenated([diagonal_normal(block) for block in distribution.distributions])
    inner = distribution
    while isinstance(inner, tfd.Independent):
        inner = inner.distribution
    if not isinstance(inner, tfd.Normal | tfd.MultivariateNormalDiag):
        return None
    return tfd.Independent(
        tfd.Normal(distribution.mean(), distribution.stddev()),
        reinterpreted_batch_ndims=distribution.event_shape.rank,
    )


def _concatenated(normals: list[Any | None]) -> Any | None:
    if any(normal is None for normal in normals):
        return None
    mean, scale = (
        tf.concat([getattr(normal, moment)() for normal in normals], axis=-1)
        for moment in ("mean", "stddev")
    )
    return tfd.Independent(tfd.Normal(mean, scale), reinterpreted_batch_ndims=1)
