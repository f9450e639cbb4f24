"""Lower bounds below the truth whatever log ratio they are given, and near it with a good one."""

import math

import numpy as np
import pytest
from planted_codes import PlantedCodes

from zoo.bounds.moments import MomentMatched
from zoo.bounds.variational import Candidate, Ratios, lower_bound
from zoo.errors import InputError

SHIFT, DIM = 0.5, 3  # q = N(shift, I) in each of 3 dimensions, p = N(0, I)
KL = 0.5 * DIM * SHIFT**2
NAMES = {"KL": KL, "FKL": KL, "RKL": KL, "CHI2": math.exp(2 * KL) - 1}


def pair(n, random, draws=2):
    return random.normal(SHIFT, 1, (n, draws, DIM)), random.normal(0, 1, (n, draws, DIM))


def candidate(log_ratio, n, seed, normalised=False):
    random = np.random.default_rng(seed)
    sets = [pair(size, random) for size in (200, n)]
    choose, read = (Ratios.of(log_ratio(q), log_ratio(p)) for q, p in sets)
    return Candidate("planted", choose, read, normalised)


def exact(z):
    return SHIFT * z.sum(-1) - KL


def wrong(z):
    # A critic that overrates what it was fitted to
    return 2.0 * exact(z) + 0.8 * np.sin(3 * z[..., 0]) + 0.5


@pytest.mark.parametrize("log_ratio", [exact, wrong])
@pytest.mark.parametrize("name", NAMES)
def test_below_the_truth_in_repeats(name, log_ratio):
    """Of 100 repeats the lower limit is below the truth in 93 or more."""
    limits = [lower_bound(name, [candidate(log_ratio, 150, seed)]).limit for seed in range(100)]
    assert np.sum(np.array(limits) <= NAMES[name]) >= 93


def test_near_the_truth_with_the_log_ratio():
    bound = lower_bound("KL", [candidate(exact, 20_000, 0)])
    assert bound.limit == pytest.approx(KL, abs=0.03)
    # With normalised densities E_p[e^V] needs no samples.
    assert lower_bound("KL", [candidate(exact, 20_000, 0, normalised=True)]).limit == pytest.approx(
        KL, abs=0.03
    )
    reverse = lower_bound("KL", [candidate(exact, 20_000, 0)], reverse=True)
    assert reverse.limit == pytest.approx(KL, abs=0.03)


def test_no_difference_in_repeats():
    """At q = p the limit is above 0 in few of 200 repeats, however the critic was overfitted."""
    above = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        choose, read = (
            Ratios.of(*(random.normal(0, 1.5, (n, 2)) for _ in range(2))) for n in (100, 200)
        )
        above += lower_bound("JS", [Candidate("noise", choose, read)]).limit > 0
    assert above <= 14


def test_the_best_candidate_is_read():
    good, bad = candidate(exact, 500, 1), candidate(lambda z: -exact(z), 500, 1)
    both = lower_bound("JS", [bad, Candidate("good", good.choose, good.read)])
    assert both.method == "good"
    assert both.limit > lower_bound("JS", [bad]).limit
    # A candidate that chose on what it was fitted to shows nothing on the other sample.
    lie = Candidate("lie", Ratios.of(np.full(99, 9.0), np.full(99, -9.0)), bad.read)
    assert lower_bound("JS", [lie]).limit < 0


def test_draws_of_one_example_count_as_one():
    v = np.random.default_rng(0).normal(0.5, 1, 400)
    once = Candidate("one", Ratios.of(v, -v), Ratios.of(v, -v))
    copied = Ratios.of(np.repeat(v[:, None], 9, 1), np.repeat(-v[:, None], 9, 1))
    often = Candidate("nine", copied, copied)
    assert lower_bound("JS", [often]).limit == pytest.approx(lower_bound("JS", [once]).limit)


def test_wrong_arguments():
    with pytest.raises(InputError, match="give a candidate"):
        lower_bound("JS", [])
    few = Ratios.of(np.zeros(5), np.zeros(5))
    with pytest.raises(InputError, match="read on 5 examples"):
        lower_bound("JS", [Candidate("few", few, few)])


def test_what_is_not_finite_bounds_nothing():
    broken = Ratios.of(np.full(20, np.nan), np.zeros(20))
    assert lower_bound("JS", [Candidate("broken", broken, broken)]).limit == -math.inf


def test_moments_bound_the_kl_from_below():
    model = PlantedCodes(apart=0.0, s=0.5, t=0.5, k=3)
    random = np.random.default_rng(0)
    codes = random.normal([2.0, 0, 0], [1.0, 0.3, 1.0], (5000, 3))
    normal = MomentMatched(codes[:2500])
    log_p = np.asarray(model.prior.log_prob(codes[2500:].astype(np.float32)))
    found = np.mean(normal.log_prob(codes[2500:]) - log_p)
    truth = 2.0 + 0.5 * (0.3**2 - 1 - 2 * math.log(0.3))
    assert found == pytest.approx(truth, abs=0.12)
    assert normal.log_prob(codes).shape == (5000,)


def test_moments_of_few_codes():
    normal = MomentMatched(np.random.default_rng(0).normal(size=(3, 8)))
    assert np.all(np.isfinite(normal.log_prob(np.zeros((2, 8)))))
    with pytest.raises(InputError, match="give two or more"):
        MomentMatched(np.zeros((1, 8)))
