"""Rate, distortion and their sum, -ELBO."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.distributions.conditionals import stateless_seed
from zoo.errors import InputError
from zoo.metrics.batches import in_batches
from zoo.metrics.measured import Measured
from zoo.terms import rate


@dataclasses.dataclass(frozen=True)
class RateDistortion:
    """A model's rate and distortion, Alemi et al. "Fixing a Broken ELBO." 2018.

    distortion  REC_x = -E_q(x,z) log p(x|z)
    rate        RATE  = E_q(x) KL(q(z|x)||p(z))
    bound       their sum, -ELBO, at least -E_q(x) log p(x)
    """

    rate: Measured
    distortion: Measured
    bound: Measured


def rate_distortion(model: Any, images: Any, seed: int = 0) -> RateDistortion:
    """Measures rate and distortion with one code for each image.

    Args:
      model: has `encode(x)` and `decode(z)`, tfd distributions, and a `prior`.
      images: [N, ...], or batches [B, ...] of them.
      seed: seed of the codes.

    Raises:
      InputError: there are no images, or a density is missing.
    """
    rates, distortions = [], []
    for index, x in enumerate(in_batches(images)):
        posterior = model.encode(x)
        z = posterior.sample(seed=stateless_seed([seed, index]))
        rates.append(rate(posterior, model.prior, z, expect=tf.identity).numpy())
        # REC_x = -log p(x|z)
        distortions.append(-model.decode(z).log_prob(x).numpy())
    if not rates:
        raise InputError("There are no images for rate and distortion: give some.")
    r = np.concatenate(rates).astype(np.float64)
    d = np.concatenate(distortions).astype(np.float64)
    return RateDistortion(
        rate=Measured.of_mean(r, "KL(q(z|x)||p(z)), in closed form where there is one"),
        distortion=Measured.of_mean(d, "-log p(x|z), one code per example"),
        bound=Measured.of_mean(r + d, "-ELBO, one code per example"),
    )
