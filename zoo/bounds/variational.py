"""Variational lower bounds on a divergence by the best of several log ratios.

    D(a||b) >= E_a[ at_a(V) ] + E_b[ at_b(V) ]                     for any V

A candidate V is a fresh critic, the training critic or a density fitted to codes. One sample
decides which candidate is used, and how it is scaled and clipped; the bound is evaluated on
another sample, where it holds in expectation because V does not depend on it.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np

from zoo.bounds.bound import Bound
from zoo.bounds.functionals import Functional, functional
from zoo.errors import InputError
from zoo.metrics.intervals import MIN_VALUES, mean_interval

# Changes of a ratio: scaled, shifted, and clipped at both ends.
_SCALES = (0.5, 0.7, 0.85, 1.0, 1.2)
_SHIFTS = (-0.4, -0.2, -0.1, 0.0, 0.1, 0.2, 0.4)
_CUTS = (2.0, 4.0, 8.0)
_SHARES = (0.0, 0.003, 0.03, 0.1, 0.3, 0.6, 0.9)  # of b in the mixture that approximates a
_CHOSEN_ON = 2000  # largest number of examples for the choice


@dataclasses.dataclass(frozen=True)
class Ratios:
    """A log ratio V at samples of a and of b, with a row for each of N independent examples.

    Attributes:
      at_a, at_b: [N, R_a] and [N, R_b]; draws in one row may be dependent.
    """

    at_a: np.ndarray
    at_b: np.ndarray

    @classmethod
    def of(cls, at_a: np.ndarray, at_b: np.ndarray) -> Ratios:
        """Returns the ratios from arrays [N] or [N, R]."""
        n = len(at_a)
        a, b = (np.asarray(v, np.float64).reshape(n, -1) for v in (at_a, at_b))
        return cls(a, b)

    def first(self, n: int) -> Ratios:
        return Ratios(self.at_a[:n], self.at_b[:n])


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A log ratio on the examples for the choice and on the examples for the bound.

    Attributes:
      method: the origin of V, in words.
      choose, read: V on two independent sets of examples, independent of what V was fitted to.
      normalised: whether V = log r/b of normalised densities, so that E_b[e^V] = 1.
    """

    method: str
    choose: Ratios
    read: Ratios
    normalised: bool = False

    @property
    def finite(self) -> bool:
        """Whether no ratio is nan; infinite ones are clipped."""
        parts = (v for ratios in (self.choose, self.read) for v in (ratios.at_a, ratios.at_b))
        return not any(np.any(np.isnan(v)) for v in parts)


def lower_bound(name: str, candidates: Sequence[Candidate], reverse: bool = False) -> Bound:
    """Bounds a divergence from below by its variational form.

        D(a||b) >= 1/N sum_i S_i,   S_i = mean_r at_a(V(a_ir)) + mean_r at_b(V(b_ir))

    Nguyen et al. 2010. The S_i of different examples are independent, so that their mean has a
    valid interval even if the draws of one example are dependent.

    Args:
      name: the divergence, as in `zoo.bounds.functionals`.
      candidates: at least one, all on the same examples.
      reverse: whether to bound D(b||a), by -V.

    Raises:
      InputError: there is no candidate, or there are too few examples.
    """
    if not candidates:
        raise InputError(f"A lower bound on {name} needs a log ratio: give a candidate.")
    f = functional(name)
    best: tuple[float, Candidate, _Change] | None = None
    for candidate in candidates:
        if not candidate.finite:
            continue
        choose = candidate.choose.first(_CHOSEN_ON)
        for change in _changes(candidate, reverse):
            value = float(np.mean(_scores(f, change(choose), reverse, change.normalised)))
            if math.isfinite(value) and (best is None or value > best[0]):
                best = value, candidate, change
    if best is None:
        return Bound("lower", -math.inf, -math.inf, "no log ratio is finite", 0)
    _, candidate, change = best
    scores = _scores(f, change(candidate.read), reverse, change.normalised)
    n = len(scores)
    if n < MIN_VALUES:
        raise InputError(
            f"A lower bound on {name} was read on {n} examples: give {MIN_VALUES} or more."
        )
    low = mean_interval(scores)[0]
    return Bound("lower", float(scores.mean()), low, candidate.method, n)


@dataclasses.dataclass(frozen=True)
class _Change:
    """V -> clip( scale V + shift ), or, for densities, V -> log( (1 - share) e^V + share )."""

    scale: float = 1.0
    shift: float = 0.0
    cut: float = math.inf
    share: float | None = None

    @property
    def normalised(self) -> bool:
        return self.share is not None

    def __call__(self, v: Ratios) -> Ratios:
        return Ratios(self._on(v.at_a), self._on(v.at_b))

    def _on(self, v: np.ndarray) -> np.ndarray:
        if self.share is None:
            return np.clip(self.scale * v + self.shift, -self.cut, self.cut)
        if self.share == 0.0:
            return v
        return np.logaddexp(v + math.log1p(-self.share), math.log(self.share))


def _changes(candidate: Candidate, reverse: bool) -> list[_Change]:
    # P_b(e^V > c) <= 1/c: clip at the c that at most 20 samples can be expected to exceed.
    n, draws = candidate.read.at_b.shape
    most = max(math.log(n * draws) - 3.0, 0.5)
    cuts = sorted({min(cut, most) for cut in _CUTS})
    changes = [_Change(*c) for c in itertools.product(_SCALES, _SHIFTS, cuts)]
    if candidate.normalised and not reverse:
        changes += [_Change(share=share) for share in _SHARES]
    return changes


def _scores(f: Functional, v: Ratios, reverse: bool, normalised: bool) -> np.ndarray:
    """Returns S_i, [N]."""
    if reverse:
        of_a, of_b = f.at_b(-v.at_a), f.at_a(-v.at_b)
    else:
        of_a, of_b = f.at_a(v.at_a), f.at_b(v.at_b)
        if normalised and f.normalised_b is not None:
            return of_a.mean(axis=1) + f.normalised_b
    return of_a.mean(axis=1) + of_b.mean(axis=1)
