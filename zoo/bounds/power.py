"""The power of a fresh critic: how often it detects planted differences of known size."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from zoo.bounds.functionals import functional
from zoo.bounds.variational import Candidate, Ratios, lower_bound
from zoo.critics import fresh
from zoo.critics.fresh import Parts
from zoo.errors import InputError

REPEATS = 4
_STEEPEST = 60.0  # largest tilt t, in standard deviations: beyond it one sample has all weight


@dataclasses.dataclass(frozen=True)
class Planted:
    """How often a planted difference of one size was detected.

    Attributes:
      size: D of the planted distribution, in nats for KL and JS.
      told: the number of repeats with a lower limit above 0.
      refuted: the number of repeats with a lower limit above the tolerance.
      repeats: the number of repeats.
    """

    size: float
    told: int
    refuted: int
    repeats: int


def power(
    pool: Parts,
    name: str,
    at_most: float,
    counts: tuple[int, int, int],
    reverse: bool = False,
    seed: int = 0,
    repeats: int = REPEATS,
    rounds: int = fresh.ROUNDS,
) -> list[Planted]:
    """Plants differences of D = eps and 2 eps, and measures them like the critic of a certificate.

        a ~ b e^(t s) / E_b e^(t s),   t such that D(a||b) = eps or 2 eps,
        s(x) a random direction of the sample space, in standard deviations

    Args:
      pool: samples of b, [P, ...] for each part; give three times as many as `counts` needs, so
        that repeats differ.
      name: the divergence.
      at_most: eps, above 0.
      counts: the numbers of samples of a to which the certificate's critic was fitted, and on which
        it was chosen and read.
      reverse: whether to use D(b||a).
      seed: seed of the directions, samples and critics.
      repeats: the number of repeats for each size.
      rounds: the largest number of rounds for fitting a critic.

    Returns:
      One `Planted` for eps and one for 2 eps, without sizes that no tilt of the pool reaches.

    Raises:
      InputError: the tolerance is not positive, or the pool is too small.
    """
    if not at_most > 0:
        raise InputError(f"The tolerance for a critic's power is {at_most!r}: give one above 0.")
    if len(pool[0]) < 100:
        raise InputError(
            f"The pool for a critic's power has {len(pool[0])}: give 100 samples or more."
        )
    found = []
    for index, size in enumerate((at_most, 2.0 * at_most)):
        limits = [
            _limit(pool, name, size, counts, reverse, seed + 1000 * index + repeat, rounds)
            for repeat in range(repeats)
        ]
        if all(limit is not None for limit in limits):
            told = sum(limit > 0.0 for limit in limits if limit is not None)
            refuted = sum(limit > at_most for limit in limits if limit is not None)
            found.append(Planted(size, told, refuted, repeats))
    return found


def _limit(
    pool: Parts,
    name: str,
    size: float,
    counts: tuple[int, int, int],
    reverse: bool,
    seed: int,
    rounds: int,
) -> float | None:
    """Returns the lower limit for one planted difference; None if no tilt has this size."""
    random = np.random.default_rng(seed)
    weights = _tilt(pool, name, size, reverse, random)
    if weights is None:
        return None
    order = random.permutation(len(weights))
    # Each part of the pool has one purpose; a and b use one half each.
    shares = np.cumsum(counts) / sum(counts)
    a, b = np.array_split(order, 2)
    fit, choose, read = (
        (_drawn(pool, rows_a, weights, n, random), _rows(pool, rows_b))
        for rows_a, rows_b, n in zip(_parts(a, shares), _parts(b, shares), counts, strict=True)
    )
    network = fresh.fresh_network(
        [np.concatenate(parts) for parts in zip(*choose, strict=True)], seed
    )
    critic = fresh.fit(network, _batches(*fit), choose, seed, rounds)

    def ratios(pair: tuple[Parts, Parts]) -> Ratios:
        at_a, at_b = (critic(parts) for parts in pair)
        n = min(len(at_a), len(at_b))
        return Ratios.of(at_a[:n], at_b[:n])

    candidate = Candidate("fresh critic", ratios(choose), ratios(read))
    return lower_bound(name, [candidate], reverse).limit


def _tilt(
    pool: Parts, name: str, size: float, reverse: bool, random: np.random.Generator
) -> np.ndarray | None:
    """Returns weights of mean 1 on the pool, such that the divergence from the pool is `size`."""
    flat = np.concatenate([np.reshape(part, (len(part), -1)) for part in pool], axis=1)
    s = flat @ random.normal(size=flat.shape[1])
    s = (s - s.mean()) / (s.std() + 1e-12)
    at_a, at_b = functional(name).of_densities

    def divergence(t: float) -> tuple[float, np.ndarray]:
        v = t * s
        v = v - (np.logaddexp.reduce(v) - math.log(len(v)))
        w = np.exp(v)
        if reverse:
            return float(np.mean(at_a(-v)) + np.mean(w * at_b(-v))), w
        return float(np.mean(w * at_a(v)) + np.mean(at_b(v))), w

    low, high = 0.0, 1e-3
    while divergence(high)[0] < size:
        high *= 1.5
        if high > _STEEPEST:
            return None
    for _ in range(50):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if divergence(middle)[0] < size else (low, middle)
    return divergence(high)[1]


def _parts(rows: np.ndarray, shares: np.ndarray) -> list[np.ndarray]:
    ends = (shares[:-1] * len(rows)).astype(int)
    return np.split(rows, np.maximum(ends, 1))


def _rows(pool: Parts, rows: np.ndarray) -> Parts:
    return tuple(part[rows] for part in pool)


def _drawn(
    pool: Parts, rows: np.ndarray, weights: np.ndarray, n: int, random: np.random.Generator
) -> Parts:
    """Returns n samples of the tilted distribution from these rows."""
    w = weights[rows]
    return _rows(pool, random.choice(rows, size=n, p=w / w.sum()))


def _batches(a: Parts, b: Parts, size: int = 256) -> fresh.Draw:
    tensors = [[tf.constant(part) for part in parts] for parts in (a, b)]

    def draw(seed: tf.Tensor) -> tuple[Parts, Parts]:
        fold = tf.random.experimental.stateless_fold_in
        picked = []
        for index, parts in enumerate(tensors):
            n = tf.shape(parts[0])[0]
            rows = tf.random.stateless_uniform([size], fold(seed, index), 0, n, tf.int32)
            picked.append(tuple(tf.gather(part, rows) for part in parts))
        return picked[0], picked[1]

    return draw


def sentence(planted: Sequence[Planted], at_most: float) -> str:
    """Returns the result of the repeats as a sentence."""
    if not planted:
        return "No planted difference of the tolerance's size could be made"
    parts = [
        f"of D = {p.size:.3g} it told {p.told} of {p.repeats} from no difference and refuted "
        f"{p.refuted}"
        for p in planted
    ]
    return f"Of planted differences, {'; '.join(parts)} (tolerance {at_most:.3g})"
