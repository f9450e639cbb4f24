"""Intervals of means: how often each end misses, and what they are made of."""

import interval_ends
import numpy as np
import pytest
from scipy import stats

from zoo.errors import InputError
from zoo.metrics.intervals import MIN_VALUES, mean_interval, sum_interval

REPEATS = 1000


def missed(name, n, of=interval_ends.shipped, sign=1):
    """Returns how often each end misses, in percent."""
    draw, mean = interval_ends.DISTRIBUTIONS[name]
    low, high = of(sign * draw(np.random.default_rng(n), (REPEATS, n)))
    return 100 * np.mean(low > sign * mean), 100 * np.mean(high < sign * mean)


def student(values):
    """Returns Student's intervals of rows."""
    mean, error = values.mean(axis=1), stats.sem(values, axis=1)
    return stats.t.interval(0.95, values.shape[1] - 1, mean, error)


def at_most(percent):
    """Three standard errors above what 20000 repeats of tests/interval_ends.py give."""
    return percent + 300 * (percent / 100 * (1 - percent / 100) / REPEATS) ** 0.5


# Ends: 2.5% is asked for


@pytest.mark.parametrize(
    ("name", "far"),
    [
        # of MIN_VALUES, 12, 16, 32 and 100 values, how often the end by the longer tail misses
        ("normal", (1.5, 1.7, 2.0, 2.2, 2.4)),
        ("Student(3)", (1.7, 1.7, 2.1, 2.3, 2.5)),
        ("two-point", (0.4, 0.1, 0.1, 0.9, 1.8)),
        ("exponential", (4.2, 3.6, 3.1, 2.5, 2.5)),
        ("lognormal(0.5)", (3.7, 3.6, 3.1, 2.9, 2.4)),
        ("lognormal(1)", (7.2, 6.7, 5.9, 4.9, 3.7)),
        ("rare, of 64", (0.7, 0.1, 1.7, 2.0, 2.2)),
    ],
)
def test_each_end_of_a_mean(name, far):
    for n, percent in zip((MIN_VALUES, 12, 16, 32, 100), far, strict=True):
        low, high = missed(name, n)
        assert low <= at_most(2.5)
        assert high <= at_most(percent)
    # to the left, the ends change places
    low, high = missed(name, MIN_VALUES)
    assert missed(name, MIN_VALUES, sign=-1) == (high, low)


@pytest.mark.parametrize("n", [MIN_VALUES, 12, 16, 32])
def test_students_end_misses_oftener(n):
    assert missed("exponential", n, student)[1] > 1.7 * missed("exponential", n)[1]


@pytest.mark.parametrize("n", [16, 32, 100])
def test_normal_values_are_not_given_much_more(n):
    draw, _ = interval_ends.DISTRIBUTIONS["normal"]
    values = draw(np.random.default_rng(0), (REPEATS, n))
    (low, high), (students_low, students_high) = interval_ends.shipped(values), student(values)
    assert np.mean(high - low) <= (1 + 2 / n) * np.mean(students_high - students_low)


@pytest.mark.parametrize(
    ("first", "second", "sign", "n", "m", "percents"),
    [
        ("normal", "exponential", 1, 100, 100, (2.5, 2.6)),
        ("exponential", "exponential", 1, 100, 1000, (2.5, 2.5)),
        ("exponential", "exponential", -1, 100, 100, (2.5, 2.5)),
        ("exponential", "lognormal(0.5)", -1, MIN_VALUES, 30, (2.5, 4.4)),
        ("lognormal(1.5)", "normal", 1, 100, 100, (2.5, 7.2)),
        ("lognormal(1.5)", "normal", 1, 1000, 1000, (2.5, 4.5)),
        ("lognormal(1.5)", "exponential", -1, 20000, 20000, (2.5, 2.9)),
    ],
)
def test_each_end_of_a_sum(first, second, sign, n, m, percents):
    (draw, mean), (other, mean_2) = (interval_ends.DISTRIBUTIONS[d] for d in (first, second))
    random = np.random.default_rng(n)
    truth = mean + sign * mean_2
    repeats = REPEATS if n <= 1000 else 400
    ends = np.array(
        [sum_interval([draw(random, n), other(random, m)], [1, sign]) for _ in range(repeats)]
    )
    found = 100 * np.mean(ends[:, 0] > truth), 100 * np.mean(ends[:, 1] < truth)
    for share, percent in zip(found, percents, strict=True):
        assert share <= percent + 300 * (percent / 100 * (1 - percent / 100) / repeats) ** 0.5


# What they are made of


