"""Reconstruction likelihoods that are comparable between models of any scale, [G] appendix D."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from zoo.distributions.conditionals import stateless_seed
from zoo.distributions.probes import decoded_mean
from zoo.errors import InputError
from zoo.metrics.batches import in_batches
from zoo.metrics.measured import Measured


def sigma_opt(model: Any, images: Any, seed: int = 0) -> float:
    """Returns the maximum-likelihood standard deviation of reconstructions, one for all elements.

        sigma_opt^2 = 1/(M D) sum_i |x_i - g(z_i)|^2,   z_i ~ q(z|x_i),  g(z) = E[x|z]

    [G] eq. 26 omits D, the number of elements of x; with D it maximises the likelihood of
    N(x | g(z), sigma^2 I).

    Args:
      model: has `encode(x)` and `decode(z)`, tfd distributions, the latter with a mean.
      images: the training set, [M, ...], or batches [B, ...] of it.
      seed: seed of the codes.

    Raises:
      InputError: there are no images, they are all reconstructed exactly, or p(x|z) has no mean.
    """
    total, count = 0.0, 0
    for x, g in _reconstructions(model, images, seed):
        total, count = total + float(np.sum((x - g) ** 2)), count + x.size
    if not count:
        raise InputError("There are no images for sigma_opt: give some of the training set.")
    if total == 0.0:
        raise InputError(
            "Every image is reconstructed exactly, so that sigma_opt is 0 and no density exists: "
            "leave this measure out."
        )
    return math.sqrt(total / count)


def sigma_opt_distortion(model: Any, images: Any, sigma: float, seed: int = 0) -> Measured:
    """Measures the distortion by a normal density with one standard deviation for all elements.

        -log N(x | g(z), sigma^2 I) = |x - g(z)|^2 / (2 sigma^2) + D log sigma + D/2 log 2 pi

    Args:
      model: as in `sigma_opt`.
      images: held-out, [N, ...], or batches [B, ...] of them.
      sigma: `sigma_opt` of the training set.
      seed: seed of the codes.

    Raises:
      InputError: there are no images, sigma is not positive, or p(x|z) has no mean.
    """
    _check(sigma)
    values = []
    for x, g in _reconstructions(model, images, seed):
        d = x.shape[1]
        # |x - g|^2 / (2 sigma^2) + D log sigma + D/2 log 2 pi
        distance = np.sum((x - g) ** 2, axis=1) / (2.0 * sigma**2)
        values.append(distance + d * math.log(sigma * math.sqrt(2.0 * math.pi)))
    return Measured.of_mean(_joined(values), f"normal of standard deviation {sigma:.4g}")


def quantised_distortion(
    model: Any, images: Any, sigma: float, levels: int = 256, seed: int = 0
) -> Measured:
    """Measures the distortion in bits per dimension, under the quantised normal.

        P(x) = Phi((x + w/2 - g(z)) / sigma) - Phi((x - w/2 - g(z)) / sigma),   w = 1/(levels - 1)

    where the lowest level includes all probability below it, and the highest all above: the levels'
    probabilities sum to 1, so that it is a code length, never negative, and comparable between
    models. It is -log2 P(x) divided by the number of elements, [G] appendix D.

    Args:
      model: as in `sigma_opt`.
      images: held-out, with values k/(levels - 1) from 0 to 1, as in image files.
      sigma: `sigma_opt` of the training set.
      levels: 256 for 8 bits, 2 for binary images.
      seed: seed of the codes.

    Raises:
      InputError: there are no images, sigma is not positive, there are fewer than two levels,
        values of images lie between the levels, or p(x|z) has no mean.
    """
    _check(sigma)
    if levels < 2:
        raise InputError(f"{levels} levels code nothing: give 2 or more.")
    values = []
    for x, g in _reconstructions(model, images, seed):
        level = np.rint(x * (levels - 1))
        if np.max(np.abs(x * (levels - 1) - level)) > 1e-3 or level.min() < 0 or x.max() > 1.001:
            raise InputError(
                f"These images have values other than k/{levels - 1} from 0 to 1: give the images "
                "as their files have them, or their number of levels."
            )
        low = np.where(level == 0, -np.inf, (level - 0.5) / (levels - 1) - g) / sigma
        high = np.where(level == levels - 1, np.inf, (level + 0.5) / (levels - 1) - g) / sigma
        log_p = _log_probability(low, high)
        # -1/D log2 P(x)
        values.append(-np.sum(log_p, axis=1) / (x.shape[1] * math.log(2.0)))
    return Measured.of_mean(
        _joined(values),
        f"normal of standard deviation {sigma:.4g} in {levels} levels",
        units="bits per dimension",
    )


def _log_probability(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Returns log(Phi(high) - Phi(low)), accurate in the tails too."""
    # To the right of 0 both are nearly 1: Phi(h) - Phi(l) = Phi(-l) - Phi(-h)
    right = low > 0
    low, high = np.where(right, -high, low), np.where(right, -low, high)
    normal = tfp.distributions.Normal(tf.constant(0.0, tf.float64), tf.constant(1.0, tf.float64))
    found = tfp.math.log_sub_exp(normal.log_cdf(high), normal.log_cdf(low))
    return found.numpy()


def _reconstructions(model: Any, images: Any, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields images and E[x|z] at z ~ q(z|x), float64 [B, D]."""
    for index, x in enumerate(in_batches(images)):
        z = model.encode(x).sample(seed=stateless_seed([seed, index]))
        g = np.asarray(decoded_mean(model, z, "A distance from reconstructions"), np.float64)
        yield np.asarray(x, np.float64).reshape(len(g), -1), g.reshape(len(g), -1)


def _joined(values: list[np.ndarray]) -> np.ndarray:
    if not values:
        raise InputError("There are no images for a distortion: give some.")
    return np.concatenate(values)


def _check(sigma: float) -> None:
    if not (sigma > 0 and math.isfinite(sigma)):
        raise InputError(f"The standard deviation is {sigma!r}: give what sigma_opt returns.")
