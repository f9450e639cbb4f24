"""log p(x) by importance sampling from the encoder, and what the encoder's posterior misses."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.conditionals import stateless_seed
from zoo.errors import InputError
from zoo.metrics.batches import in_full_batches
from zoo.metrics.log_joint import check_densities, log_joint
from zoo.metrics.measured import Measured

FEW = 10  # an effective sample size below which an estimate rests on a handful of draws
_BATCH = 32  # images that are looked at together


@dataclasses.dataclass(frozen=True)
class ImportanceSampling:
    """What S draws from q(z|x) say about each of N examples, in nats.

    Attributes:
      log_likelihood: log 1/S sum_s w_s, [N]; in expectation at most log p(x).
      elbo: 1/S sum_s log w_s, [N]; of the same draws, so never above log_likelihood.
      effective: (sum w)^2 / sum w^2, [N], between 1 and S.
      samples: S.
    """

    log_likelihood: np.ndarray
    elbo: np.ndarray
    effective: np.ndarray
    samples: int

    @property
    def bias(self) -> float:
        """About how far the mean of log_likelihood is too low, to first order.

        E log(mean w) - log E w ~= -Var(w) / (2 S E[w]^2) ~= -(1/ESS - 1/S) / 2
        """
        return float(np.mean(1.0 / self.effective - 1.0 / self.samples) / 2)

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say about the weights: nothing, if they are even enough."""
        poor = float(np.mean(self.effective < FEW))
        if poor <= 0.01:
            return ()
        return (
            f"The effective sample size is below {FEW} of {self.samples} for {poor:.0%} of the "
            f"examples, median {np.median(self.effective):.1f}: log p(x) is underestimated by "
            f"{self.bias:.2g} nats or more; raise the samples or use annealed importance sampling",
        )

    @property
    def measured(self) -> Measured:
        """The mean log likelihood."""
        kind = f"importance sampling, {self.samples} draws from q(z|x)"
        return Measured.of_mean(self.log_likelihood, kind, self.notes)

    @property
    def posterior_accuracy(self) -> Measured:
        """E_q(x) KL(q(z|x)||p(z|x)) = E_q(x)[ log p(x) - ELBO(x) ]; 0 for the true posterior."""
        kind = f"log p(x) - ELBO(x), both of {self.samples} draws from q(z|x)"
        return Measured.of_mean(self.log_likelihood - self.elbo, kind, self.notes)


def importance_sampling(
    model: Any,
    images: Any,
    samples: int = 1000,
    seed: int = 0,
    rows: int = 4096,
    jit_compile: bool = True,
) -> ImportanceSampling:
    """Estimates log p(x) of each image with draws from the encoder.

        log p(x) = log E_q(z|x)[ w ],   w = p(x|z) p(z) / q(z|x)
                ~= log 1/S sum_s w_s                              Burda et al. 2016, eq. 8

    Weights are summed in log space as they come: no more than `rows` codes and their decoded
    images are in memory. For grey images and a Bernoulli decoder p(x|z) is no density of x.

    Args:
      model: has `encode(x)` and `decode(z)`, tfd distributions, and a `prior`.
      images: [N, ...], or batches [B, ...] of them.
      samples: S; rounded up to a multiple of rows / 32.
      rows: codes that are decoded at once, 32 or more.
      jit_compile: by XLA, which is several times as fast; for models XLA does not know, False.

    Raises:
      InputError: there are no images, a number is too small, or a density is missing.
    """
    if samples < 1 or rows < _BATCH:
        raise InputError(
            f"Importance sampling of {samples} draws in blocks of {rows} rows: give at least one "
            f"draw, and {_BATCH} rows."
        )
    draws = min(rows // _BATCH, samples)
    steps = math.ceil(samples / draws)
    program = _program(model, draws, steps, jit_compile)
    found: list[np.ndarray] = []
    for index, (x, count) in enumerate(in_full_batches(images, _BATCH)):
        if not index:
            check_densities(model, tf.constant(x[:1]))
        block = program(tf.constant(x), stateless_seed([seed, index]))
        found.append(np.stack(block)[:, :count].astype(np.float64))
    if not found:
        raise InputError("Importance sampling was asked of no images: give some.")
    log_likelihood, elbo, log_squares = np.concatenate(found, axis=1)
    total = draws * steps
    # ESS = (sum w)^2 / sum w^2
    effective = total * np.exp(2 * log_likelihood - log_squares)
    return ImportanceSampling(log_likelihood, elbo, np.clip(effective, 1.0, total), total)


def _program(model: Any, draws: int, steps: int, jit_compile: bool) -> Any:
    """Returns a compiled function: x, seed -> log mean w, mean log w, log mean w^2, [B] each."""

    @tf.function(jit_compile=jit_compile)
    def estimate(x: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        posterior = model.encode(x)

        def more(step: Any, log_sum: Any, total: Any, log_squares: Any) -> tuple[Any, ...]:
            z = posterior.sample(draws, seed=tf.random.fold_in(seed, step))
            log_likelihood, log_prior = log_joint(model, x, z)
            # log w = log p(x|z) + log p(z) - log q(z|x)
            log_w = log_likelihood + log_prior - posterior.log_prob(z)
            return (
                step + 1,
                _log_add(log_sum, tf.reduce_logsumexp(log_w, axis=0)),
                total + tf.reduce_mean(log_w, axis=0),
                _log_add(log_squares, tf.reduce_logsumexp(2.0 * log_w, axis=0)),
            )

        none = tf.fill([x.shape[0]], -math.inf)
        _, log_sum, total, log_squares = tf.while_loop(
            lambda step, *_: step < steps,
            more,
            (0, none, tf.zeros_like(none), none),
            maximum_iterations=steps,
        )
        log_count = math.log(draws * steps)
        return log_sum - log_count, total / steps, log_squares - log_count

    return estimate


def _log_add(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Returns log(e^a + e^b), also where both are -inf."""
    return tf.reduce_logsumexp(tf.stack([a, b]), axis=0)


def log_likelihood(model: Any, images: Any, **options: Any) -> Measured:
    """Returns E_q(x) log p(x) by `importance_sampling`, whose options these are."""
    return importance_sampling(model, images, **options).measured


def posterior_accuracy(model: Any, images: Any, **options: Any) -> Measured:
    """Returns E_q(x) KL(q(z|x)||p(z|x)) by `importance_sampling`, whose options these are.

    KL(q(z|x)||p(z|x)) = log p(x) - ELBO(x)
    """
    return importance_sampling(model, images, **options).posterior_accuracy
