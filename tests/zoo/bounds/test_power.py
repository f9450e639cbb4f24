"""Planted differences are of the size that is asked for, and a critic tells large ones."""

import math

import numpy as np
import pytest

from zoo.bounds.functionals import FUNCTIONALS, functional
from zoo.bounds.power import _tilt, power, sentence
from zoo.errors import InputError

POOL = (np.random.default_rng(0).normal(size=(4000, 3)).astype(np.float32),)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", FUNCTIONALS)
def test_the_tilt_has_its_size(name, reverse):
    w = _tilt(POOL, name, 0.1, reverse, np.random.default_rng(1))
    assert w.mean() == pytest.approx(1.0)
    f, v = functional(name), np.log(w)
    if reverse:
        found = np.mean(f.at_a(-v)) + np.mean(w * f.at_b(-v))
    else:
        found = np.mean(w * f.at_a(v)) + np.mean(f.at_b(v))
    assert found == pytest.approx(0.1, rel=1e-3)


def test_no_tilt_is_larger_than_the_divergence_can_be():
    assert _tilt(POOL, "JS", math.log(2) + 0.1, False, np.random.default_rng(1)) is None


def test_a_critic_tells_large_differences_and_not_what_is_not_there():
    small, large = power(POOL, "JS", 0.1, (1500, 300, 600), repeats=2, rounds=8)
    assert (small.size, large.size) == (0.1, 0.2)
    assert large.told == large.refuted == 2
    assert small.refuted == 0  # at eps itself a refutation would be wrong
    (tiny, _) = power(POOL, "JS", 1e-5, (300, 60, 100), repeats=2, rounds=3)
    assert tiny.refuted == 0
    assert "told 2 of 2" in sentence([large], 0.1)


def test_wrong_arguments():
    with pytest.raises(InputError, match="above 0"):
        power(POOL, "JS", 0.0, (10, 10, 10))
    with pytest.raises(InputError, match="100 samples or more"):
        power((POOL[0][:50],), "JS", 0.1, (10, 10, 10))
