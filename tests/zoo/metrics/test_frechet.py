import numpy as np
import pytest
from scipy.linalg import sqrtm

from zoo.errors import InputError
from zoo.metrics.frechet import frechet_distance

F = 6


def _normals(n, seed, shift=0.0, scales=1.0):
    return np.random.default_rng(seed).normal(size=(n, F)) * scales + shift


def test_it_is_the_formula():
    a = _normals(100, 0) @ np.random.default_rng(2).normal(size=(F, F))
    b = _normals(90, 1, shift=0.3) @ np.random.default_rng(3).normal(size=(F, F))
    s, t = np.cov(a.T), np.cov(b.T)
    apart = a.mean(axis=0) - b.mean(axis=0)
    # |m - m'|^2 + tr(S + S' - 2 (S S')^(1/2))
    expected = apart @ apart + np.trace(s + t - 2 * sqrtm(s @ t).real)
    found = frechet_distance(a, b)
    # sqrtm of a product that is not symmetric is good to about 1e-8.
    assert found.value == pytest.approx(expected, rel=1e-6)
    assert found.size == 90


def test_equal_sets_are_at_distance_0():
    a = _normals(50, 0)
    assert frechet_distance(a, a).value == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("shift", "stretch"), [(0.0, 1.0), (0.3, 1.5)])
def test_intervals_cover_the_distance_of_normals(shift, stretch):
    scales = np.linspace(0.5, 2.0, F)
    truth = F * shift**2 + np.sum((scales - stretch * scales) ** 2)
    hits = 0
    for seed in range(40):
        a = _normals(300, seed, 0.0, scales)
        b = _normals(300, 1000 + seed, shift, stretch * scales)
        low, high = frechet_distance(a, b, seed).interval
        hits += low <= truth <= high
    assert hits >= 36


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (np.zeros((20, 3)), np.zeros((20, 4)), r"shape \(20, 3\)"),
        (np.zeros((5, 3)), np.zeros((20, 3)), "give 6 or more"),
        (np.full((20, 3), np.nan), np.zeros((20, 3)), "not finite"),
    ],
)
def test_wrong_input(a, b, words):
    with pytest.raises(InputError, match=words):
        frechet_distance(a, b)


def test_many_features_have_no_interval():
    rng = np.random.default_rng(0)
    found = frechet_distance(rng.normal(size=(520, 257)), rng.normal(size=(520, 257)))
    assert found.interval is None
    assert "257 features" in found.notes[0]
