"""Samples as functions of standard normal noise, so that a graph draws no random numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from zoo.distributions.blocks import Blocks
from zoo.distributions.truncated_normal import TruncatedNormal
from zoo.errors import InputError

tfd = tfp.distributions

_SQRT2 = math.sqrt(2.0)
_SMALLEST = float(np.finfo(np.float32).tiny)
_BELOW_ONE = float(np.nextafter(np.float32(1.0), np.float32(0.0)))


def noise_size(distribution: Any) -> int:
    """Returns the size of the noise of `sample` for one vector [K]: K, or more for a mixture.

    Raises:
      InputError: `sample` does not support the distribution.
    """
    if isinstance(distribution, tfd.MixtureSameFamily):
        components = distribution.components_distribution
        return int(components.batch_shape[-1]) + noise_size(components)
    if isinstance(distribution, Blocks | tfd.Blockwise):
        return sum(noise_size(part) for part in distribution.distributions)
    size = int(distribution.event_shape[0])
    sample(distribution, tf.zeros([1, size]))
    return size


def sample(distribution: Any, noise: tf.Tensor) -> tf.Tensor:
    """Returns a sample of `distribution` as a deterministic function of noise ~ N(0, I).

        Normal               z = mean + stddev e
        Laplace              z = location - scale sign(e) log(2 Phi(-|e|))
        Bernoulli            z = 1 if log Phi(e) - log Phi(-e) < logit, else 0
        OneHotCategorical    z = argmax_k logit_k - log(-log Phi(e_k)), one-hot (Gumbel-max trick)
        others               z = F^-1(Phi(e)), F the distribution function of one element
        a mixture            a component by the Gumbel-max trick, then a sample of the component

    Phi is the distribution function of N(0, 1). Transformed distributions, independent elements and
    blocks are composed of these.

    Args:
      distribution: a tfd distribution over vectors [K], of any batch shape.
      noise: [..., noise_size(distribution)], which broadcasts with the batch shape.

    Returns:
      z: [..., K].

    Raises:
      InputError: the distribution is not one of these.
    """
    match distribution:
        case Blocks() | tfd.Blockwise():
            parts = distribution.distributions
            pieces = tf.split(noise, [noise_size(part) for part in parts], axis=-1)
            drawn = [sample(part, e) for part, e in zip(parts, pieces, strict=True)]
            return tf.concat(drawn, axis=-1)
        case tfd.MixtureSameFamily():
            return _of_mixture(distribution, noise)
        case tfd.Independent() | tfd.Sample():
            return sample(distribution.distribution, noise)
        case tfd.OneHotCategorical():
            chosen = tf.argmax(distribution.logits_parameter() + _gumbel(noise), axis=-1)
            return tf.one_hot(chosen, noise.shape[-1])
        case tfd.Normal():
            return distribution.loc + distribution.scale * noise
        case tfd.Laplace():
            tail = math.log(2.0) + _log_phi(-tf.abs(noise))
            return distribution.loc - distribution.scale * tf.sign(noise) * tail
        case tfd.Bernoulli():
            logit = _log_phi(noise) - _log_phi(-noise)
            return tf.cast(logit < distribution.logits_parameter(), tf.float32)
        case TruncatedNormal():
            return _of_truncated(distribution, noise)
        case tfd.TransformedDistribution():
            return distribution.bijector.forward(sample(distribution.distribution, noise))
    try:
        if distribution.event_shape.rank == 0:
            u = tf.clip_by_value(tfd.Normal(0.0, 1.0).cdf(noise), _SMALLEST, _BELOW_ONE)
            return distribution.quantile(u)
    except NotImplementedError:
        pass
    raise InputError(
        f"A sample of a {type(distribution).__name__} has no known form in normal noise."
    )


def _of_mixture(mixture: Any, noise: tf.Tensor) -> tf.Tensor:
    components = mixture.components_distribution
    count = int(components.batch_shape[-1])
    which, within = tf.split(noise, [count, -1], axis=-1)
    logits = mixture.mixture_distribution.logits_parameter()
    chosen = tf.one_hot(tf.argmax(logits + _gumbel(which), axis=-1), count)
    each = sample(components, within[..., tf.newaxis, :])
    return tf.reduce_sum(chosen[..., tf.newaxis] * each, axis=-2)


def _of_truncated(distribution: Any, noise: tf.Tensor) -> tf.Tensor:
    loc, scale, low, high = (
        getattr(distribution, name) for name in ("loc", "scale", "low", "high")
    )
    # erf((z - loc) / (sqrt(2) scale)) is uniform between its values at the bounds
    a, b = (tf.math.erf((bound - loc) / (_SQRT2 * scale)) for bound in (low, high))
    u = tfd.Normal(0.0, 1.0).cdf(noise)
    t = tf.clip_by_value(a + u * (b - a), -_BELOW_ONE, _BELOW_ONE)
    return tf.clip_by_value(loc + _SQRT2 * scale * tf.math.erfinv(t), low, high)


def _log_phi(e: tf.Tensor) -> tf.Tensor:
    return tfd.Normal(0.0, 1.0).log_cdf(e)


def _gumbel(e: tf.Tensor) -> tf.Tensor:
    return -tf.math.log(-_log_phi(e))
