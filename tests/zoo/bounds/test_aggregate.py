"""Upper bounds by the mixture of held-out posteriors: above the truth, near it where broad."""

import math

import numpy as np
import pytest
from linear_gaussian import LinearGaussian
from planted_codes import PlantedCodes

from zoo.bounds.aggregate import Aggregate, _log_densities, upper_bounds
from zoo.bounds.moments import MomentMatched
from zoo.bounds.variational import Candidate, Ratios, lower_bound
from zoo.errors import InputError
from zoo.metrics import log_aggregate_posterior


def js(u):
    return 0.5 * (u * np.log(2 * u / (1 + u)) + np.log(2 / (1 + u)))


def kl(u):
    return u * np.log(u)


def reverse_kl(u):
    return -np.log(u)


def tv(u):
    return 0.5 * np.abs(u - 1)


def h2(u):
    return (np.sqrt(u) - 1) ** 2


def chi2(u):
    return (u - 1) ** 2


NAMES = {
    ("KL", False): kl,
    ("KL", True): reverse_kl,
    ("JS", False): js,
    ("TV", False): tv,
    ("H2", False): h2,
    ("CHI2", False): chi2,
    ("RKL", False): reverse_kl,
}


def test_holds_in_repeats():
    """Of 100 repeats the upper limit is above the truth in 93 or more, for every divergence."""
    model = PlantedCodes(apart=0.9, s=0.5, t=0.4)
    truths = [model.truth(f) for f in NAMES.values()]
    above, values = np.zeros(len(NAMES)), []
    for seed in range(100):
        aggregate = Aggregate.of(model, model.data(200, seed), seed)
        bounds = upper_bounds(aggregate, NAMES, draws=2000, seed=seed)
        above += [b.limit >= truth for b, truth in zip(bounds, truths, strict=True)]
        values.append([b.value for b in bounds])
    assert np.all(above >= 93), dict(zip(NAMES, above, strict=True))
    # It is an upper bound on average, and 200 broad posteriors make it a near one.
    mean = np.mean(values, axis=0)
    error = np.std(values, axis=0) / 10
    assert np.all(mean >= truths - 2 * error)
    assert mean[2] == pytest.approx(truths[2], abs=0.02)


def test_linear_gaussian_in_repeats():
    model = LinearGaussian(k=3, d=6, spread=1.3, shift=0.3)
    mean, covariance = model.q_z
    truth = 0.5 * (np.trace(covariance) + mean @ mean - 3 - np.linalg.slogdet(covariance)[1])
    limits = [
        upper_bounds(Aggregate.of(model, model.data(300, seed), seed), [("KL", False)], seed=seed)[
            0
        ].limit
        for seed in range(100)
    ]
    assert np.sum(np.array(limits) >= truth) >= 95


@pytest.mark.parametrize("by", ["moments", "mixture"])
@pytest.mark.parametrize("name", ["KL", "JS"])
def test_lower_bounds_by_densities_hold_in_repeats(name, by):
    """Fitted to 100 examples, chosen on 40, read on 80: below the truth in 93 of 100 repeats."""
    model = PlantedCodes(apart=0.9, s=0.5, t=0.4)
    truth = model.truth({"KL": kl, "JS": js}[name])
    below = 0
    for seed in range(100):
        fit, choose, read = (
            Aggregate.of(model, model.data(n, 3 * seed + i), 3 * seed + i)
            for i, n in enumerate((100, 40, 80))
        )
        log_ratio = fit.log_ratio if by == "mixture" else _of_moments(fit)
        random = np.random.default_rng(seed)
        ratios = [
            Ratios.of(log_ratio(part.codes), log_ratio(random.normal(size=(part.size, 1))))
            for part in (choose, read)
        ]
        bound = lower_bound(name, [Candidate(by, *ratios, normalised=True)])
        below += bound.limit <= truth
    assert below >= 93


def _of_moments(fit):
    normal = MomentMatched(fit.codes)
    return lambda z: normal.log_prob(z) - fit.log_prior(z)


def test_loose_where_posteriors_are_narrow():
    # RATE far above log N: the bound is RATE - log N, whatever q(z) is.
    model = PlantedCodes(apart=0.0, s=1e-3, t=1.0, k=4)
    (bound,) = upper_bounds(Aggregate.of(model, model.data(400)), [("KL", False)])
    assert bound.limit > 4 * (math.log(1e3) - 0.5) - math.log(400) - 1


def test_densities_are_those_of_tfp():
    model = LinearGaussian(k=3, d=6)
    aggregate = Aggregate.of(model, model.data(60))
    z = aggregate.codes[:15]
    expected = log_aggregate_posterior(aggregate.posteriors, z)
    found = np.logaddexp.reduce(aggregate.block_densities(z), axis=0) - math.log(60)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    # The general way, for posteriors that are no diagonal normals
    posterior = model.encode(model.data(7))
    by_matrices = _log_densities(posterior)(z)

    class Opaque:
        log_prob = staticmethod(posterior.log_prob)

    np.testing.assert_allclose(_log_densities(Opaque())(z), by_matrices, rtol=1e-5)


def test_deterministic():
    model = PlantedCodes()
    once, again = (
        upper_bounds(Aggregate.of(model, model.data(50), 3), [("JS", False)], seed=3)
        for _ in range(2)
    )
    assert once == again


def test_too_few():
    model = PlantedCodes()
    with pytest.raises(InputError, match="give 20 or more"):
        Aggregate.of(model, model.data(19))
