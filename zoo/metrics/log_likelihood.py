"""log p(x) by importance sampling from the encoder, and the error of the encoder's posterior."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.distributions.conditionals import stateless_seed
from zoo.errors import InputError
from zoo.metrics import log_mean
from zoo.metrics.batches import in_full_batches
from zoo.metrics.log_joint import check_densities, log_joint
from zoo.metrics.measured import Measured

_BATCH = 32  # images per batch


@dataclasses.dataclass(frozen=True)
class ImportanceSampling:
    """The results of S draws from q(z|x) for each of N examples, in nats.

    Attributes:
      log_likelihood: log 1/S sum_s w_s, [N]; in expectation at most log p(x).
      elbo: 1/S sum_s log w_s, [N], with the same draws, so never above log_likelihood.
      effective: (sum w)^2 / sum w^2, [N], between 1 and S.
      samples: S.
      rises: [3, N], the increases of log_likelihood with the last doublings of the draws, from
        `zoo.metrics.log_mean.rises`.
    """

    log_likelihood: np.ndarray
    elbo: np.ndarray
    effective: np.ndarray
    samples: int
    rises: np.ndarray

    @functools.cached_property
    def bias(self) -> log_mean.Bias:
        """The downward bias of the mean of log_likelihood, and the reach of the interval."""
        return log_mean.bias(self.rises, self.effective, self.samples)

    @property
    def measured(self) -> Measured:
        """The mean log likelihood; a lower bound if its bias is unknown."""
        kind = f"importance sampling, {self.samples} draws from q(z|x)"
        return self.bias.measured(self.log_likelihood, kind)

    @property
    def posterior_accuracy(self) -> Measured:
        """E_q(x) KL(q(z|x)||p(z|x)) = E_q(x)[ log p(x) - ELBO(x) ]; 0 for the true posterior.

        The mean of `elbo` is unbiased, so that this value has the bias of `log_likelihood`.
        """
        kind = f"log p(x) - ELBO(x), both of {self.samples} draws from q(z|x)"
        return self.bias.measured(self.log_likelihood - self.elbo, kind)


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

    It is too low in expectation. `zoo.metrics.log_mean.bias` estimates the bias if the weights
    allow it; otherwise the result is a lower bound. Weights are summed in log space block by block:
    at most `rows` codes and their decoded images are in memory. For grey images and a Bernoulli
    decoder, p(x|z) is not a density of x.

    Args:
      model: has `encode(x)` and `decode(z)`, tfd distributions, and a `prior`.
      images: [N, ...], or batches [B, ...] of them.
      samples: S; rounded up to a multiple of rows / 32.
      rows: the number of codes per block, 32 or more.
      jit_compile: whether XLA compiles it, several times faster; use False for models that XLA
        cannot compile.

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
    total = draws * steps
    program = _program(model, draws, steps, jit_compile)
    found: list[np.ndarray] = []
    for index, (x, count) in enumerate(in_full_batches(images, _BATCH)):
        if not index:
            check_densities(model, tf.constant(x[:1]))
        *means, log_sums = program(tf.constant(x), stateless_seed([seed, index]))
        of_batch = np.concatenate([np.stack(means), log_mean.rises(log_sums, total)])
        found.append(of_batch[:, :count].astype(np.float64))
    if not found:
        raise InputError("There are no images for importance sampling: give some.")
    log_likelihood, elbo, log_squares, *rises = np.concatenate(found, axis=1)
    # ESS = (sum w)^2 / sum w^2
    effective = np.clip(total * np.exp(2 * log_likelihood - log_squares), 1.0, total)
    return ImportanceSampling(log_likelihood, elbo, effective, total, np.stack(rises))


def _program(model: Any, draws: int, steps: int, jit_compile: bool) -> Any:
    """Returns a compiled function from x and seed to statistics of the weights.

    They are log mean w, mean log w and log mean w^2, [B] each, and the log of the sum of w in each
    block of draws, [8, B].
    """

    @tf.function(jit_compile=jit_compile)
    def estimate(x: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
        posterior = model.encode(x)

        def more(step: Any, log_sums: Any, total: Any, log_squares: Any) -> tuple[Any, ...]:
            z = posterior.sample(draws, seed=tf.random.fold_in(seed, step))
            log_likelihood, log_prior = log_joint(model, x, z)
            # log w = log p(x|z) + log p(z) - log q(z|x)
            log_w = log_likelihood + log_prior - posterior.log_prob(z)
            # draw s is in block s mod 8
            block = (step * draws + tf.range(draws)) % log_mean.BLOCKS
            inside = tf.equal(block[:, tf.newaxis], tf.range(log_mean.BLOCKS))[:, :, tf.newaxis]
            of_blocks = tf.where(inside, log_w[:, tf.newaxis], -math.inf)
            return (
                step + 1,
                _log_add(log_sums, tf.reduce_logsumexp(of_blocks, axis=0)),
                total + tf.reduce_mean(log_w, axis=0),
                _log_add(log_squares, tf.reduce_logsumexp(2.0 * log_w, axis=0)),
            )

        none = tf.fill([x.shape[0]], -math.inf)
        _, log_sums, total, log_squares = tf.while_loop(
            lambda step, *_: step < steps,
            more,
            (0, tf.fill([log_mean.BLOCKS, x.shape[0]], -math.inf), tf.zeros_like(none), none),
            maximum_iterations=steps,
        )
        log_count = math.log(draws * steps)
        log_mean_w = tf.reduce_logsumexp(log_sums, axis=0) - log_count
        return log_mean_w, total / steps, log_squares - log_count, log_sums

    return estimate


def _log_add(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Returns log(e^a + e^b), also if both are -inf."""
    return tf.reduce_logsumexp(tf.stack([a, b]), axis=0)


def log_likelihood(model: Any, images: Any, **options: Any) -> Measured:
    """Returns E_q(x) log p(x) by `importance_sampling`, with its options."""
    return importance_sampling(model, images, **options).measured


def posterior_accuracy(model: Any, images: Any, **options: Any) -> Measured:
    """Returns E_q(x) KL(q(z|x)||p(z|x)) by `importance_sampling`, with its options.

    KL(q(z|x)||p(z|x)) = log p(x) - ELBO(x)
    """
    return importance_sampling(model, images, **options).posterior_accuracy