def test_values_without_skewness_have_students_interval():
    values = np.arange(20.0)
    expected = stats.t.interval(0.95, 19, values.mean(), stats.sem(values))
    assert mean_interval(values) == pytest.approx(expected, rel=1e-4)
    expected = stats.t.interval(0.5, 19, values.mean(), stats.sem(values))
    assert mean_interval(values, confidence=0.5) == pytest.approx(expected, rel=1e-4)


def test_samples_without_skewness_have_welchs_interval():
    a, b = np.linspace(0, 3, 40), np.linspace(-9, 4, 21)
    welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert sum_interval([a, b], [1, -1]) == pytest.approx(tuple(welch), rel=1e-4)


def test_skewness_moves_the_end_of_the_longer_tail():
    random = np.random.default_rng(0)
    a, b, weights = random.exponential(size=30), random.exponential(size=50) ** 2, (0.5, -2.0)
    low, high = sum_interval([a, b], weights)
    middle = 0.5 * a.mean() - 2 * b.mean()
    # k-statistics: unbiased cumulants, those of means k_2 / N and k_3 / N^2
    seconds = [w**2 * stats.kstat(v, 2) / len(v) for w, v in zip(weights, (a, b), strict=True)]
    thirds = [
        w**3 * stats.kstat(v, 3) / len(v) ** 2 * (1 + 6 / len(v) ** 0.5)
        for w, v in zip(weights, (a, b), strict=True)
    ]
    error = sum(seconds) ** 0.5
    t = stats.t.ppf(0.975, sum(seconds) ** 2 / (seconds[0] ** 2 / 29 + seconds[1] ** 2 / 49))
    skewness = sum(thirds) / error**3
    assert skewness < -0.3
    assert high == pytest.approx(middle + error * t, rel=1e-4)
    assert low == pytest.approx(middle - error * (t - skewness * (1 + 2 * t**2) / 6), rel=1e-4)


def test_it_follows_shift_scale_and_sign():
    values = np.random.default_rng(1).exponential(size=16)
    low, high = mean_interval(values)
    assert low < values.mean() < high
    np.testing.assert_allclose(mean_interval(3 * values - 7), (3 * low - 7, 3 * high - 7))
    np.testing.assert_allclose(mean_interval(-values), (-high, -low))
    for scale in (1e140, 1e-140):  # cubes of which leave the range of floats
        np.testing.assert_allclose(mean_interval(scale * values), (scale * low, scale * high))


def test_one_sample_and_its_weight():
    values = np.random.default_rng(2).exponential(size=16)
    low, high = mean_interval(values)
    assert sum_interval([values]) == (low, high)
    np.testing.assert_allclose(sum_interval([values], [-2]), (-2 * high, -2 * low))
    # a constant moves the interval, and a weight of 0 takes a sample out
    np.testing.assert_allclose(sum_interval([values, np.full(9, 0.1)]), (low + 0.1, high + 0.1))
    np.testing.assert_allclose(sum_interval([values, 1 - values], [1, 0]), (low, high))


def test_one_large_value_among_equal_ones():
    values = np.zeros(MIN_VALUES)
    values[3] = 1.0
    low, high = mean_interval(values)
    # the most skewed that there are: Student's length on the left, under four of it on the right
    half = stats.t.ppf(0.975, MIN_VALUES - 1) * stats.sem(values)
    assert low == pytest.approx(1 / MIN_VALUES - half, rel=1e-3)
    assert 3 * half < high - 1 / MIN_VALUES < 4 * half


@pytest.mark.parametrize("value", [2.5, 0.1, -1e30])
def test_equal_values_have_no_spread(value):
    values = np.full(10, value)
    assert mean_interval(values) == (values.mean(), values.mean())


# What has none


@pytest.mark.parametrize("count", [0, 1, MIN_VALUES - 1])
def test_too_few_values(count):
    with pytest.raises(InputError, match=f"needs {MIN_VALUES} or more values, not {count}: "):
        mean_interval(np.arange(float(count)))
    with pytest.raises(InputError, match=f"not {count}: "):
        sum_interval([np.arange(100.0), np.arange(float(count))])


def test_values_that_are_not_finite():
    values = np.arange(10.0)
    values[[2, 5]] = np.nan, np.inf
    with pytest.raises(InputError, match="2 of 10 are not, the first nan"):
        mean_interval(values)


@pytest.mark.parametrize(("samples", "weights"), [(0, None), (2, [1.0]), (1, [1.0, 2.0])])
def test_samples_and_weights_of_different_numbers(samples, weights):
    with pytest.raises(InputError, match=f"{samples} samples and "):
        sum_interval([np.arange(9.0)] * samples, weights)
