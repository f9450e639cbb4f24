"""Options and results of annealed importance sampling."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from zoo.errors import InputError, unknown
from zoo.metrics import log_mean
from zoo.metrics.measured import Measured


@dataclasses.dataclass(frozen=True)
class Annealing:
    """The options of chains that are annealed to the posterior.

    Attributes:
      chains: the number of chains for each image.
      temperatures: T, steps from beta = 0 to 1: sigmoidal, as in Wu et al. 2017, appendix.
      leapfrog: leapfrog steps of each Hamiltonian move.
      start: "posterior", q(z|x), which is close to p(z|x), or "prior", p(z), which needs no
        encoder.
      jit_compile: whether XLA compiles the chains.
    """

    chains: int = 8
    temperatures: int = 200
    leapfrog: int = 5
    start: str = "posterior"
    jit_compile: bool = True

    def __post_init__(self) -> None:
        if self.start not in ("posterior", "prior"):
            raise unknown("start of annealing", self.start, ("posterior", "prior"))
        for name in ("chains", "temperatures", "leapfrog"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)!r}: give 1 or more.")

    @property
    def betas(self) -> np.ndarray:
        """The inverse temperatures 0 = beta_0 < ... < beta_T = 1."""
        s = 1.0 / (1.0 + np.exp(-4.0 * np.linspace(-1.0, 1.0, self.temperatures + 1)))
        return ((s - s[0]) / (s[-1] - s[0])).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Annealed:
    """The results of annealed chains for each of N examples, in nats.

    Attributes:
      log_likelihood: [N]; in expectation at most log p(x) forwards, at least log p(x) in reverse.
      effective: [N], the effective number of chains.
      acceptance: the mean over all moves.
      annealing: the options.
      rises: [3, N], the increases of log_likelihood (in reverse, of -log_likelihood) with the last
        doublings of the chains, from `zoo.metrics.log_mean.rises`.
    """

    log_likelihood: np.ndarray
    effective: np.ndarray
    acceptance: float
    annealing: Annealing
    rises: np.ndarray

    @functools.cached_property
    def bias(self) -> log_mean.Bias:
        """The downward bias of the mean of log_likelihood, forwards."""
        return log_mean.bias(self.rises, self.effective, self.annealing.chains, "chain")

    @property
    def measured(self) -> Measured:
        """The mean log likelihood, forwards; a lower bound with fewer than 64 chains."""
        return self.bias.measured(self.log_likelihood, self._kind, self._notes)

    @property
    def mean(self) -> Measured:
        """The mean of `log_likelihood`, with an interval for noise but not for bias."""
        return Measured.of_mean(self.log_likelihood, self._kind, self._notes)

    @property
    def _kind(self) -> str:
        a = self.annealing
        return (
            f"annealed importance sampling from the {a.start}, {a.chains} chains, "
            f"{a.temperatures} temperatures"
        )

    @property
    def _notes(self) -> tuple[str, ...]:
        a = self.annealing
        notes = []
        if not 0.4 < self.acceptance < 0.9:
            notes.append(f"{self.acceptance:.0%} of the moves were accepted, not about 65%")
        if a.chains > 1 and np.median(self.effective) < 0.25 * a.chains:
            notes.append(
                f"the effective number of chains is {np.median(self.effective):.1f} of {a.chains}: "
                "take more temperatures"
            )
        return tuple(notes)


@dataclasses.dataclass(frozen=True)
class Bracket:
    """A lower and an upper bound on E_p(x) log p(x) of simulated images.

    Attributes:
      lower: forwards, to the posterior; a lower bound, so its interval has no upper end.
      upper: in reverse, from the z that each image was decoded from, an exact draw of its
        posterior; an upper bound, so its interval has no lower end.
    """

    lower: Measured
    upper: Measured

    @property
    def gap(self) -> float:
        """upper - lower, the largest possible error of each bound."""
        return self.upper.value - self.lower.value
