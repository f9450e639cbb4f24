"""Lower and upper bounds on the terms of a trained model."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from zoo import priors
from zoo.bounds import power as planting
from zoo.bounds.aggregate import BLOCKS, Aggregate, upper_bounds
from zoo.bounds.bound import Bound
from zoo.bounds.examples import READ_ON, Examples, Samples
from zoo.bounds.functionals import FUNCTIONALS
from zoo.bounds.moments import MomentMatched
from zoo.bounds.pairs import Pairs
from zoo.bounds.power import Planted
from zoo.bounds.transport import sw_lower, sw_upper, w1_lower, w1_upper
from zoo.bounds.variational import Candidate, lower_bound
from zoo.critics import fresh
from zoo.metrics.full_mmd import full_mmd
from zoo.metrics.measured import Measured
from zoo.metrics.over_classes import averaged
from zoo.terms.critic import CriticTerm, Pair
from zoo.terms.mmd import MMD
from zoo.terms.sliced_wasserstein import SlicedWasserstein
from zoo.terms.wasserstein import Wasserstein

MIXED = 5_000  # largest number of training posteriors in the mixture that approximates q(z)
_POOLS = 2  # draws for each training example, for planted differences


@dataclasses.dataclass(frozen=True)
class TermBounds:
    """The bounds on one term; None for a side without a bound."""

    lower: Bound | None = None
    upper: Bound | None = None


class Bounds:
    """Bounds on the terms of a frozen model.

    Lower bounds are variational (`zoo.bounds.variational`): by a fresh critic, by the training
    critic, by the training critic fitted further without spectral normalisation, and for z also by
    the normal with the moments of the codes and by the mixture of training posteriors. Upper bounds
    on z are those of `zoo.bounds.aggregate`; on x and (x,z) there is none, because q(x) has no
    density. Optimal transport distances have both on every space (`zoo.bounds.transport`).

    With a condition c, a term is the divergence of q(z,c) from p(z)q(c), which critics read. The
    divergence of q(z) from p(z) is not larger: so its lower bounds, such as by moments, still hold,
    but its upper bounds do not. Then only MMD within classes has an upper bound.

    Args:
      model: a LagrangianModel.
      samples: the examples to fit, to choose and to read.
      seed: seed of all noise.
      rounds: the largest number of rounds of 50 steps for fitting a critic.
    """

    def __init__(self, model: Any, samples: Samples, seed: int = 0, rounds: int = fresh.ROUNDS):
        self._model = model
        self._samples = samples
        self._seed = seed
        self._rounds = rounds

    def of(self, name: str) -> TermBounds:
        """Returns the bounds on the trained term called `name`."""
        term = self._model.term(name)
        if isinstance(term, CriticTerm) and term.divergence in FUNCTIONALS:
            return TermBounds(self._lower(name, term), self._upper(term.divergence, term))
        if isinstance(term, Wasserstein):
            return self._wasserstein(term)
        if isinstance(term, SlicedWasserstein):
            q, p = self._flat(self._samples.held_out, term)
            return TermBounds(
                sw_lower(q, p, seed=self._seed), sw_upper(q, p, term.projections, seed=self._seed)
            )
        if isinstance(term, MMD) and term.space == "z":
            return self._mmd(term)
        if name == "Dz_qp" and self._explicit:
            # Stein's method has no critic, but its term is KL(q(z)||p(z)).
            return TermBounds(lower_bound("KL", self._densities), self._upper("KL", None))
        return TermBounds()

    def power(self, name: str, at_most: float, repeats: int = planting.REPEATS) -> list[Planted]:
        """Returns how often a fresh critic detected planted differences of eps and 2 eps.

        It uses `zoo.bounds.power` with as many examples as the bounds on the term `name`.
        """
        term, samples = self._model.term(name), self._samples
        pairs = Pairs(self._model, term, self._seed)
        drawn = [pairs.samples(samples.fit, draw)[1] for draw in range(_POOLS)]
        pool = tuple(np.concatenate(parts) for parts in zip(*drawn, strict=True))
        counts = len(samples.fit), len(samples.choose), len(samples.read)
        return planting.power(
            pool, term.divergence, at_most, counts, term.reverses, self._seed, repeats, self._rounds
        )

    def _wasserstein(self, term: Wasserstein) -> TermBounds:
        samples = self._samples
        fit, choose, read = (
            self._flat(part, term) for part in (samples.fit, samples.choose, samples.read)
        )
        lower = w1_lower(fit, choose, read, seed=self._seed)
        if self._conditional:
            return TermBounds(lower)
        return TermBounds(lower, w1_upper(*self._flat(samples.held_out, term), seed=self._seed))

    def _flat(self, examples: Examples, term: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns samples of q and of p on the term's space, [N, D] each."""
        # The last part, the condition, is left out.
        q, p = (
            np.concatenate(
                [np.reshape(part, (len(part), -1)) for part in parts[: len(term.space)]], axis=1
            )
            for parts in Pairs(self._model, _On(term.space), self._seed).samples(examples)
        )
        return q, p

    @property
    def _conditional(self) -> bool:
        return getattr(self._model, "condition", None) is not None

    def _mmd(self, term: MMD) -> TermBounds:
        found = mmd_of_codes(self._model, self._samples.held_out, self._seed, term)
        if found is None or found.interval is None:
            return TermBounds()
        low, high = found.interval
        return TermBounds(
            Bound("lower", found.value, low, found.estimator, found.size),
            Bound("upper", found.value, high, found.estimator, found.size),
        )

    def _upper(self, divergence: str, term: CriticTerm | None) -> Bound | None:
        space, reverses = (term.space, term.reverses) if term else ("z", False)
        if space != "z" or not self._explicit or self._conditional:
            return None
        if len(self._samples.held_out) < BLOCKS:
            return None
        return upper_bounds(self._aggregate, [(divergence, reverses)], seed=self._seed)[0]

    def _lower(self, name: str, term: CriticTerm) -> Bound:
        playing = self._model.critics[name]
        if getattr(term, "adaptive_contrast", False):
            # Its critic compares (x, e) with noise, but the bound is on the rate.
            plain: dict[str, Any] = {"adaptive_contrast": False}
            term, playing = dataclasses.replace(term, **plain), None
        samples, pairs = self._samples, Pairs(self._model, term, self._seed)
        found = [
            Candidate(
                method,
                pairs.ratios(samples.choose, of),
                pairs.ratios(samples.read, of),
            )
            for method, of in self._critics(playing, pairs).items()
        ]
        if term.space == "z" and self._explicit:
            found += self._densities
        return lower_bound(term.divergence, found, term.reverses)

    def _critics(self, playing: Any, pairs: Pairs) -> dict[str, Any]:
        """Returns the log ratios of critics, by a description of the critic."""
        samples = self._samples
        choose = pairs.samples(samples.choose)
        both = [np.concatenate(parts) for parts in zip(*choose, strict=True)]
        draw = pairs.draw(samples.fit)

        def fit(network: Any) -> Any:
            return fresh.fit(network, draw, choose, self._seed, self._rounds)

        n = len(samples.fit)
        found = {f"fresh critic of {n} examples": fit(fresh.fresh_network(both, self._seed))}
        if playing is not None:
            found["the critic in play"] = functools.partial(fresh.logits, playing)
            freed = fresh.free(playing)
            if freed is not None:
                found[f"the critic in play, fitted on to {n} examples"] = fit(freed)
        return found

    @property
    def _explicit(self) -> bool:
        """Whether q(z|x) and p(z) are densities of vectors."""
        prior = self._model.prior
        return bool(self._model.encoder.has_density) and not priors.is_data(prior)

    @functools.cached_property
    def _aggregate(self) -> Aggregate:
        held_out = self._samples.held_out.part(0, READ_ON)
        return Aggregate.of(self._model, held_out.x, self._seed, held_out.c)

    @functools.cached_property
    def _densities(self) -> list[Candidate]:
        """The log ratios of densities fitted to training codes to p(z)."""
        samples, seed = self._samples, self._seed
        if len(samples.fit) < BLOCKS:
            return []
        fit = samples.fit.part(0, MIXED)
        mixture = Aggregate.of(self._model, fit.x, seed + 1, fit.c)
        normal = MomentMatched(mixture.codes)
        found = []
        pairs = Pairs(self._model, _On("z"), seed)
        for method, of in (
            (
                f"normal with the moments of {mixture.size} codes",
                lambda parts: normal.log_prob(parts[0]) - mixture.log_prior(parts[0]),
            ),
            (
                f"mixture of {mixture.size} training posteriors",
                lambda parts: mixture.log_ratio(parts[0]),
            ),
        ):
            choose, read = (pairs.ratios(part, of, 1) for part in (samples.choose, samples.read))
            found.append(Candidate(method, choose, read, normalised=True))
        return found


def mmd_of_codes(model: Any, examples: Examples, seed: int, term: MMD) -> Measured | None:
    """Returns MMD_z by the U-statistic of all codes; None if z is a data set.

    For a model with a condition it is the mean of MMD within classes; None if a class has fewer
    than 4 examples.

    Batches of n out of N codes have sqrt(N / n) times its noise.
    """
    if priors.is_data(model.prior) or len(examples) < 4:
        return None
    q, _ = Pairs(model, _On("z"), seed).samples(examples)
    options = {option: getattr(term, option) for option in ("kernel", "bandwidth", "scales")}
    if examples.c is None:
        return full_mmd(q[0], model.prior, **options, seed=seed)
    classes, counts = np.unique(examples.c, return_counts=True)
    if counts.min() < 4:
        return None
    rows = [full_mmd(q[0][examples.c == c], model.prior, **options, seed=seed) for c in classes]
    return averaged((counts / len(examples)).tolist(), rows)


@dataclasses.dataclass(frozen=True)
class _On:
    """The interface of a term that `Pairs` needs, for q and p on a space."""

    space: str

    def pair(self, joints: Any) -> Any:
        q, p = joints.samples(self.space)
        return Pair(q, p, joints.expect_q, joints.expect_p, False, True)
