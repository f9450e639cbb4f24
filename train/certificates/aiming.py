"""How far below the tolerances training must aim, for constraints to hold on data it has not seen.

    margin_j = max(0, D_j(held out) - D_j(train)) + 4 standard errors of D_j(held out)

The dual step sees training batches and the critic in play. A constraint is meant to hold on other
data, and whatever a critic has been beaten at: where one estimates D_j, D_j(held out) is what a
critic reads that was fitted on to the model as it stands, if that is more. Standard errors count
for at most half of a positive tolerance: 4 of 500 images exceed a JS of 0.02 or an MMD of 0.002,
which are never negative, and a multiplier that aims below 0 grows for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from train.certificates import held_out
from train.certificates.held_out import Measurements, measure
from zoo import priors
from zoo.bounds.examples import CHOSEN_ON, Examples, Samples
from zoo.bounds.functionals import FUNCTIONALS
from zoo.bounds.of_terms import mmd_of_codes
from zoo.bounds.pairs import Pairs
from zoo.bounds.variational import Candidate, lower_bound
from zoo.critics import Fitter, copy_weights, free, fresh_network
from zoo.metrics.measured import NORMAL_95
from zoo.objectives.objective import Objective

# Two bring the whole interval of the mean below the tolerance; two more are for what one held-out
# set differs from another.
STANDARD_ERRORS = 4
MOST_OF_TOLERANCE = 0.5
LEAST_HALF = 20  # examples that choose between critics, and as many to read their bounds on
_ROUNDS = 10  # of 50 steps, from the weights of the critic in play
_TIMES = 20  # in a run, at records
_FITTED_TO = 5_000  # examples


def interval(total: int, log_every: int) -> int:
    """Returns the steps between two measurements in a run of `total` steps: a multiple of records.

    It does not depend on checkpoints: a short run has margins too.
    """
    return log_every * max(1, total // (_TIMES * log_every))


def of_run(model: Any, dataset: Any, config: Any, neutral: Any) -> Margins | None:
    """Returns what measures the margins of a run; None where no multiplier is learned.

    `neutral` is the model of its first phase, None where it had none.
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
    """Returns the terms of learned constraints that critics fitted on to the model can bound."""
    names = model.lagrangian.constrained_terms
    return [n for n in names if getattr(model.term(n), "divergence", None) in FUNCTIONALS]


def samples_of(model: Any, validation: Iterable[Any], training: Iterable[Any]) -> Samples | None:
    """Returns what critics are fitted to, chosen and read on; None of too few examples."""
    kind = priors.is_data(model.prior), model.condition is not None
    chosen = Examples.of(validation, CHOSEN_ON, *kind)
    half = len(chosen) // 2
    if half < LEAST_HALF:
        return None
    fit = Examples.of(training, _FITTED_TO, *kind)
    return Samples(fit, chosen.part(0, half), chosen.part(half, len(chosen)))


def best_on(
    batches: Iterable[Any], model: Any, neutral: Any, declared: Objective
) -> tuple[np.ndarray, np.ndarray]:
    """Returns what the first phase reaches on held-out batches, and the tolerances' factors."""
    factors = np.array([float(c.at_most.factor) for _, c in declared.learned if c.at_most])
    return measure(neutral, batches, 0, model.lagrangian).constraints, factors


class Margins:
    """Measures margins of one model, again and again while it trains.

    Args:
      model: a LagrangianModel.
      batches: makes the held-out batches: images [B, ...], or (x, z) where z is data.
      samples: what critics are fitted to, chosen and read on; None where no critic is learned
        from, or there are too few examples.
      best: the neutral run's constraints on the same batches, [m, batches], and the factors [m] of
        best in the tolerances; None where no tolerance is relative.
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
        conditional = model.condition is not None
        self._codes = (
            Examples.of(batches(), CHOSEN_ON, conditional=conditional) if self._whole else None
        )
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
        """Returns the standard errors of D_j less what moves its tolerance, [m]."""
        if self._best is None:
            return found.error
        values, factors = self._best
        difference = found.constraints - factors[:, None] * values
        return difference.std(axis=1, ddof=1) / np.sqrt(found.count)

    def _beaten(self, found: Measurements) -> np.ndarray:
        """Returns what critics in play miss of each constraint, [m]."""
        lagrangian = self._model.lagrangian
        gaps = np.zeros(len(lagrangian.terms))
        for index, name in enumerate(lagrangian.terms):
            if name in self._gaps:
                read = self._gaps[name]()
                gaps[index] = max(read - float(found.terms[name].mean()), 0.0)
        # A critic bounds a term from below: that says nothing where it counts with a minus.
        return np.maximum(lagrangian.slopes, 0.0).T @ gaps


def apply(model: Any, margins: np.ndarray) -> None:
    """Makes the dual step aim below the tolerances by these margins [m].

    One that is not finite leaves that constraint's margin as it is.
    """
    model.aim(np.where(np.isfinite(margins), margins, model.margins))


def _whole(model: Any) -> list[int]:
    """Returns the learned constraints on MMD_z alone, which all codes at once tell best."""
    lagrangian = model.lagrangian
    if priors.is_data(model.prior):
        return []
    return [
        j
        for j, column in enumerate(lagrangian.slopes.T)
        if [n for n, c in zip(lagrangian.terms, column, strict=True) if c] == ["MMD_z"]
    ]


class _Gap:
    """A critic fitted on from the one in play, each time it is asked."""

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
        """Returns the lower bound it reads."""
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
