"""One move of Hamiltonian Monte Carlo, and the adaptation of its step size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

WANTED = 0.65  # target acceptance: Neal 2011, section 5.4.4


def move(
    log_density: Callable[[Any], Any], z: Any, step_size: Any, leapfrog: int, seed: Any
) -> tuple[Any, Any]:
    """Moves every chain once, with `log_density` as invariant density.

    Args:
      log_density: [S, B, K] -> [S, B], up to a constant.
      z: [S, B, K], the states of S chains for each of B examples.
      step_size: broadcasts with z; independent of this z.
      leapfrog: the number of steps.
      seed: int32 [2].

    Returns:
      z: [S, B, K], the new states.
      acceptance: [B], the mean acceptance probability.
    """
    kernel = tfp.mcmc.HamiltonianMonteCarlo(log_density, step_size, leapfrog)
    z, results = kernel.one_step(z, kernel.bootstrap_results(z), seed=seed)
    ratio = tf.exp(tf.minimum(results.log_accept_ratio, 0.0))
    # A move to infinity has no ratio, and is rejected.
    ratio = tf.where(tf.math.is_nan(ratio), 0.0, ratio)
    return z, tf.reduce_mean(ratio, axis=0)


def adapted(log_step: Any, acceptance: Any, speed: float) -> Any:
    """Returns log step sizes [B], increased where `acceptance` [B] is above the target."""
    return log_step + speed * (acceptance - WANTED)


def stddev(distribution: Any, like: Any) -> Any:
    """Returns the standard deviations of a distribution, or ones if it has none."""
    try:
        return tf.maximum(distribution.stddev(), 1e-6) + tf.zeros_like(like)
    except NotImplementedError:
        return tf.ones_like(like)
