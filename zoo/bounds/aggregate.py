"""Upper bounds on D(q(z), p(z)) by q_N, the mixture of N posteriors.

q(z) = E q_N(z) over the choice of the N examples. D is convex, so D(q||p) <= E D(q_N||p). The
densities of q_N and p are known, and the right-hand side is a mean. The bound is loose if the N
posteriors do not overlap, that is, if RATE exceeds log N.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from zoo.bounds.bound import Bound
from zoo.bounds.functionals import functional
from zoo.distributions.conditionals import stateless_seed
from zoo.errors import InputError
from zoo.metrics.measured import around
from zoo.terms.diagonal_normal import diagonal_normal

BLOCKS = 20  # of examples, for the jackknife
_SHARING = 10.0  # posteriors that overlap at a code: with fewer, q_N is far from q(z)
_ROWS = 512  # codes per block of densities


@dataclasses.dataclass(frozen=True)
class Aggregate:
    """The posteriors of N examples, in blocks of nearly equal size, and codes drawn from them.

    Attributes:
      posteriors: tfd distributions, whose batch shapes [n] add up to N.
      codes: [N, K], one z ~ q(z|x_i) for each example, in their order.
      log_own: [N], log q(z_i|x_i).
      prior: p(z), with a density.
    """

    posteriors: tuple[Any, ...]
    codes: np.ndarray
    log_own: np.ndarray
    prior: Any

    @classmethod
    def of(
        cls, model: Any, images: np.ndarray, seed: int = 0, conditions: np.ndarray | None = None
    ) -> Aggregate:
        """Encodes images [N, ...]; `model` has `encode(x)`, and a `prior` with a density.

        With conditions [N, ...] it is `encode(x, c)`.

        Raises:
          InputError: there are fewer images than blocks.
        """
        if len(images) < BLOCKS:
            raise InputError(
                f"There are {len(images)} images for an aggregate posterior: give {BLOCKS} or more."
            )
        posteriors, codes, log_own = [], [], []
        for index, start in enumerate(range(0, len(images), _ROWS)):
            read = [images] if conditions is None else [images, conditions]
            posterior = model.encode(*(part[start : start + _ROWS] for part in read))
            posteriors.append(posterior)
            z = posterior.sample(seed=stateless_seed([seed, index]))
            codes.append(z.numpy())
            log_own.append(np.asarray(posterior.log_prob(z), np.float64))
        parts = np.concatenate(codes), np.concatenate(log_own)
        return cls(tuple(posteriors), *parts, model.prior)

    @property
    def size(self) -> int:
        return len(self.codes)

    @property
    def sizes(self) -> np.ndarray:
        """[BLOCKS], the number of examples in each block."""
        return np.diff(np.linspace(0, self.size, BLOCKS + 1).astype(int))

    @property
    def block(self) -> np.ndarray:
        """[N], the block of each code."""
        return np.repeat(np.arange(BLOCKS), self.sizes)

    def block_densities(self, z: np.ndarray) -> np.ndarray:
        """Returns log sum_{j in block} q(z|x_j), float64 [BLOCKS, M], at codes z [M, K]."""
        starts = np.concatenate([[0], np.cumsum(self.sizes)[:-1]])
        densities = [_log_densities(posterior) for posterior in self.posteriors]
        columns = []
        for start in range(0, len(z), _ROWS):
            rows = z[start : start + _ROWS]
            log_q = np.concatenate([density(rows) for density in densities], axis=1)
            largest = np.maximum.reduceat(log_q, starts, axis=1)
            share = np.exp(log_q - np.repeat(largest, self.sizes, axis=1))
            columns.append(largest + np.log(np.add.reduceat(share, starts, axis=1)))
        return np.concatenate(columns).T

    def log_ratio(self, z: np.ndarray) -> np.ndarray:
        """Returns log q_N(z) - log p(z), [M], nats."""
        log_q = np.logaddexp.reduce(self.block_densities(z), axis=0) - math.log(self.size)
        return log_q - self.log_prior(z)

    def log_prior(self, z: np.ndarray) -> np.ndarray:
        """Returns log p(z), float64 [M]."""
        parts = [
            np.asarray(self.prior.log_prob(z[i : i + 8192]), np.float64)
            for i in range(0, len(z), 8192)
        ]
        return np.concatenate(parts)


def upper_bounds(
    aggregate: Aggregate,
    names: Iterable[tuple[str, bool]],
    draws: int | None = None,
    seed: int = 0,
) -> list[Bound]:
    """Bounds divergences between q(z) and p(z) from above, by convexity.

        D(q||p) <= E D(q_N||p),   D(q_N||p) = E_{q_N}[ at_a(V) ] + E_p[ at_b(V) ],
        V = log q_N(z) - log p(z)

    One code is drawn from each of the N posteriors. The standard error combines the jackknife over
    blocks of examples, each left out of the mixture and of the codes, with the error of the prior's
    samples.

    Args:
      aggregate: the posteriors of N held-out examples.
      names: (divergence, reversed): ("JS", False), or ("KL", True) for KL(p(z)||q(z)).
      draws: M, the number of samples of the prior; N if None.
      seed: seed of the prior's samples.

    Returns:
      A Bound for each name, in nats for KL and JS; infinite if a density ratio overflows.
    """
    n, sizes, block = aggregate.size, aggregate.sizes, aggregate.block
    y = aggregate.prior.sample(draws or n, seed=stateless_seed([seed, BLOCKS])).numpy()
    at_q, at_p = aggregate.block_densities(aggregate.codes), aggregate.block_densities(y)
    prior_q, prior_p = aggregate.log_prior(aggregate.codes), aggregate.log_prior(y)

    def ratios(left_out: int | None) -> tuple[np.ndarray, np.ndarray]:
        kept = np.arange(len(sizes)) != left_out
        log_n = math.log(sizes[kept].sum())
        v_q = np.logaddexp.reduce(at_q[kept], axis=0) - log_n - prior_q
        v_p = np.logaddexp.reduce(at_p[kept], axis=0) - log_n - prior_p
        return v_q[kept[block]], v_p

    readings = [ratios(None), *(ratios(b) for b in range(len(sizes)))]
    # exp(log N - I) with I = E[ log q(z_i|x_i) - log q_N(z_i) ]: number of posteriors at a code
    sharing = math.exp(float(np.mean(readings[0][0] + prior_q - aggregate.log_own)) + math.log(n))
    notes: tuple[str, ...] = ()
    if sharing < _SHARING:
        notes = (
            f"each of the {n} posteriors overlaps {max(sharing - 1.0, 0.0):.2g} others on average, "
            "so that the upper bound is loose",
        )
    return [_jackknife(name, reverse, readings, n, notes) for name, reverse in names]


def _jackknife(
    name: str,
    reverse: bool,
    readings: list[tuple[np.ndarray, np.ndarray]],
    n: int,
    notes: tuple[str, ...],
) -> Bound:
    at_a, at_b = functional(name).of_densities

    def halves(v_q: np.ndarray, v_p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (at_b(-v_q), at_a(-v_p)) if reverse else (at_a(v_q), at_b(v_p))

    of_q, of_p = halves(*readings[0])
    value = float(of_q.mean() + of_p.mean())
    without = np.array([a.mean() + b.mean() for a, b in (halves(*r) for r in readings[1:])])
    blocks = len(without)
    limit = math.inf
    if math.isfinite(value) and np.all(np.isfinite(without)):
        # Efron and Stein 1981: (B-1)/B sum_b (D_-b - mean)^2
        variance = (blocks - 1) / blocks * np.sum((without - without.mean()) ** 2)
        error = math.sqrt(variance + of_p.var(ddof=1) / len(of_p))
        limit = around(value, error, blocks - 1)[1]
    method = f"mixture of {n} held-out posteriors, by convexity"
    return Bound("upper", value, min(limit, functional(name).largest), method, n, notes)


def _log_densities(posterior: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function from codes [M, K] to log q_j(z_i), float64 [M, n], for one batch."""
    normal = diagonal_normal(posterior)
    if normal is None:
        return lambda z: np.asarray(posterior.log_prob(z[:, None]), np.float64)
    mean, scale = (np.asarray(t, np.float64) for t in (normal.mean(), normal.stddev()))
    # Two matrix products are ten times faster; float64 and centring limit cancellation.
    center = mean.mean(axis=0)
    m, precision = mean - center, scale**-2.0
    # log N(z; m, s) = -1/2 [ z^2 . s^-2 - 2 z . (m s^-2) + m^2 . s^-2 ] - log s - 1/2 log 2 pi
    constant = -0.5 * np.sum(m**2 * precision + 2 * np.log(scale) + math.log(2 * math.pi), axis=1)
    linear, quadratic = (m * precision).T, -0.5 * precision.T

    def log_densities(z: np.ndarray) -> np.ndarray:
        e = np.asarray(z, np.float64) - center
        return e @ linear + e**2 @ quadratic + constant

    return log_densities
