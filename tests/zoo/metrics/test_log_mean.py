"""How far a log mean of weights is too low, where they tell; and that else it claims nothing."""

import itertools
import math

import numpy as np
import pytest
from interval_coverage import contains, first_order, of_weights, repeated
from linear_gaussian import LinearGaussian, encoder_off

from zoo.metrics import importance_sampling, log_mean

# Where most repeats of 60 examples tell the bias: encoder, draws
TOLD = (
    ((2, 0.5, 1.1), 64),
    ((2, 1.0, 1.0), 128),
    ((2, 2.0, 2.0), 64),
    ((5, 1.5, 1.0), 128),
    ((20, 1.0, 1.3), 128),
    ((5, 0.3, 0.8), 128),
)
# Where none can: off by several deviations, much too narrow, or of one draw
LIES = (
    ((5, 4.0, 1.0), 10),
    ((5, 4.0, 1.0), 500),
    ((20, 4.0, 1.0), 10),
    ((20, 4.0, 1.0), 500),
    ((20, 4.0, 1.0), 1),
    ((5, 4.0, 1.0), 1),
    ((1, 1.5, 0.3), 500),
    ((1, 3.0, 0.05), 500),
    ((20, 0.0, 0.5), 500),
)


def missing(found):
    """log p(x) - E log 1/S sum w, over all repeats."""
    return -float(np.mean([each.log_likelihood.mean() for each in found]))


@pytest.mark.parametrize(("encoder", "draws"), TOLD)
def test_the_bias_is_tracked_and_the_interval_contains_the_truth(encoder, draws):
    found = repeated(encoder, draws, 100)
    truth = missing(found)
    told = [each.bias.value for each in found if each.bias.value is not None]
    assert len(told) > 50
    # A third of the bias, and its noise in 60 examples.
    assert np.mean(told) == pytest.approx(truth, abs=truth / 3 + 0.003)
    assert np.max(np.abs(np.array(told) - truth)) < truth + 0.002
    assert sum(contains(each.measured, 0.0) for each in found) >= 90
    rate = encoder_off(*encoder).posterior_accuracy
    assert sum(contains(each.posterior_accuracy, rate) for each in found) >= 90
    # The same by those that told it alone
    both = [each.measured for each in found if each.bias.value is not None]
    assert sum(contains(each, 0.0) for each in both) >= 0.9 * len(both)


@pytest.mark.parametrize(("encoder", "draws"), LIES)
def test_what_cannot_be_known_is_not_claimed(encoder, draws):
    found = repeated(encoder, draws, 100, n=40)
    assert missing(found) > 0.5
    assert np.mean([first_order(each) for each in found]) < 0.5
    kl = encoder_off(*encoder).posterior_accuracy
    for name, truth in (("measured", 0.0), ("posterior_accuracy", kl)):
        bounds = [getattr(each, name) for each in found]
        claims = [each for each in bounds if each.interval[1] < math.inf]
        # An encoder a twentieth as wide as p(z|x) passes, by noise, once in hundreds.
        assert len(claims) <= 1
        assert all(each.notes for each in bounds)
        assert sum(contains(each, truth) for each in bounds) >= 93


@pytest.mark.parametrize(("widen", "draws", "two_sided"), [(1.2, 64, True), (0.5, 64, False)])
def test_coverage_of_the_estimator_itself(widen, draws, two_sided):
    model = LinearGaussian(widen=widen, shift=0.2, spread=1.2)
    n = 40
    whole = importance_sampling(model, model.data(100 * n), draws, jit_compile=False)
    found = []
    for start in range(0, 100 * n, n):
        part = slice(start, start + n)
        found.append(
            type(whole)(
                whole.log_likelihood[part],
                whole.elbo[part],
                whole.effective[part],
                whole.samples,
                whole.rises[:, part],
            )
        )
    told = sum(each.bias.value is not None for each in found)
    assert told > 90 if two_sided else told < 10
    least = 90 if two_sided else 93
    assert sum(contains(each.measured, model.log_likelihood) for each in found) >= least
    accuracy = model.posterior_accuracy
    assert sum(contains(each.posterior_accuracy, accuracy) for each in found) >= least


