"""How often each end of an interval of a mean misses it, by method, distribution and size.

PYTHONPATH=.:tests python tests/interval_ends.py [repeats] prints three tables: methods for the
mean of n values, sizes for `mean_interval`, and `sum_interval`. An entry is

    low/high x    the shares of repeats, in percent, with the mean below the interval and above it
                  (2.5 each asked for), and the mean length in units of Student's

Distributions are skewed to the right. Mirrored to the left they exchange low and high.

    percentile    of resampled means, times t / z: what `bootstrap_interval` was
    BCa           likewise, its levels corrected for bias and acceleration
    bootstrap-t   quantiles of the studentised mean, at most FARTHEST times Student's
    union         the wider of Student's and the bootstrap-t, end by end
    Hall          the cubic transformation of Hall, JRSS B 54, 1992, with Student's quantile
    Johnson       the modified t of Johnson, JASA 73, 1978
    J. outwards   likewise, but no end nearer than Student's
    mean_interval likewise, with the skewness times 1 + 6 / sqrt(n)
"""

from __future__ import annotations

import sys

import numpy as np
from scipy import stats

from zoo.metrics import intervals

LEVEL = 0.975
RESAMPLES = 2000
SIZES = (4, 8, 12, 16, 32, 100)
FARTHEST = 4  # of Student's distance, for the bootstrap-t, whose ends can be infinite


def lognormal(sigma):
    return (
        lambda random, shape: np.exp(sigma * random.normal(size=shape)),
        float(np.exp(sigma**2 / 2)),
    )


def rare(size):
    """50 once in a hundred, else 0: the means of batches of `size`."""
    return lambda random, shape: random.binomial(size, 0.01, shape) * 50 / size, 0.5


DISTRIBUTIONS = {
    "normal": (lambda random, shape: random.normal(size=shape), 0.0),
    "Student(3)": (lambda random, shape: random.standard_t(3, shape), 0.0),
    "two-point": (lambda random, shape: random.integers(2, size=shape) * 1.0, 0.5),
    "exponential": (lambda random, shape: random.exponential(size=shape), 1.0),
    "lognormal(0.5)": lognormal(0.5),
    "lognormal(1)": lognormal(1.0),
    "lognormal(1.5)": lognormal(1.5),
    "rare, of 64": rare(64),
    "rare, of 16": rare(16),
}
SUMMED = (
    ("normal", "exponential", 1, 100, 100),
    ("exponential", "exponential", 1, 100, 1000),
    ("exponential", "exponential", -1, 100, 100),
    ("lognormal(1.5)", "normal", 1, 100, 100),
    ("lognormal(1.5)", "normal", 1, 1000, 1000),
    ("lognormal(1.5)", "normal", 1, 20000, 20000),
    ("lognormal(1.5)", "exponential", -1, 100, 20000),
    ("lognormal(1.5)", "lognormal(1.5)", 1, 1000, 1000),
    ("lognormal(1.5)", "lognormal(1.5)", -1, 100, 1000),
    ("lognormal(1.5)", "lognormal(1.5)", -1, 20000, 20000),
)


def by_method(values, seed):
    """Yields names and the ends (low, high) of each row of values, [repeats, n]."""
    n = values.shape[1]
    mean = values.mean(axis=1)
    centred = values - mean[:, None]
    variance = np.mean(centred**2, axis=1)
    error = np.sqrt(variance / (n - 1))
    third = np.divide(np.mean(centred**3, axis=1), variance**1.5, out=0 * mean, where=variance > 0)
    a = third * np.sqrt(n - 1) / (n - 2)  # the unbiased skewness / sqrt(n)
    t, z = stats.t.ppf(LEVEL, n - 1), stats.norm.ppf(LEVEL)

    def around(below, above):
        return mean - below * error, mean + above * error

    yield "Student", around(t, t)

    # All rows share their resamples, so that moments of resamples are matrix products.
    random = np.random.default_rng(seed)
    counts = random.multinomial(n, np.full(n, 1 / n), RESAMPLES).T / n
    moved = centred @ counts
    wider = np.sqrt(n / (n - 1)) * t / z
    low, high = np.quantile(moved, [1 - LEVEL, LEVEL], axis=1) * wider
    yield "percentile", (mean + low, mean + high)

    below = np.mean((moved < 0) + 0.5 * (moved == 0), axis=1)
    shift = stats.norm.ppf(np.clip(below, 1e-3, 1 - 1e-3))
    ordered = np.sort(moved, axis=1)
    ends = []
    for side in (-z, z):
        level = stats.norm.cdf(shift + (shift + side) / (1 - third / (6 * n**0.5) * (shift + side)))
        place = np.clip((level * RESAMPLES).astype(int), 0, RESAMPLES - 1)
        ends.append(mean + wider * ordered[np.arange(len(mean)), place])
    yield "BCa", tuple(ends)

    spread = np.maximum(centred**2 @ counts - moved**2, 1e-12 * variance[:, None])
    studentised = moved / np.sqrt(np.maximum(spread, 1e-300) / (n - 1))
    low, high = np.quantile(studentised, [1 - LEVEL, LEVEL], axis=1)
    above, below = np.minimum(-low, FARTHEST * t), np.minimum(high, FARTHEST * t)
    yield "bootstrap-t", around(below, above)
    yield "union", around(np.maximum(below, t), np.maximum(above, t))

    def hall(y):
        """Solves y = T + a T^2 / 3 + a^2 T^3 / 27 + a / 6, Hall, JRSS B 54, 1992, for T."""
        b = np.where(np.abs(a) < 1e-6, 1e-6, a)
        return 3 / b * (np.cbrt(1 + b * (y - b / 6)) - 1)

    yield "Hall", around(hall(t), -hall(-t))

    c = a * (1 + 2 * t**2) / 6
    yield "Johnson", around(t - c, t + c)
    yield "J. outwards", around(t + np.maximum(-c, 0), t + np.maximum(c, 0))
    yield "mean_interval", shipped(values)


