"""Confidence intervals of a mean, or of a sum of means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from zoo.errors import InputError

# With 7 or more values each end misses the mean of an exponential in at most 5% of repeats
# (`tests/interval_ends.py`); 8 leaves a margin.
MIN_VALUES = 8


def mean_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Returns an interval of the mean of independent values that allows for their skewness.

        mean +- s (t + max(0, +-c)) / sqrt(n),   c = G (1 + 6 / sqrt(n)) (1 + 2 t^2) / (6 sqrt(n))

    t is Student's quantile, G = k_3 / k_2^1.5 the skewness by unbiased cumulants. It is
    `sum_interval` for one sample; see there how often each end misses.

    Args:
      values: [n], n at least MIN_VALUES.
      confidence: of the interval; each end misses the mean with probability (1 - confidence) / 2.

    Returns:
      (low, high) in the values' units; equal if all values are equal.

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

    s_k is a sample's standard deviation, G_k = k_3 / k_2^1.5 its skewness by unbiased cumulants.
    The degrees are of Welch "The Generalization of 'Student's' Problem when Several Different
    Population Variances Are Involved." Biometrika 34, 1947. Without 6 / N_k, c is the skewness
    term in the modified t of Johnson "Modified t Tests and Confidence Intervals for Asymmetrical
    Populations." JASA 73, 1978, eq. 2.5, of the summed third cumulants. Two changes were chosen
    with `tests/interval_ends.py`: 6 / N_k, because few values are less skewed than their
    distribution; and the end on the side of the shorter tail, which is not moved from Student's.

    No interval of a mean is valid for every distribution (Bahadur & Savage 1956). At 95%, each end
    should miss in 2.5% of repeats. The end on the side of the longer tail misses more often, in
    percent of repeats, with Student's interval in brackets:

        n                      8            16           100
        exponential        4.2  (9.9)   3.1  (8.0)   2.5  (4.7)
        lognormal(1)       7.2 (16.5)   5.9 (13.7)   3.7  (7.4)
        lognormal(1.5)    13.6 (29.5)  11.6 (25.1)   7.5 (14.5)

    For the sum of a lognormal(1.5) and a normal sample it misses in 4.5 (7.5) with 1000 values
    each, and in 2.9 (3.7) with 20000. The end on the side of the shorter tail misses in less than
    2.5%.

    The interval cannot account for rare events that no value shows: it is empty for equal values.

    Args:
      samples: [N_k] each, N_k at least MIN_VALUES.
      weights: w_k; 1 each if None.
      confidence: of the interval; each end misses the sum with probability (1 - confidence) / 2.

    Returns:
      (low, high) in the values' units; equal if the values of every sample are equal.

    Raises:
      InputError: a sample has too few values or a value that is not finite, there is no sample, or
        the numbers of weights and samples differ.
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


def student(x: float, n: float) -> float:
    """Returns Student's quantile with n degrees for the probability of the normal quantile x.

    The error is below 1% for n >= 3. Abramowitz & Stegun 1964, 26.7.5.
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
    """Returns a mean's standard error, its corrected skewness, and the degrees of freedom.

    s / sqrt(N),   G (1 / sqrt(N) + 6 / N),   N - 1
    """
    n = len(values)
    if values.min() == values.max():  # rounding may make their mean differ
        return 0.0, 0.0, n - 1
    deviations = values - values.mean()
    s = float(deviations.std(ddof=1))
    scaled = deviations / s  # before the cube, which overflows from 1e103 on
    skewness = n / ((n - 1) * (n - 2)) * float(np.sum(scaled**2 * scaled))
    return s / math.sqrt(n), skewness * (1 / math.sqrt(n) + 6 / n), n - 1
