"""Shares of classes, and intervals of functions of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

RESAMPLES = 2000


def shares(counts: np.ndarray) -> np.ndarray:
    """Returns the shares of classes, with half an example added to each so that none is 0.

        s_k = (n_k + 1/2) / (n + K/2)

    Args:
      counts: [..., K], the number of examples of each class.
    """
    counts = np.asarray(counts, np.float64) + 0.5
    return counts / counts.sum(axis=-1, keepdims=True)


def interval(
    statistic: Callable[[np.ndarray], np.ndarray], counts: np.ndarray, seed: int = 0
) -> tuple[float, float]:
    """Returns the basic bootstrap's 95% interval of a function of the shares of classes.

        [2 f(n) - f*_97.5%,  2 f(n) - f*_2.5%],   n* ~ Multinomial(n, shares(n))

    The reflected quantiles remove the bias of a nonlinear f, which percentiles would double: at a
    minimum or maximum of f, such as a divergence between equal shares, the interval reaches it. If
    few classes occur the interval may exclude f(n), and is then extended to it.

    Args:
      statistic: maps counts [..., K] to values [...].
      counts: [K].
      seed: seed of the resampling.
    """
    counts = np.asarray(counts)
    rng = np.random.default_rng(seed)
    resampled = statistic(rng.multinomial(int(counts.sum()), shares(counts), size=RESAMPLES))
    low, high = np.quantile(resampled, [0.025, 0.975])
    value = float(statistic(counts))
    return min(2 * value - float(high), value), max(2 * value - float(low), value)