def shipped(values):
    return tuple(np.array([intervals.mean_interval(row) for row in values]).T)


def missed(ends, truth):
    """Returns the shares of intervals above the truth and below it, and the mean length."""
    low, high = ends
    return np.array([np.mean(low > truth), np.mean(high < truth), np.mean(high - low)])


def entry(found, student):
    return f"{100 * found[0]:5.1f}/{100 * found[1]:4.1f} {found[2] / student:4.2f}"


def compare(repeats):
    blocks = [1000] * (repeats // 1000) or [repeats]
    for name, (draw, truth) in DISTRIBUTIONS.items():
        for n in SIZES:
            random = np.random.default_rng(n)
            sums: dict[str, np.ndarray] = {}
            for seed, block in enumerate(blocks):
                for method, ends in by_method(draw(random, (block, n)), seed):
                    sums[method] = sums.get(method, 0) + missed(ends, truth) * block
            if name == "normal" and n == SIZES[0]:
                print(f"{'':16}{'n':>4} " + "".join(f"{m:>17}" for m in sums))
            found = {method: total / sum(blocks) for method, total in sums.items()}
            row = [entry(each, found["Student"][2]) for each in found.values()]
            print(f"{name:16}{n:4} " + "".join(f"{each:>17}" for each in row), flush=True)


def sizes(repeats):
    """The fewest values that an interval is given for, by what each end misses."""
    counts = (4, 5, 6, 7, 8, 10)
    print(f"\n{'mean_interval':16}" + "".join(f"{f'n = {n}':>12}" for n in counts))
    for name, (draw, truth) in DISTRIBUTIONS.items():
        row = []
        for n in counts:
            values = draw(np.random.default_rng(n), (repeats, n))
            low, high, _ = 100 * missed(shipped(values), truth)
            row.append(f"{low:.1f}/{high:.1f}")
        print(f"{name:16}" + "".join(f"{each:>12}" for each in row), flush=True)


def summed(repeats):
    print(f"\n{'':48}{'Student, Welch':>17}{'sum_interval':>17}")
    for first, second, sign, n, m in SUMMED:
        (draw, mean), (other, mean_2) = DISTRIBUTIONS[first], DISTRIBUTIONS[second]
        random = np.random.default_rng(0)
        plain, ours = [], []
        for _ in range(repeats):
            a, b = draw(random, n), other(random, m)
            ours.append(intervals.sum_interval([a, b], [1, sign]))
            errors = np.array([a.var(ddof=1) / n, b.var(ddof=1) / m])
            degrees = errors.sum() ** 2 / np.sum(errors**2 / [n - 1, m - 1])
            half = stats.t.ppf(LEVEL, degrees) * np.sqrt(errors.sum())
            middle = a.mean() + sign * b.mean()
            plain.append((middle - half, middle + half))
        student, found = (missed(np.array(e).T, mean + sign * mean_2) for e in (plain, ours))
        name = f"{first} {'+' if sign > 0 else '-'} {second}"
        row = (entry(student, student[2]), entry(found, student[2]))
        print(f"{name:36}{n:6}{m:6}" + "".join(f"{e:>17}" for e in row), flush=True)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    intervals.MIN_VALUES = min(SIZES)  # to see what it is there for
    compare(count)
    sizes(count)
    summed(min(count, 4000))
