"""What a measure returns, and Student's interval."""

import math

import numpy as np
import pytest
import scipy.stats

from zoo.errors import InputError
from zoo.metrics import Measured
from zoo.metrics.measured import around


@pytest.mark.parametrize("n", [4, 10, 1000])
def test_the_interval_of_a_mean(n):
    values = np.random.default_rng(n).normal(3.0, 2.0, n)
    found = Measured.of_mean(values, "mean", notes=("a note",), ceiling=9.0, units="bits")
    expected = scipy.stats.t.interval(0.95, n - 1, values.mean(), scipy.stats.sem(values))
    # student() is an expansion, right to 1% from three degrees on
    assert found.interval == pytest.approx(expected, abs=0.01 * (expected[1] - expected[0]))
    assert (found.value, found.size) == (pytest.approx(values.mean()), n)
    assert (found.estimator, found.notes, found.ceiling) == ("mean", ("a note",), 9.0)
    assert found.units == "bits"


def test_a_few_values_have_no_interval():
    found = Measured.of_mean(np.array([1.0, 2.0]), "mean")
    assert (found.value, found.interval) == (1.5, None)
    assert found.units == "nats per example"


def test_nothing_to_measure():
    with pytest.raises(InputError, match=r"nothing to measure \(mean\)"):
        Measured.of_mean(np.array([]), "mean")


def test_around():
    assert around(1.0, 2.0) == pytest.approx((1 - 3.92, 1 + 3.92), abs=1e-3)
    assert around(0.0, 1.0, 9)[1] == pytest.approx(scipy.stats.t.ppf(0.975, 9), rel=1e-3)
    assert around(0.0, math.inf) == (-math.inf, math.inf)
