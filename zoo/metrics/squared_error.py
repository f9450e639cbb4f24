"""The squared error of reconstructions."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.distributions.probes import decoded_mean, encoded_mean
from zoo.errors import InputError
from zoo.metrics.batches import in_batches
from zoo.metrics.measured import Measured


def squared_error(model: Any, images: Any) -> Measured:
    """Measures the squared error of reconstructions at the posterior's mean.

        1/D |x - E[x|z]|^2,   z = E_q(z|x)[z]

    Args:
      model: has `encode(x)` and `decode(z)`, tfd distributions with means.
      images: [N, ...] of D elements each, or batches [B, ...] of them.

    Raises:
      InputError: there are no images, or q(z|x) or p(x|z) has no mean.
    """
    errors = []
    for x in in_batches(images):
        z = encoded_mean(model, x, "The squared error")
        difference = np.asarray(decoded_mean(model, z, "The squared error")) - np.asarray(x)
        errors.append(np.mean(difference.reshape(len(difference), -1).astype(float) ** 2, axis=1))
    values = np.concatenate(errors) if errors else np.empty(0)
    if not len(values):
        raise InputError("There are no images for the squared error: give some.")
    return Measured.of_mean(values, "reconstruction at the posterior mean", units="per element")
