"""How far the log of a mean of importance weights is below the log of their expectation."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np

from zoo.metrics.measured import Measured

BLOCKS = 8  # of draws, whose sums of weights are kept
# Below any of these the bias is not estimated.
FEW = 10  # effective draws: fewer are a handful of large weights
DRAWS = 64  # fewer seldom contain a weight that is rare and large
IMAGES = 30  # fewer leave too much noise in the rate
RATE = 0.6  # r of a bias S^-r; without noise 0.5 would suffice
_ROUNDING = 1e-4  # nats: smaller rises are float32's
_WORTH_A_NOTE = 1e-3  # nats
_ADVICE = {
    "draw": "take more draws, or annealed importance sampling",
    "chain": "take more temperatures",
}


@dataclasses.dataclass(frozen=True)
class Bias:
    """How much too low the mean over N examples of log 1/S sum_s w_s is, in expectation.

    Attributes:
      value: nats; None where it cannot be estimated.
      reach: [N], twice the bias of each example, at the slowest rate that noise allows: the upper
        end of the interval is that of the estimates + reach. None where `value` is.
      why: why `value` is None, in words.
    """

    value: float | None
    reach: np.ndarray | None = None
    why: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know; nothing if the bias is below a thousandth of a nat."""
        if self.value is None:
            return (f"log p(x) is underestimated, by an unknown amount: {self.why}",)
        if self.value < _WORTH_A_NOTE:
            return ()
        return (
            f"log p(x) is underestimated by about {self.value:.2g} nats; the interval has room "
            "for twice that",
        )

    def measured(self, values: np.ndarray, estimator: str, notes: tuple[str, ...] = ()) -> Measured:
        """Returns the mean of values that have this bias; a bound from below if it is unknown.

        Args:
          values: [N], the estimates, or the estimates less something unbiased.
          estimator: what was computed, in words.
          notes: what there is to say beside the bias.
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
    """Returns how many of the draws are in each block, [8]: draw s is in block s mod 8."""
    return np.array([len(range(block, draws, BLOCKS)) for block in range(BLOCKS)])


def block_sums(log_w: np.ndarray) -> np.ndarray:
    """Returns the log of the sum of the weights in each block, [8, N], of all weights [S, N]."""
    nothing = np.full((1, log_w.shape[1]), -np.inf)
    return np.stack(
        [
            np.logaddexp.reduce(np.concatenate([nothing, log_w[block::BLOCKS]]), axis=0)
            for block in range(BLOCKS)
        ]
    )


def rises(log_sums: Any, draws: int) -> np.ndarray:
    """Returns how much the estimate rises with each of the last three doublings of the draws.

        L(S) - L(S/2),  L(S/2) - L(S/4),  L(S/4) - L(S/8),   L(S) = log 1/S sum_s w_s

    where L(S/m) is the mean over all choices of 8/m of the 8 blocks.

    Args:
      log_sums: [8, N], as `block_sums` returns them.
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
    # Weights that are all 0 leave -inf on both sides.
    with np.errstate(invalid="ignore"):
        return -np.diff(levels, axis=0)


def bias(found: np.ndarray, effective: np.ndarray, draws: int, unit: str = "draw") -> Bias:
    """Estimates the bias from how the estimate rises with the draws: a generalised jackknife.

        E L(S) ~= log p(x) - c S^-r
        bias   ~= (L(S) - L(S/2)) / (2^r - 1),   2^r = (L(S/2) - L(S/4)) / (L(S) - L(S/2))

    Schucany, Gray & Owen "On bias reduction in estimation." JASA 66, 1971; r is 1 where the
    weights have a variance and S is large, and 1/k - 1 where they have a Pareto tail of index k in
    (1/2, 1): r = 0.43 at k = 0.7, above which Vehtari et al. "Pareto smoothed importance sampling."
    JMLR 2024 call estimates unreliable. An encoder that is too narrow has such weights, and r shows
    it where the effective sample size does not.

    Rises are means over the examples; of the two rates that three rises give, the lower is taken.
    The bias is estimated where the harmonic mean of the effective sample sizes is at least 10 and
    the rate, less two standard errors, at least 0.6. `python tests/interval_coverage.py weights`
    prints what is wrong below these numbers, on linear Gaussian models. A part of p(z|x) that no
    draw reached, such as a second mode, leaves no trace: then the bias is larger than estimated.

    Args:
      found: [3, N], as `rises` returns them.
      effective: [N], the effective sample sizes.
      draws: S.
      unit: what a draw is called in notes: "draw" or "chain".
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
    """Returns r, and r less two standard errors; both of the lower where two doublings differ."""
    means = np.maximum(found.mean(axis=1), 1e-12)
    rates, ends = [], []
    for later, earlier in ((0, 1), (1, 2)):
        # r = log2 of the mean of one rise over that of the other; its error by the delta method
        spread = found[earlier] / means[earlier] - found[later] / means[later]
        error = float(spread.std(ddof=1)) / math.sqrt(found.shape[1]) / math.log(2.0)
        rates.append(math.log2(means[earlier] / means[later]))
        ends.append(rates[-1] - 2.0 * error)
    return min(rates), min(ends)
