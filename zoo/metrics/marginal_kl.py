"""KL(q(z)||p(z)), the divergence of the aggregate posterior from the prior."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from zoo.distributions.conditionals import stateless_seed
from zoo.errors import InputError
from zoo.metrics.batches import in_batches
from zoo.metrics.measured import Measured, around
from zoo.metrics.mutual_information import log_aggregate_posterior


def marginal_kl(model: Any, images: Any, seed: int = 0) -> Measured:
    """Estimates the marginal KL with the aggregate posterior of N points.

        KL(q(z)||p(z)) = E_q(z)[ log q(z) - log p(z) ],   log q(z_i) ~= log 1/N sum_j q(z_i|x_j)

    It is RATE minus the information that `mutual_information` estimates. That estimate is at most
    log N, so this value is too high in expectation. With each x_i left out of its mixture it is too
    low. The interval spans both: from the lower end of the one, or 0, to the upper end of the
    other.

    Args:
      model: has `encode(x)`, a tfd distribution, and a `prior` with a density.
      images: [N, ...], or batches [B, ...] of them.
      seed: seed of the codes, one for each image.

    Raises:
      InputError: there are fewer than four images, or the encoder or the prior has no density.
    """
    posteriors, codes, log_own, log_prior = [], [], [], []
    for index, x in enumerate(in_batches(images)):
        posterior = model.encode(x)
        z = posterior.sample(seed=stateless_seed([seed, index]))
        posteriors.append(posterior)
        codes.append(z.numpy())
        log_own.append(posterior.log_prob(z).numpy())
        log_prior.append(model.prior.log_prob(z).numpy())
    n = sum(map(len, codes))
    if n < 4:
        raise InputError(f"There are {n} images for a marginal KL: give four or more.")
    own, prior = (np.concatenate(parts).astype(np.float64) for parts in (log_own, log_prior))
    log_others = log_aggregate_posterior(posteriors, np.concatenate(codes), without_own=True)
    # 1/N sum_j q(z_i|x_j) = (N-1)/N 1/(N-1) sum_{j != i} q(z_i|x_j) + 1/N q(z_i|x_i)
    log_mixture = np.logaddexp(log_others + math.log((n - 1) / n), own - math.log(n))
    # log q(z_i) - log p(z_i)
    above, below = log_mixture - prior, log_others - prior
    value = float(above.mean())
    low = 0.0
    if np.all(np.isfinite(below)):
        low = max(low, around(float(below.mean()), _error(below), n - 1)[0])
    high = around(value, _error(above), n - 1)[1]
    notes = [
        f"too high in expectation; with each code's own posterior left out, too low, it is "
        f"{below.mean():.2f}"
    ]
    # exp(log N - I): the number of posteriors that overlap at a code
    if math.exp(math.log(n) - float((own - log_mixture).mean())) < 2:
        notes.append("the codes of so few points do not overlap: the value may be far too high")
    return Measured(
        value, (min(low, value), high), n, f"aggregate posterior of {n} points", tuple(notes)
    )


def _error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))
