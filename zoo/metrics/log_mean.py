"""The bias of the log of a mean of importance weights."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np

from zoo.metrics.measured import Measured

BLOCKS = 8  # of draws, for which sums of weights are stored
# Below any of these the bias is not estimated.
FEW = 10  # effective draws: with fewer, a few large weights dominate
DRAWS = 64  # fewer seldom include rare large weights
IMAGES = 30  # with fewer, the rate is too noisy
RATE = 0.6  # r of a bias S^-r; without noise 0.5 would be enough
_ROUNDING = 1e-4  # nats: smaller rises are float32 rounding
_WORTH_A_NOTE = 1e-3  # nats
_ADVICE = {
    "draw": "take more draws, or annealed importance sampling",
    "chain": "take more temperatures",
}


@dataclasses.dataclass(frozen=True)
class Bias:
    """The expected downward bias of the mean over N examples of log 1/S sum_s w_s.

    Attributes:
      value: nats; None if it cannot be estimated.
      reach: [N], twice the bias of each example, at the slowest rate that the noise allows; the
        interval's upper end is computed from the estimates + reach. None if `value` is.
      why: the reason if `value` is None, in words.
    """

    value: float | None
    reach: np.ndarray | None = None
    why: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """Caveats for the reader; none if the bias is below a thousandth of a nat."""
        if self.value is None:
            return (f"log p(x) is underestimated, by an unknown amount: {self.why}",)
        if self.value < _WORTH_A_NOTE:
            return ()
        return (
            f"log p(x) is underestimated by about {self.value:.2g} nats; the interval has room "
            "for twice that",
        )

    def measured(self, values: np.ndarray, estimator: str, notes: tuple[str, ...] = ()) -> Measured:
        """Returns the mean of values with this bias; a lower bound if the bias is unknown.

        Args:
          values: [N], the estimates, or the estimates minus unbiased values.
          estimator: a description of the estimator.
          notes: caveats other than the bias.
        """
        found = Measured.of_mean(values, estimator, (*self.notes, *notes))
        if found.interval is None:
            return found
        if self.reach is None:
            return found.at_least()
        raised = Measured.of_mean(values + self.reach, estimator).interval
        assert raised is not None
        low, high = found.interval
        return dataclasses.replace(found, interval=(low, max(high, raised[1])))


def counts(draws: int) -> np.ndarray:
    """Returns the number of draws in each block, [8]: draw s is in block s mod 8."""
    return np.array([len(range(block, draws, BLOCKS)) for block in range(BLOCKS)])


def block_sums(log_w: np.ndarray) -> np.ndarray:
    """Returns the log of the sum of weights in each block, [8, N], for weights [S, N]."""
    nothing = np.full((1, log_w.shape[1]), -np.inf)
    return np.stack(
        [
            np.logaddexp.reduce(np.concatenate([nothing, log_w[block::BLOCKS]]), axis=0)
            for block in range(BLOCKS)
        ]
    )


def rises(log_sums: Any, draws: int) -> np.ndarray:
    """Returns the increase of the estimate with each of the last three doublings of the draws.

        L(S) - L(S/2),  L(S/2) - L(S/4),  L(S/4) - L(S/8),   L(S) = log 1/S sum_s w_s

    where L(S/m) is the mean over all choices of 8/m of the 8 blocks.

    Args:
      log_sums: [8, N], from `block_sums`.
      draws: S.

    Returns:
      [3, N], nats; nan if there are fewer than 8 draws.
    """
    log_sums, sizes = np.asarray(log_sums, np.float64), counts(draws)
    if draws < BLOCKS:
        return np.full((3, log_sums.shape[1]), np.nan)
    levels = []
    for size in (8, 4, 2, 1):
        chosen = np.array(list(itertools.combinations(range(BLOCKS), size)))
        log_sum = np.logaddexp.reduce(log_sums[chosen], axis=1)
        log_means = log_sum - np.log(sizes[chosen].sum(axis=1))[:, None]
        levels.append(log_means.mean(axis=0))
    # If all weights are 0 both sides are -inf.
    with np.errstate(invalid="ignore"):
        return -np.diff(levels, axis=0)


def bias(found: np.ndarray, effective: np.ndarray, draws: int, unit: str = "draw") -> Bias:
    """Estimates the bias from the growth of the estimate with the draws: a generalised jackknife.

        E L(S) ~= log p(x) - c S^-r
        bias   ~= (L(S) - L(S/2)) / (2^r - 1),   2^r = (L(S/2) - L(S/4)) / (L(S) - L(S/2))

    Schucany, Gray & Owen "On bias reduction in estimation." JASA 66, 1971. r is 1 if the weights
    have a variance and S is large, and 1/k - 1 if they have a Pareto tail of index k in (1/2, 1):
    r = 0.43 at k = 0.7, above which Vehtari et al. "Pareto smoothed importance sampling." JMLR 2024
    call estimates unreliable. A too narrow encoder has such weights; r shows it, while the
    effective sample size may not.

    Rises are means over the examples; three rises give two rates, of which the lower is used. The
    bias is estimated only if the harmonic mean of the effective sample sizes is at least 10 and the
    rate, minus two standard errors, at least 0.6. `python tests/interval_coverage.py weights`
    prints the errors below these limits, on linear Gaussian models. If no draw reaches a part of
    p(z|x), such as a second mode, the bias is larger than estimated.

    Args:
      found: [3, N], from `rises`.
      effective: [N], the effective sample sizes.
      draws: S.
      unit: the word for a draw in notes: "draw" or "chain".
    """
    n = found.shape[1]
    means = found.mean(axis=1)
    if np.all(np.abs(means) < _ROUNDING):
        return Bias(max(0.0, float(means[0])), 2.0 * np.maximum(found[0], 0.0))
    for count, what, least in ((draws, unit, DRAWS), (n, "example", IMAGES)):
        if count < least:
            few = f"1 {what} is" if count == 1 else f"{count} {what}s are"
            return Bias(None, why=f"{few} too few to estimate it, take {least} or more")
    size = 1.0 / float(np.mean(1.0 / effective))
    if not size >= FEW:
        return Bias(
            None,
            why=f"the effective sample size is {size:.1f} of {draws} (harmonic mean over "
            f"examples), and {FEW} or more is needed; {_ADVICE[unit]}",
        )
    rate, slowest = _rate(found)
    if not slowest >= RATE:
        return Bias(
            None,
            why=f"the weights have a heavy tail: the last doubling of the {unit}s raised the "
            f"estimate by up to {2.0 ** min(-slowest, 0.0):.0%} of the rise before, and "
            f"{2.0**-RATE:.0%} or less is needed; {_ADVICE[unit]}",
        )
    return Bias(
        float(means[0]) / (2.0 ** min(max(rate, RATE), 1.0) - 1.0),
        2.0 * found[0] / (2.0 ** min(slowest, 1.0) - 1.0),
    )


def _rate(found: np.ndarray) -> tuple[float, float]:
    """Returns r, and r minus two standard errors; for the slower of the two doublings."""
    means = np.maximum(found.mean(axis=1), 1e-12)
    rates, ends = [], []
    for later, earlier in ((0, 1), (1, 2)):
        # r = log2 of the mean of one rise over that of the other; its error by the delta method
        spread = found[earlier] / means[earlier] - found[later] / means[later]
        error = float(spread.std(ddof=1)) / math.sqrt(found.shape[1]) / math.log(2.0)
        rates.append(math.log2(means[earlier] / means[later]))
        ends.append(rates[-1] - 2.0 * error)
    return min(rates), min(ends)
