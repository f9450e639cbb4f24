"""How far a mean, or a sum of means, can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from zoo.errors import InputError

MIN_VALUES = 8  # the fewest with which neither end misses an exponential's mean above 5%


def mean_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Returns an interval of the mean of independent values that allows for their skewness.

        mean +- s (t + max(0, +-c)) / sqrt(n),   c = G (1 + 6 / sqrt(n)) (1 + 2 t^2) / (6 sqrt(n))

    t is Student's quantile, G the unbiased skewness. Of `sum_interval`, the case of one sample;
    how often each end misses is said there.

    Args:
      values: [n], n at least MIN_VALUES.
      confidence: of the interval; each end misses the mean with half of what is left of 1.

    Returns:
      (low, high) in the values' units; equal if all values are.

    Raises:
      InputError: there are too few values, or one is not finite.
    """
    return sum_interval([values], confidence=confidence)


def sum_interval(
    samples: Sequence[np.ndarray],
    weights: Sequence[float] | None = None,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Returns an interval of a weighted sum of the means of independent samples.

        sum_k w_k mean_k +- e (t + max(0, +-c)),   e^2 = sum_k e_k^2,   e_k = |w_k| s_k / sqrt(N_k)
        c = (1 + 2 t^2) / 6 sum_k sign(w_k) (e_k / e)^3 G_k (1 / sqrt(N_k) + 6 / N_k)
        1 / degrees of t = sum_k (e_k / e)^4 / (N_k - 1)

    Degrees: Welch "The Generalization of 'Student's' Problem when Several Different Population
    Variances Are Involved." Biometrika 34, 1947. c without its 6 / N_k solves the modified t of
    Johnson "Modified t Tests and Confidence Intervals for Asymmetrical Populations." JASA 73,
    1978, eq. 2.5; for several samples e^3 times its skewness is their third cumulants' sum. Two
    things are ours, chosen in `tests/interval_ends.py`: 6 / N_k, as few values are less skewed
    than what they were drawn from, and that the nearer end never moves inwards.

    No interval of a mean holds for every distribution (Bahadur & Savage 1956). At 95%, 2.5% is
    meant to be missed at each end. The end on the side of the longer tail misses more often (one
    sample of n; Student's interval in brackets):

        n                      8          16         100        1000      20000
        exponential        4.4 (10.3)  3.3 (8.3)  2.5 (4.6)
        lognormal(1)       7.9 (16.8)  6.0 (14.2) 3.8 (7.9)
        lognormal(1.5)    15.9 (29.5) 12.9 (25.4) 8.0 (15.3)  5.0 (7.3)  3.1 (3.9)

    A rare event that no value shows cannot be allowed for: equal values have no spread.

    Args:
      samples: [N_k] each, N_k at least MIN_VALUES.
      weights: w_k; 1 each if None.
      confidence: of the interval; each end misses the sum with half of what is left of 1.

    Returns:
      (low, high) in the values' units; equal if every sample's values are.

    Raises:
      InputError: a sample has too few values or one that is not finite, there is no sample, or
        the weights are not as many as the samples.
    """
    samples = [np.asarray(values, np.float64) for values in samples]
    weights = [1.0] * len(samples) if weights is None else [float(w) for w in weights]
    if not samples or len(weights) != len(samples):
        raise InputError(
            f"{len(samples)} samples and {len(weights)} weights make no sum: give one weight each."
        )
    for values in samples:
        _check(values)
    total = sum(w * float(values.mean()) for w, values in zip(weights, samples, strict=True))
    errors, skewed, degrees = zip(*map(_moments, samples), strict=True)
    errors = np.abs(weights) * errors
    error = float(np.linalg.norm(errors))
    if not error:
        return total, total
    share = errors / error
    x = NormalDist().inv_cdf((1 + confidence) / 2)
    t = student(x, float(1 / np.sum(share**4 / degrees)))
    longer = (1 + 2 * t**2) / 6 * float(np.sum(np.sign(weights) * share**3 * skewed))
    return total - error * (t + max(0.0, -longer)), total + error * (t + max(0.0, longer))


def bootstrap_interval(
    values: np.ndarray, seed: int = 0, confidence: float = 0.95
) -> tuple[float, float]:
    """Returns `mean_interval`, which has replaced the bootstrap: the seed changes nothing."""
    del seed
    return mean_interval(values, confidence)


def student(x: float, n: float) -> float:
    """Returns Student's quantile with n degrees, to 1% from n = 3 on, where the normal's is x.

    Abramowitz & Stegun 1964, 26.7.5.
    """
    return (
        x
        + (x**3 + x) / (4 * n)
        + (5 * x**5 + 16 * x**3 + 3 * x) / (96 * n**2)
        + (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / (384 * n**3)
    )


def _check(values: np.ndarray) -> None:
    """Raises InputError unless there are MIN_VALUES values and all are finite."""
    n = len(values)
    if n < MIN_VALUES:
        raise InputError(
            f"An interval needs {MIN_VALUES} or more values, not {n}: fewer do not show how skewed "
            "they are. Give more, or smaller batches."
        )
    broken = values[~np.isfinite(values)]
    if len(broken):
        raise InputError(
            f"An interval needs finite values; {len(broken)} of {n} are not, the first {broken[0]}."
        )


def _moments(values: np.ndarray) -> tuple[float, float, int]:
    """Returns a mean's standard error, its skewness with what few values hide, and the degrees.

    s / sqrt(N),   G (1 / sqrt(N) + 6 / N),   N - 1
    """
    n = len(values)
    if values.min() == values.max():  # their mean may differ from them by a rounding
        return 0.0, 0.0, n - 1
    deviations = values - values.mean()
    s = float(deviations.std(ddof=1))
    scaled = deviations / s  # before the cube, which from 1e103 on is infinite
    skewness = n / ((n - 1) * (n - 2)) * float(np.sum(scaled**2 * scaled))
    return s / math.sqrt(n), skewness * (1 / math.sqrt(n) + 6 / n), n - 1
