"""Finds the capabilities of a distribution, and returns means or a clear error."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from zoo.errors import InputError
from zoo.objectives.capabilities import Capabilities
from zoo.priors import Empirical

# Raised by distributions that lack a function.
_ABSENT = (NotImplementedError, InputError)


def read(distribution: Any, name: str) -> Capabilities:
    """Returns the capabilities of a tfd distribution, by trying it on one of its samples.

    A distribution that cannot be sampled is tried at 0. A mean of nan, as of a Categorical or a
    Cauchy, counts as absent. `name` is its name in error sentences.

    Raises:
      InputError: it has neither samples nor a mean.
    """
    mean, stddev = (_moment(distribution, moment) for moment in ("mean", "stddev"))
    value = _sample(distribution)
    if value is None and mean is None:
        raise InputError(
            f"A {name} distribution has neither samples nor a mean: give it one of them."
        )
    if value is None:
        value = tf.zeros_like(mean)
    value = tf.cast(value, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(value)
        log_prob = _of(lambda: distribution.log_prob(value))
    has_density = log_prob is not None
    return Capabilities(
        name,
        has_density=has_density,
        has_score=has_density and tape.gradient(log_prob, value) is not None,
        has_mean=mean is not None,
        has_stddev=stddev is not None,
        reparameterised=(
            distribution.reparameterization_type == tfp.distributions.FULLY_REPARAMETERIZED
        ),
    )


def of_prior(prior: Any) -> Capabilities:
    """Returns the capabilities of p(z)."""
    if isinstance(prior, Empirical):
        return Capabilities(
            "a data set",
            has_density=False,
            has_score=False,
            has_mean=False,
            has_stddev=False,
            reparameterised=False,
        )
    return read(prior, f"the {type(prior).__name__} prior")


def encoded_mean(model: Any, x: Any, reader: str) -> Any:
    """Returns E[z|x], [B, ...]; errors name `reader`, the measure that needs it.

    Args:
      model: has `encode(x)`, a tfd distribution.

    Raises:
      InputError: q(z|x) has no mean.
    """
    return _mean(model.encode(x), getattr(model, "encoder", None), reader)


def decoded_mean(model: Any, z: Any, reader: str) -> Any:
    """Returns E[x|z], [B, ...], of a model that has `decode(z)`; see `encoded_mean`."""
    return _mean(model.decode(z), getattr(model, "decoder", None), reader)


def _mean(distribution: Any, conditional: Any, reader: str) -> Any:
    value = None
    if getattr(conditional, "has_mean", True):
        value = _of(distribution.mean)
    # A mean of nan counts as absent, unless samples are nan too because the model diverged.
    if value is None or (_is_nan(value) and not _is_nan(_sample(distribution))):
        kind = type(getattr(distribution, "distribution", distribution)).__name__.lstrip("_")
        name = getattr(conditional, "kind", kind)
        raise InputError(f"{reader} is of means, and {name} has none: look at samples.")
    return value


def _moment(distribution: Any, name: str) -> Any:
    value = _of(getattr(distribution, name))
    return None if _is_nan(value) else value


def _sample(distribution: Any) -> Any:
    return _of(lambda: distribution.sample(seed=tf.constant([0, 0])))


def _is_nan(value: Any) -> bool:
    """Whether all values are nan; False in a graph, where they are unknown."""
    known = None if value is None else tf.get_static_value(value)
    return known is not None and bool(np.all(np.isnan(known)))


def _of(function: Any) -> Any:
    try:
        return function()
    except _ABSENT:
        return None
