"""How far a mean, or a sum of means, can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from zoo.errors import InputError

# From 7 values on, neither end misses the mean of an exponential in more than 5% of repeats
# (`tests/interval_ends.py`); one more is a margin.
MIN_VALUES = 8


def mean_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Returns an interval of the mean of independent values that allows for their skewness.

        mean +- s (t + max(0, +-c)) / sqrt(n),   c = G (1 + 6 / sqrt(n)) (1 + 2 t^2) / (6 sqrt(n))

    t is Student's quantile, G = k_3 / k_2^1.5 the skewness by unbiased cumulants. This is
    `sum_interval` of one sample, which says how often each end misses.

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

    s_k is a sample's standard deviation, G_k = k_3 / k_2^1.5 its skewness by unbiased cumulants.
    The degrees are of Welch "The Generalization of 'Student's' Problem when Several Different
    Population Variances Are Involved." Biometrika 34, 1947. Without 6 / N_k, c is the skewness
    term in the modified t of Johnson "Modified t Tests and Confidence Intervals for Asymmetrical
    Populations." JASA 73, 1978, eq. 2.5, of the summed third cumulants. Two things are ours, chosen
    with `tests/interval_ends.py`: 6 / N_k, because a few values are less skewed than what they are
    drawn from; and the end on the side of the shorter tail, which stays where Student's is.

    No interval of a mean holds for every distribution (Bahadur & Savage 1956). At 95%, 2.5% is
    meant to be missed at each end. Beyond the longer tail more is, in percent of repeats, with
    Student's interval in brackets:

        n                      8            16           100
        exponential        4.2  (9.9)   3.1  (8.0)   2.5  (4.7)
        lognormal(1)       7.2 (16.5)   5.9 (13.7)   3.7  (7.4)
        lognormal(1.5)    13.6 (29.5)  11.6 (25.1)   7.5 (14.5)

    The sum of lognormal(1.5) and normal samples of 1000 each is missed by 4.5 (7.5), of 20000 by
    2.9 (3.7). The end on the side of the shorter tail is missed by less than 2.5%.

    An event so rare that no value shows it is not allowed for: equal values have no spread.

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
