"""Recognises the distributions for which the other files have closed forms."""

from __future__ import annotations

from typing import Any

import tensorflow_probability as tfp

tfd = tfp.distributions


def diagonal_normal(distribution: Any) -> Any | None:
    """Returns `distribution` as a `tfd.Independent(tfd.Normal)`, or `None` if it is not one.

    Recognised are `tfd.MultivariateNormalDiag`, `tfd.Independent` of a `tfd.Normal`, and a
    `tfd.Normal` of numbers. In the result mean and scale have the full event shape.
    """
    inner = distribution
    while isinstance(inner, tfd.Independent):
        inner = inner.distribution
    if not isinstance(inner, tfd.Normal | tfd.MultivariateNormalDiag):
        return None
    return tfd.Independent(
        tfd.Normal(distribution.mean(), distribution.stddev()),
        reinterpreted_batch_ndims=distribution.event_shape.rank,
    )
