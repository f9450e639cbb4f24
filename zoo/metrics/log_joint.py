"""The unnormalised posterior p(x|z) p(z), for samplers and estimates of log p(x)."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from zoo.errors import InputError


def log_joint(model: Any, x: Any, z: Any) -> tuple[Any, Any]:
    """Returns log p(x|z) and log p(z), [S, B] each, in nats.

    Args:
      model: has `decode(z)`, a tfd distribution, and a `prior`.
      x: [B, ...].
      z: [S, B, K], S codes for each x.
    """
    shape = tf.shape(z)
    draws, batch = shape[0], shape[1]
    flat = tf.reshape(z, tf.concat([[draws * batch], shape[2:]], axis=0))
    flat = tf.ensure_shape(flat, [None, *z.shape[2:]])
    repeated = tf.tile(x, [draws, *[1] * (x.shape.rank - 1)])
    log_likelihood = tf.reshape(model.decode(flat).log_prob(repeated), [draws, batch])
    return log_likelihood, model.prior.log_prob(z)


def check_densities(model: Any, x: Any) -> None:
    """Raises InputError if log q(z|x), log p(x|z) or log p(z) cannot be evaluated."""
    posterior = model.encode(x)
    z = posterior.sample(seed=tf.constant([0, 0]))
    for what, evaluate in (
        ("encoder", lambda: posterior.log_prob(z)),
        ("decoder", lambda: model.decode(z).log_prob(x)),
        ("prior", lambda: model.prior.log_prob(z)),
    ):
        try:
            evaluate()
        except (NotImplementedError, InputError) as error:
            raise InputError(
                f"The {what} has no density, which this measure needs: {error}"
            ) from error


def check_continuous(model: Any, x: Any) -> None:
    """Raises InputError unless p(z) is a density on all of R^K, as Hamiltonian Monte Carlo needs.

    Args:
      x: [B, ...], any images; the check uses their codes.
    """
    posterior = model.encode(x)
    far = 4.0 + tf.zeros_like(posterior.sample(seed=tf.constant([0, 0])))
    if posterior.reparameterization_type != tfp.distributions.FULLY_REPARAMETERIZED or not np.all(
        np.isfinite(model.prior.log_prob(far))
    ):
        raise InputError(
            "Hamiltonian Monte Carlo follows the gradient of log p(z), and these codes are "
            "discrete or bounded: use importance sampling."
        )
