"""Reads off a distribution what it can do, and asks for a mean that there may not be."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from zoo.capabilities import Capabilities
from zoo.errors import InputError
from zoo.priors import Empirical

# How distributions say that they have no such function.
_ABSENT = (NotImplementedError, InputError)


def read(distribution: Any, name: str) -> Capabilities:
    """Returns what a tfd distribution can do, by trying it on one of its samples.

    One that cannot be sampled is tried at 0. `name` is what sentences call it.

    Raises:
      InputError: it has neither samples nor a mean, so that nothing can be shown of it.
    """
    mean, stddev = (_of(getattr(distribution, moment)) for moment in ("mean", "stddev"))
    value = _of(lambda: distribution.sample(seed=tf.constant([0, 0])))
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
    """Returns what p(z) can do."""
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


def mean(distribution: Any, reader: str) -> Any:
    """Returns the mean of a distribution, for `reader`, which an error names.

    Raises:
      InputError: there is none.
    """
    try:
        return distribution.mean()
    except _ABSENT:
        kind = type(getattr(distribution, "distribution", distribution)).__name__.lstrip("_")
        raise InputError(
            f"{reader} is of means, which a {kind} distribution does not have: look at samples."
        ) from None


def _of(function: Any) -> Any:
    try:
        return function()
    except _ABSENT:
        return None