def test_the_rises_restated():
    log_w = np.random.default_rng(0).normal(0.0, 2.0, (19, 5))
    found = log_mean.rises(log_mean.block_sums(log_w), 19)
    levels = []
    for size in (8, 4, 2, 1):
        means = []
        for chosen in itertools.combinations(range(8), size):
            part = np.concatenate([log_w[block::8] for block in chosen])
            means.append(np.log(np.mean(np.exp(part), axis=0)))
        levels.append(np.mean(means, axis=0))
    np.testing.assert_allclose(found, -np.diff(levels, axis=0), atol=1e-12)
    assert log_mean.counts(19).tolist() == [3, 3, 3, 2, 2, 2, 2, 2]
    # E log of a mean rises with what it is the mean of.
    assert np.all(found > 0)


def test_a_power_law_is_followed():
    # L(S) = -c S^-r exactly, for all examples
    for rate in (0.7, 1.0):
        levels = -(np.array([100.0, 50.0, 25.0, 12.5]) ** -rate)
        rises = np.repeat(-np.diff(levels)[:, None], 40, axis=1)
        found = log_mean.bias(rises, np.full(40, 50.0), 100)
        assert found.value == pytest.approx(100.0**-rate)
        np.testing.assert_allclose(found.reach, 2 * 100.0**-rate)
    # Slower, nothing is told; and faster, as no law of means is, no more than by 1 / S.
    levels = -(np.array([100.0, 50.0, 25.0, 12.5]) ** -0.5)
    rises = np.repeat(-np.diff(levels)[:, None], 40, axis=1)
    assert "by up to 71% of the rise before" in log_mean.bias(rises, np.full(40, 50.0), 100).why
    levels = -(np.array([100.0, 50.0, 25.0, 12.5]) ** -2.0)
    rises = np.repeat(-np.diff(levels)[:, None], 40, axis=1)
    assert log_mean.bias(rises, np.full(40, 50.0), 100).value == pytest.approx(rises[0, 0])


def test_one_hidden_rate_is_enough_to_refuse():
    # A fifth of the encoders is far too narrow; their ESS does not show it.
    rng = np.random.default_rng(0)
    good = encoder_off(2, 0.5, 1.1).log_weights(500, 200)
    narrow = encoder_off(1, 2.0, 0.2).log_weights(500, 200, 1)
    log_w = np.where(rng.random(200) < 0.2, narrow, good)
    found = of_weights(log_w)
    assert 1 / np.mean(1 / found.effective) > 2 * log_mean.FEW
    assert found.bias.value is None
    assert "the weights have a heavy tail" in found.bias.why


def test_a_light_tail_is_not_enough():
    # The bias falls as 1 / S, but fewer than ten weights carry the sum.
    found = of_weights(encoder_off(20, 1.0, 1.3).log_weights(64, 200))
    assert np.log2(np.divide(*found.rises.mean(axis=1)[1::-1])) > log_mean.RATE + 0.1
    assert "the effective sample size is 9.3 of 64" in found.bias.why
    assert of_weights(encoder_off(20, 1.0, 1.3).log_weights(128, 200)).bias.value is not None


@pytest.mark.parametrize(
    ("draws", "n", "words"),
    [
        (1, 100, "1 draw is too few to estimate it, take 64 or more"),
        (63, 100, "63 draws are too few to estimate it, take 64 or more"),
        (64, 29, "29 examples are too few to estimate it, take 30 or more"),
    ],
)
def test_too_little_to_tell(draws, n, words):
    found = of_weights(encoder_off(2, 0.5, 1.1).log_weights(draws, n))
    assert found.bias.why == words
    assert found.measured.interval[1] == math.inf
    assert of_weights(encoder_off(2, 0.5, 1.1).log_weights(64, 30)).bias.value is not None


def test_even_weights():
    found = of_weights(np.full((8, 5), -3.0))
    assert found.bias.value == pytest.approx(0.0, abs=1e-12)
    assert found.measured.interval == pytest.approx((-3.0, -3.0))
    assert found.measured.notes == ()
    # fewer than four examples have no interval, and fewer than eight draws tell nothing
    assert of_weights(np.full((8, 3), -3.0)).measured.interval is None
    assert of_weights(np.full((7, 5), -3.0)).measured.interval == (-3.0, math.inf)


def test_weights_of_zero():
    log_w = encoder_off(2, 0.5, 1.1).log_weights(64, 40)
    log_w[:, 3] = -np.inf
    with np.errstate(invalid="ignore"):
        found = of_weights(log_w)
        assert found.bias.value is None
        assert found.measured.value == -math.inf
