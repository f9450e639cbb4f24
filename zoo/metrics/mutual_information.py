"""The information I_q(x;z) that codes carry about the data: an estimate and its bounds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.conditionals import stateless_seed
from zoo.errors import InputError
from zoo.terms import rate

_BLOCK = 256  # points and posteriors that are compared at once


@dataclasses.dataclass(frozen=True)
class MutualInformation:
    """I_q(x;z) in nats, estimated on `points` examples, between its bounds ([U] eq. 13).

        entropy_x - rec_x  <=  I_q(x;z)  <=  rate

    Attributes:
      estimate: at most `ceiling`, and in expectation at most I_q(x;z).
      standard_error: of the estimate, by the spread over examples; its bias is not in it.
      points: N, the number of examples.
      rate: RATE = E_q(x) KL(q(z|x)||p(z)), over the same examples.
      rec_x: REC_x = -E_q(x,z) log p(x|z), likewise.
      entropy_x: H_q(x) where it was given; for data it is unknown.
    """

    estimate: float
    standard_error: float
    points: int
    rate: float
    rec_x: float
    entropy_x: float | None = None

    @property
    def ceiling(self) -> float:
        """log N, which no estimate from N points exceeds."""
        return math.log(self.points)

    @property
    def sharing(self) -> float:
        """Of how many of the N points a code may come, on (geometric) average: exp(log N - I).

        Below 2 the estimate is about its ceiling, and the information may be far above it.
        """
        return math.exp(self.ceiling - self.estimate)

    @property
    def lower_bound(self) -> float | None:
        """H_q(x) - REC_x, where H_q(x) was given; REC_x moves it nat for nat."""
        return None if self.entropy_x is None else self.entropy_x - self.rec_x


def mutual_information(
    model: Any, images: Any, seed: int = 0, entropy_x: float | None = None
) -> MutualInformation:
    """Estimates the information between data and codes, with the aggregate posterior of N points.

        I_q(x;z) = E_q(x,z)[ log q(z|x) - log q(z) ]                       [U] eq. 21
                ~= 1/N sum_i [ log q(z_i|x_i) - log 1/N sum_j q(z_i|x_j) ]

    q(z) is the mixture of the N posteriors, with no kernel added. As x_i is among the x_j, the
    estimate is at most log N, and unbiased for the information about which of the N points was
    encoded. Each image is encoded once; the N x N densities are taken in blocks.

    Args:
      model: has `encode(x)` and `decode(z)`, tfd distributions, and a `prior`.
      images: [N, ...], or batches [B, ...] of them.
      seed: of the codes, one for each image.
      entropy_x: H_q(x) in nats for the lower bound, where it is known: log N if the data are N
        distinct points and p(x|z) gives probabilities; differential if it gives densities.

    Raises:
      InputError: there are fewer than two images.
    """
    posteriors, codes, log_own, rates, distortions = [], [], [], [], []
    for index, x in enumerate(_batches(images)):
        posterior = model.encode(x)
        z = posterior.sample(seed=stateless_seed([seed, index]))
        posteriors.append(posterior)
        codes.append(z.numpy())
        log_own.append(posterior.log_prob(z).numpy())
        rates.append(rate(posterior, model.prior, z, expect=tf.identity).numpy())
        distortions.append(-model.decode(z).log_prob(x).numpy())
    n = sum(map(len, codes))
    if n < 2:
        raise InputError(f"Information was asked of {n} images: give two or more.")
    log_mixture = log_aggregate_posterior(posteriors, np.concatenate(codes))
    # log q(z_i|x_i) - log 1/N sum_j q(z_i|x_j), at most log N but for rounding
    values = np.minimum(np.concatenate(log_own) - log_mixture, math.log(n))
    return MutualInformation(
        estimate=float(values.mean()),
        standard_error=float(values.std(ddof=1) / math.sqrt(n)),
        points=n,
        rate=float(np.concatenate(rates).mean(dtype=np.float64)),
        rec_x=float(np.concatenate(distortions).mean(dtype=np.float64)),
        entropy_x=entropy_x,
    )


def log_aggregate_posterior(posteriors: Sequence[Any], z: Any) -> np.ndarray:
    """Returns the log density of codes under the aggregate posterior.

        log q(z_i) = log 1/N sum_j q(z_i|x_j)

    Args:
      posteriors: tfd distributions q(z|x_j) of batch shapes [B_1], [B_2], ...; N is their sum.
      z: [M, K], the codes.

    Returns:
      log q(z_i), float64 [M], nats.
    """
    z = np.asarray(z, np.float32)
    log_sum = np.full(len(z), -np.inf)
    for posterior in posteriors:
        for start in range(0, len(z), _BLOCK):
            part = slice(start, start + _BLOCK)
            log_q = posterior.log_prob(z[part, None])  # [codes, posteriors]
            block = tf.reduce_logsumexp(log_q, axis=1).numpy()
            log_sum[part] = np.logaddexp(log_sum[part], block)
    return log_sum - math.log(sum(int(p.batch_shape[0]) for p in posteriors))


def _batches(images: Any) -> Iterable[Any]:
    """Returns batches of images, given as such or as one array."""
    if not hasattr(images, "shape"):
        return images
    return (images[start : start + _BLOCK] for start in range(0, len(images), _BLOCK))
