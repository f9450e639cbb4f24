"""Samples from the true posterior p(z|x), which the encoder approximates."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.distributions.conditionals import stateless_seed
from zoo.errors import InputError
from zoo.metrics import hamiltonian
from zoo.metrics.log_joint import check_continuous, check_densities, log_joint
from zoo.metrics.log_mean import FEW


@dataclasses.dataclass(frozen=True)
class PosteriorSamples:
    """Samples of p(z|x) with diagnostics.

    Attributes:
      z: [S, B, K], S samples for each of B images.
      effective: [B], the effective sample size of the draws that were resampled.
      acceptance: [B], the share of accepted Hamiltonian moves; None without moves.
      notes: caveats for the reader; a sentence each.
    """

    z: np.ndarray
    effective: np.ndarray
    acceptance: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def posterior_by_resampling(
    model: Any, x: Any, samples: int = 100, draws: int = 1000, seed: int = 0
) -> PosteriorSamples:
    """Draws from p(z|x) by resampling draws of the encoder with importance weights.

        z_1, ..., z_D ~ q(z|x);   z = z_d with probability w_d / sum w,   w = p(x,z) / q(z|x)

    It is exact as D goes to infinity. Samples repeat each other unless the effective sample size of
    the weights is far above S.

    Args:
      model: has `encode(x)` and `decode(z)`, tfd distributions, and a `prior`.
      x: [B, ...]; D x B images are decoded at once.
      samples: S.
      draws: D.
      seed: seed of all noise.

    Raises:
      InputError: a number is not positive, or a density is missing.
    """
    x = _checked(model, x, samples=samples, draws=draws)
    posterior = model.encode(x)
    z = posterior.sample(draws, seed=stateless_seed([seed, 0]))
    log_likelihood, log_prior = log_joint(model, x, z)
    # log w = log p(x|z) + log p(z) - log q(z|x)
    log_w = log_likelihood + log_prior - posterior.log_prob(z)
    chosen = tf.random.stateless_categorical(
        tf.transpose(log_w), samples, stateless_seed([seed, 1]), tf.int32
    )
    picked = tf.gather(tf.transpose(z, [1, 0, 2]), chosen, axis=1, batch_dims=1)
    log_w = np.asarray(log_w, np.float64)
    # ESS = (sum w)^2 / sum w^2
    twice_log_sum = 2 * np.logaddexp.reduce(log_w, axis=0)
    effective = np.exp(twice_log_sum - np.logaddexp.reduce(2 * log_w, axis=0))
    poor = float(np.mean(effective < FEW))
    notes: tuple[str, ...] = ()
    if poor:
        notes = (
            f"The effective sample size is below {FEW} of {draws} for {poor:.0%} of the images: "
            "their samples repeat a few draws; take more draws, or Hamiltonian Monte Carlo",
        )
    return PosteriorSamples(np.asarray(tf.transpose(picked, [1, 0, 2])), effective, None, notes)


def posterior_by_hmc(
    model: Any,
    x: Any,
    samples: int = 100,
    moves: int = 200,
    leapfrog: int = 5,
    seed: int = 0,
    draws: int = 1000,
    jit_compile: bool = True,
) -> PosteriorSamples:
    """Draws from p(z|x) by Hamiltonian Monte Carlo, with chains started by resampling.

    Every sample is the end of a separate chain; more `moves` make it less dependent on its start.
    Step sizes are adapted in the first half of the moves, then fixed, and scaled by the standard
    deviations of q(z|x).

    Args:
      model: has `encode(x)` and `decode(z)`, tfd distributions, and a `prior` on all of R^K.
      x: [B, ...]; S x B images are decoded at once.
      samples: S.
      moves: the number of moves of each chain.
      leapfrog: the number of leapfrog steps of each move.
      seed: seed of all noise.
      draws: the number of draws of the encoder for the starts of chains.
      jit_compile: whether XLA compiles the chains.

    Raises:
      InputError: a number is not positive, a density is missing, or codes are discrete or bounded.
    """
    x = _checked(model, x, samples=samples, moves=moves, leapfrog=leapfrog, draws=draws)
    start = posterior_by_resampling(model, x, samples, draws, seed)
    check_continuous(model, x[:1])
    tuning = moves // 2

    @tf.function(jit_compile=jit_compile)
    def run(z: tf.Tensor) -> Any:
        scale = hamiltonian.stddev(model.encode(x), z[0])

        def more(t: Any, z: Any, log_step: Any, accepted: Any) -> Any:
            step_size = tf.exp(log_step)[:, tf.newaxis] * scale
            key = tf.random.fold_in(tf.constant([seed, 2]), t)
            z, acceptance = hamiltonian.move(
                lambda z: tf.add_n(log_joint(model, x, z)), z, step_size, leapfrog, key
            )
            tuned = hamiltonian.adapted(log_step, acceptance, 0.2)
            settled = t >= tuning
            return (
                t + 1,
                z,
                tf.where(settled, log_step, tuned),
                accepted + tf.where(settled, acceptance, tf.zeros_like(acceptance)),
            )

        none = tf.zeros([x.shape[0]])
        _, z, _, accepted = tf.while_loop(
            lambda t, *_: t < moves,
            more,
            (0, z, none + math.log(0.3), none),
            maximum_iterations=moves,
        )
        return z, accepted / (moves - tuning)

    z, accepted = run(tf.constant(start.z))
    acceptance = accepted.numpy()
    notes: tuple[str, ...] = ()
    if poor := float(np.mean((acceptance < 0.3) | (acceptance > 0.95))):
        notes = (f"The moves of {poor:.0%} of the images were accepted too seldom or too often",)
    return PosteriorSamples(z.numpy(), start.effective, acceptance, notes)


def _checked(model: Any, x: Any, **numbers: int) -> tf.Tensor:
    for name, number in numbers.items():
        if number < 1:
            raise InputError(f"{name} is {number!r}: give 1 or more.")
    x = tf.cast(tf.convert_to_tensor(x), tf.float32)
    if not x.shape[0]:
        raise InputError("There are no images for posterior samples: give some.")
    check_densities(model, x[:1])
    return x
