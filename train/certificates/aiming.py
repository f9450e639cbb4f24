"""Margins: how far below its tolerance training aims, so that a constraint holds on held-out data.

    margin_j = max(0, D_j(held out) - D_j(train)) + 4 standard errors of D_j(held out)

The dual step sees training batches and the training critic. The constraint should hold on other
data, and for a critic that the encoder or decoder has not learned to beat. Where a critic estimates
D_j, the training critic is therefore trained further against the frozen model, and D_j(held out)
is the larger of the two estimates. The standard errors count for at most half of a positive
tolerance: on 500 images, 4 of them exceed a JS tolerance of 0.02 or an MMD tolerance of 0.002.
Neither is ever negative, so a multiplier that aims below 0 would grow for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from train.certificates import held_out
from train.certificates.held_out import Measurements, measure
from zoo import priors
from zoo.batch import Batch
from zoo.bounds.examples import CHOSEN_ON, Examples, Samples
from zoo.bounds.functionals import FUNCTIONALS
from zoo.bounds.of_terms import mmd_of_codes
from zoo.bounds.pairs import Pairs
from zoo.bounds.variational import Candidate, lower_bound
from zoo.critics import Fitter, copy_weights, free, fresh_network
from zoo.metrics.measured import NORMAL_95
from zoo.objectives.objective import Objective

# Two put the whole interval of the mean below the tolerance; two more allow for the difference
# between one held-out set and another.
STANDARD_ERRORS = 4
MOST_OF_TOLERANCE = 0.5
LEAST_HALF = 20  # examples to select a critic on, and as many again to read its bound on
_ROUNDS = 10  # of 50 steps, from the weights of the training critic
_TIMES = 20  # measurements in a run, each at a record
_FITTED_TO = 5_000  # examples


def interval(total: int, log_every: int) -> int:
    """Returns the steps between two measurements, a multiple of `log_every`, in a run of `total`.

    It does not depend on checkpoints, so that a short run has margins too.
    """
    return log_every * max(1, total // (_TIMES * log_every))


def of_run(model: Any, dataset: Any, config: Any, neutral: Any) -> Margins | None:
    """Returns the `Margins` of a run, or None if it learns no multiplier.

    `neutral` is the model of the run's first phase, or None if it had no first phase.
    """
    if not model.lagrangian.learned:
        return None
    validation = dataset.split("validation").size
    size = held_out.batch_size(validation, config.batch_size)

    def batches(split: str = "validation", size: int = size) -> Any:
        return dataset.batches(
            split, size, config.seed, drop_remainder=False, repeat=False, shuffle=False
        )

    samples = None
    if read_by_critics(model):
        samples = samples_of(model, batches(), batches("train", 250))
    best = None if neutral is None else best_on(batches(), model, neutral, config.declared)
    return Margins(model, batches, samples, best)


def read_by_critics(model: Any) -> list[str]:
    """Returns the terms of learned constraints that a critic trained further can bound."""
    names = model.lagrangian.constrained_terms
    return [n for n in names if getattr(model.term(n), "divergence", None) in FUNCTIONALS]


def samples_of(model: Any, validation: Iterable[Any], training: Iterable[Any]) -> Samples | None:
    """Returns the examples that critics are fitted to, selected on and read on; None if too few."""
    kind = Batch.kind(model)
    chosen = Examples.of(validation, CHOSEN_ON, *kind)
    half = len(chosen) // 2
    if half < LEAST_HALF:
        return None
    fit = Examples.of(training, _FITTED_TO, *kind)
    return Samples(fit, chosen.part(0, half), chosen.part(half, len(chosen)))


def best_on(
    batches: Iterable[Any], model: Any, neutral: Any, declared: Objective
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first phase's constraints on held-out batches, and the factors of best."""
    factors = np.array([float(c.at_most.factor) for _, c in declared.learned if c.at_most])
    return measure(neutral, batches, 0, model.lagrangian).constraints, factors


