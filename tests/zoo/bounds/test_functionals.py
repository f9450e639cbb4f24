"""Variational forms on discrete tables, where divergences are sums."""

import math
import warnings

import numpy as np
import pytest

from zoo.bounds.functionals import FUNCTIONALS, functional
from zoo.errors import InputError

random = np.random.default_rng(0)
A, B = random.dirichlet(np.ones(12)), random.dirichlet(np.ones(12))
U = A / B
TRUTH = {
    "KL": np.sum(A * np.log(U)),
    "FKL": np.sum(A * np.log(U)),
    "RKL": np.sum(B * np.log(1 / U)),
    "CHI2": np.sum(B * (U - 1) ** 2),
    "H2": np.sum(B * (np.sqrt(U) - 1) ** 2),
    "TV": np.sum(B * np.abs(U - 1)) / 2,
    "JS": 0.5 * np.sum(A * np.log(2 * A / (A + B))) + 0.5 * np.sum(B * np.log(2 * B / (A + B))),
}


@pytest.mark.parametrize("name", FUNCTIONALS)
def test_equal_at_the_log_ratio(name):
    f, v = functional(name), np.log(U)
    assert np.sum(A * f.at_a(v)) + np.sum(B * f.at_b(v)) == pytest.approx(TRUTH[name], rel=1e-12)
    at_a, at_b = f.of_densities
    assert np.sum(A * at_a(v)) + np.sum(B * at_b(v)) == pytest.approx(TRUTH[name], rel=1e-12)
    assert TRUTH[name] <= f.largest


@pytest.mark.parametrize("name", FUNCTIONALS)
def test_below_at_any_other(name):
    f = functional(name)
    for _ in range(200):
        v = np.log(U) * random.normal(0.8, 0.5) + random.normal(0, random.choice([0.1, 1]), 12)
        assert np.sum(A * f.at_a(v)) + np.sum(B * f.at_b(v)) < TRUTH[name] + 1e-12


def test_normalised_densities_need_no_samples_of_b():
    # r any density: KL(a||b) >= E_a[ log r/b ]
    f = functional("KL")
    for _ in range(200):
        v = np.log(random.dirichlet(np.ones(12)) / B)
        assert np.sum(B * f.at_b(v)) == pytest.approx(f.normalised_b, abs=1e-12)
        assert np.sum(A * f.at_a(v)) + f.normalised_b <= TRUTH["KL"]


def test_large_ratios_do_not_warn():
    v = np.array([-1e4, 1e4])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        least, most = functional("JS").at_a(v)
        assert functional("KL").at_b(v)[1] == -math.inf
    assert least == pytest.approx(-5e3, rel=1e-3)
    assert most == pytest.approx(math.log(2) / 2)


def test_unknown():
    with pytest.raises(InputError, match="MMD"):
        functional("MMD")
