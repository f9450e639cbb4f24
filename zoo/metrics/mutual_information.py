"""The mutual information I_q(x;z) of data and codes: an estimate and bounds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.distributions.conditionals import stateless_seed
from zoo.errors import InputError
from zoo.metrics.batches import BLOCK, in_batches
from zoo.metrics.measured import Measured, around
from zoo.terms import rate


@dataclasses.dataclass(frozen=True)
class MutualInformation:
    """I_q(x;z) in nats, estimated on `points` examples, between its bounds ([U] eq. 13).

        entropy_x - rec_x  <=  I_q(x;z)  <=  rate
        E estimate         <=  I_q(x;z)  <=  E leave_one_out      Poole et al. 2019

    Attributes:
      estimate: at most `ceiling`, and in expectation at most I_q(x;z); clipped to [0, `rate`].
      standard_error: of the estimate, by the spread over examples; without bias.
      points: N, the number of examples.
      rate: RATE = E_q(x) KL(q(z|x)||p(z)), over the same examples.
      rate_error: its standard error.
      rec_x: REC_x = -E_q(x,z) log p(x|z), over the same examples.
      leave_one_out: the estimate without each code's posterior in the mixture: it may exceed log N,
        and is far too high if the codes of N points do not overlap.
      leave_one_out_error: its standard error.
      entropy_x: H_q(x) if given; for data it is unknown.
    """

    estimate: float
    standard_error: float
    points: int
    rate: float
    rate_error: float
    rec_x: float
    leave_one_out: float
    leave_one_out_error: float
    entropy_x: float | None = None

    @property
    def ceiling(self) -> float:
        """log N, the largest possible estimate from N points."""
        return math.log(self.points)

    def within(self, value: float) -> float:
        """Returns `value` clipped to the range of the information, [0, `rate`]."""
        return min(max(value, 0.0), self.rate) if self.rate > 0.0 else 0.0

    @property
    def sharing(self) -> float:
        """The (geometric) mean number of points whose posteriors overlap at a code: exp(log N - I).

        Below 2 the estimate is close to its ceiling, and the information may be far above it.
        """
        return math.exp(self.ceiling - self.estimate)

    @property
    def lower_bound(self) -> float | None:
        """H_q(x) - REC_x if H_q(x) is given, else None; every nat of REC_x lowers it by one."""
        return None if self.entropy_x is None else self.entropy_x - self.rec_x

    @property
    def upper_bound(self) -> float:
        """The smaller of the two upper bounds, rate and leave_one_out."""
        return min(self.rate, self.leave_one_out)

    @property
    def measured(self) -> Measured:
        """The estimate, with an interval from its lower end to the upper end of the upper bound."""
        low = self.within(around(self.estimate, self.standard_error)[0])
        ends = (
            around(self.leave_one_out, self.leave_one_out_error)[1],
            around(self.rate, self.rate_error)[1],
        )
        kind = f"aggregate posterior of {self.points} points"
        notes = [
            f"at most log N = {self.ceiling:.2f} and too low in expectation; RATE, which is "
            f"never below it, is {self.rate:.2f}"
        ]
        if self.sharing < 2:
            notes.append("the estimate is at its ceiling: the information may be far higher")
        return Measured(
            self.estimate,
            (low, max(self.estimate, min(ends))),
            self.points,
            kind,
            tuple(notes),
            self.ceiling,
        )


def mutual_information(
    model: Any, images: Any, seed: int = 0, entropy_x: float | None = None
) -> MutualInformation:
    """Estimates the information of data and codes, with the aggregate posterior of N points.

        I_q(x;z) = E_q(x,z)[ log q(z|x) - log q(z) ]                       [U] eq. 21
                ~= 1/N sum_i [ log q(z_i|x_i) - log 1/N sum_j q(z_i|x_j) ]

    q(z) is the mixture of the N posteriors, without kernels. Because x_i is among the x_j, the
    estimate is at most log N, and unbiased for the information on which of the N points was
    encoded. Each image is encoded once; the N x N densities are computed in blocks.

    Args:
      model: has `encode(x)` and `decode(z)`, tfd distributions, and a `prior`.
      images: [N, ...], or batches [B, ...] of them.
      seed: seed of the codes, one for each image.
      entropy_x: H_q(x) in nats for the lower bound, if known: log N if the data are N distinct
        points and p(x|z) are probabilities; the differential entropy if p(x|z) are densities.

    Raises:
      InputError: there are fewer than two images.
    """
    posteriors, codes, log_own, rates, distortions = [], [], [], [], []
    for index, x in enumerate(in_batches(images)):
        posterior = model.encode(x)
        z = posterior.sample(seed=stateless_seed([seed, index]))
        posteriors.append(posterior)
        codes.append(z.numpy())
        log_own.append(posterior.log_prob(z).numpy())
        rates.append(rate(posterior, model.prior, z, expect=tf.identity).numpy())
        distortions.append(-model.decode(z).log_prob(x).numpy())
    n = sum(map(len, codes))
    if n < 2:
        raise InputError(f"There are {n} images for mutual information: give two or more.")
    own = np.concatenate(log_own).astype(np.float64)
    log_others = log_aggregate_posterior(posteriors, np.concatenate(codes), without_own=True)
    # 1/N sum_j q(z_i|x_j) = (N-1)/N 1/(N-1) sum_{j != i} q(z_i|x_j) + 1/N q(z_i|x_i)
    log_mixture = np.logaddexp(log_others + math.log((n - 1) / n), own - math.log(n))
    # log q(z_i|x_i) - log 1/N sum_j q(z_i|x_j), at most log N but for rounding
    values, left_out = np.minimum(own - log_mixture, math.log(n)), own - log_others
    all_rates = np.concatenate(rates).astype(np.float64)
    found = MutualInformation(
        estimate=float(values.mean()),
        standard_error=float(values.std(ddof=1) / math.sqrt(n)),
        points=n,
        rate=float(all_rates.mean()),
        rate_error=float(all_rates.std(ddof=1) / math.sqrt(n)),
        rec_x=float(np.concatenate(distortions).mean(dtype=np.float64)),
        leave_one_out=float(left_out.mean()),
        leave_one_out_error=_error(left_out),
        entropy_x=entropy_x,
    )
    # Noise may move the estimate out of [0, RATE], the range of the information.
    return dataclasses.replace(found, estimate=found.within(found.estimate))


def _error(values: np.ndarray) -> float:
    """Returns the standard error of the mean; infinite if a value is infinite."""
    finite = bool(np.all(np.isfinite(values)))
    return float(values.std(ddof=1) / math.sqrt(len(values))) if finite else math.inf


def log_aggregate_posterior(
    posteriors: Sequence[Any], z: Any, without_own: bool = False
) -> np.ndarray:
    """Returns the log density of codes under the aggregate posterior.

        log q(z_i) = log 1/N sum_j q(z_i|x_j)
        without_own: log 1/(N-1) sum_{j != i} q(z_i|x_j)

    Args:
      posteriors: tfd distributions q(z|x_j) of batch shapes [B_1], [B_2], ...; N is their sum.
      z: [M, K], the codes.
      without_own: whether to leave out the i-th posterior, from which the i-th code was drawn; M
        is N.

    Returns:
      log q(z_i), float64 [M], nats.
    """
    z = np.asarray(z, np.float32)
    log_sum = np.full(len(z), -np.inf)
    first = 0
    for posterior in posteriors:
        size = int(posterior.batch_shape[0])
        for start in range(0, len(z), BLOCK):
            codes = z[start : start + BLOCK]
            log_q = posterior.log_prob(codes[:, None])  # [codes, posteriors]
            if without_own:
                rows, columns = np.arange(len(codes)) + start, np.arange(size) + first
                log_q = tf.where(rows[:, None] == columns, -math.inf, log_q)
            part = slice(start, start + BLOCK)
            block = tf.reduce_logsumexp(log_q, axis=1).numpy()
            log_sum[part] = np.logaddexp(log_sum[part], block)
        first += size
    return log_sum - math.log(first - without_own)