class Margins:
    """Measures the margins of one model repeatedly while it trains.

    Args:
      model: a LagrangianModel.
      batches: a function that returns the held-out batches: images [B, ...], or (x, z) where z is
        data.
      samples: the examples that critics are fitted to, selected on and read on; None if no learned
        constraint uses a critic, or there are too few examples.
      best: the constraints of the neutral run (the first phase, which measured best) on the same
        batches, [m, batches], and the factors [m] of best in the tolerances; None if no tolerance
        is relative to best.
    """

    def __init__(
        self,
        model: Any,
        batches: Callable[[], Iterable[Any]],
        samples: Samples | None = None,
        best: tuple[np.ndarray, np.ndarray] | None = None,
    ):
        self._model = model
        self._batches = batches
        self._best = best
        self._gaps: dict[str, _Gap] = {}
        self._whole = _whole(model)
        kind = Batch.kind(model)
        self._codes = Examples.of(batches(), CHOSEN_ON, *kind) if self._whole else None
        if samples is not None:
            self._gaps = {name: _Gap(model, name, samples) for name in read_by_critics(model)}

    def __call__(self, reached: np.ndarray) -> np.ndarray:
        """Returns the margins [m], in the constraints' units.

        Args:
          reached: D_j on recent training batches, [m].
        """
        found = measure(self._model, self._batches())
        reached_there = found.mean + self._beaten(found)
        error = self._error(found)
        for j in self._whole:
            assert self._codes is not None
            mmd = mmd_of_codes(self._model, self._codes, 0, self._model.term("MMD_z"))
            if mmd is not None and mmd.interval is not None:
                reached_there[j] = mmd.value
                error[j] = (mmd.interval[1] - mmd.value) / NORMAL_95
        eps = self._model.lagrangian.tolerances
        most = np.where(eps > 0, MOST_OF_TOLERANCE * eps, np.inf)
        return np.maximum(reached_there - reached, 0.0) + np.minimum(STANDARD_ERRORS * error, most)

    def _error(self, found: Measurements) -> np.ndarray:
        """Returns the standard errors of D_j, or of D_j - factor best for a relative one, [m]."""
        if self._best is None:
            return found.error
        values, factors = self._best
        difference = found.constraints - factors[:, None] * values
        return difference.std(axis=1, ddof=1) / np.sqrt(found.count)

    def _beaten(self, found: Measurements) -> np.ndarray:
        """Returns how far the training critics underestimate each constraint, [m]."""
        lagrangian = self._model.lagrangian
        gaps = np.zeros(len(lagrangian.terms))
        for index, name in enumerate(lagrangian.terms):
            if name in self._gaps:
                read = self._gaps[name]()
                gaps[index] = max(read - float(found.terms[name].mean()), 0.0)
        # A critic bounds a term from below, which tells nothing if the coefficient is negative.
        return np.maximum(lagrangian.slopes, 0.0).T @ gaps


def apply(model: Any, margins: np.ndarray) -> None:
    """Makes the dual step aim below the tolerances by the margins [m].

    A margin that is not finite is ignored: that constraint keeps its previous one.
    """
    model.aim(np.where(np.isfinite(margins), margins, model.margins))


def _whole(model: Any) -> list[int]:
    """Returns the learned constraints on MMD_z alone, best estimated from all codes at once."""
    lagrangian = model.lagrangian
    if priors.is_data(model.prior):
        return []
    return [
        j
        for j, column in enumerate(lagrangian.slopes.T)
        if [n for n, c in zip(lagrangian.terms, column, strict=True) if c] == ["MMD_z"]
    ]


class _Gap:
    """At each call, trains a copy of the training critic further and returns its lower bound."""

    def __init__(self, model: Any, name: str, samples: Samples):
        self._term = model.term(name)
        self._pairs = Pairs(model, self._term)
        self._samples = samples
        self._playing = model.critics[name]
        freed = free(self._playing)
        self._copied = freed is not None
        if freed is None:
            choose = self._pairs.samples(samples.choose)
            freed = fresh_network([np.concatenate(p) for p in zip(*choose, strict=True)])
        self._start = freed.get_weights()
        self._pool = self._pairs.pool(samples.fit)
        self._fitter = Fitter(freed, self._pool.draw)

    def __call__(self) -> float:
        """Returns the lower bound of the critic trained further."""
        if self._copied:
            copy_weights(self._playing, self._fitter.network)
        else:
            self._fitter.network.set_weights(self._start)
        self._pool.refresh()
        samples = self._samples
        critic = self._fitter.fit(self._pairs.samples(samples.choose), _ROUNDS)
        choose, read = (self._pairs.ratios(p, critic) for p in (samples.choose, samples.read))
        candidate = Candidate("fitted on", choose, read)
        return lower_bound(self._term.divergence, [candidate], self._term.reverses).value
