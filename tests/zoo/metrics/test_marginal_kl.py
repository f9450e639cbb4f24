"""The marginal KL of a linear Gaussian model, and what happens where codes do not overlap."""

import math

import numpy as np
import pytest
from linear_gaussian import LinearGaussian

from zoo.errors import InputError
from zoo.metrics import marginal_kl, mutual_information


@pytest.mark.parametrize(("spread", "shift"), [(1.0, 0.0), (1.5, 0.5)])
def test_closed_form(spread, shift):
    model = LinearGaussian(spread=spread, shift=shift)
    found = marginal_kl(model, model.data(2000))
    low, high = found.interval
    # 95% is not all: half an interval more on either side makes it one in ten thousand
    half = (high - low) / 2
    assert low - half < model.marginal_kl < high + half
    # twice the standard error over 2000 codes of log-ratios of order 1
    assert half < 0.12
    assert found.size == 2000


def test_it_is_the_rate_less_the_information():
    model = LinearGaussian(shift=0.5)
    x = model.data(500)
    found, information = marginal_kl(model, x), mutual_information(model, x)
    # The same codes; RATE in closed form has less noise, of order 1 / sqrt(500) = 0.045.
    expected = information.rate - information.estimate
    assert found.value == pytest.approx(expected, abs=0.2)


def test_codes_that_do_not_overlap():
    # I = 2 log 200 = 10.6 nats, and 60 points: the interval spans both biases, and says so.
    model = LinearGaussian(noise=0.005)
    found = marginal_kl(model, model.data(60))
    truth = model.marginal_kl
    assert found.value > truth + 2
    assert found.interval[0] == 0.0 <= truth <= found.interval[1]
    assert "do not overlap" in found.notes[1]
    assert found.value == pytest.approx(model.rate - math.log(60), abs=1.5)


def test_what_has_no_marginal():
    model = LinearGaussian()
    with pytest.raises(InputError, match="are 3 images for a marginal KL: give four"):
        marginal_kl(model, model.data(3))
    assert np.isfinite(marginal_kl(model, model.data(4)).value)
