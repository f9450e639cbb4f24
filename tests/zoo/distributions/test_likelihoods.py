"""Families: log densities against their formulas, scales, floors, configs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo import errors
from zoo.distributions import likelihoods

# Sums of at most 12 float32 terms of size about 1.
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}

rng = np.random.default_rng(0)
X = rng.uniform(size=(5, 2, 2, 3)).astype("float32")
PARAMS = rng.normal(size=(5, 2, 2, 3)).astype("float32")
OFFSETS = rng.normal(size=(5, 2, 2, 3)).astype("float32")


def softplus(value):
    return np.log1p(np.exp(value))


def test_bernoulli_is_the_cross_entropy_also_between_0_and_1():
    distribution = likelihoods.family("bernoulli").distribution(tf.constant(PARAMS))
    expected = (X * PARAMS - softplus(PARAMS)).sum((1, 2, 3))
    np.testing.assert_allclose(distribution.log_prob(X), expected, **TOLERANCE)
    probabilities = 1 / (1 + np.exp(-PARAMS))
    cross_entropy = X * np.log(probabilities) + (1 - X) * np.log(1 - probabilities)
    np.testing.assert_allclose(
        distribution.log_prob(tf.constant(X)), cross_entropy.sum((1, 2, 3)), **TOLERANCE
    )


def test_bernoulli_logits_may_be_extreme():
    distribution = likelihoods.family("bernoulli").distribution(tf.constant([[200.0, -200.0]]))
    np.testing.assert_allclose(distribution.log_prob([[1.0, 0.0]]), [0.0])
    np.testing.assert_allclose(distribution.log_prob([[0.0, 1.0]]), [-400.0])


def normal(x, mean, scale):
    return (-((x - mean) ** 2) / (2 * scale**2) - np.log(scale) - 0.5 * np.log(2 * np.pi)).sum(
        (1, 2, 3)
    )


def laplace(x, mean, scale):
    return (-np.abs(x - mean) / scale - np.log(2 * scale)).sum((1, 2, 3))


@pytest.mark.parametrize(("name", "formula"), [("normal", normal), ("laplace", laplace)])
def test_location_scale_families_against_their_formulas(name, formula):
    params, one = tf.constant(PARAMS), np.ones_like(PARAMS)
    fixed = likelihoods.family(name, scale=0.3).distribution(params)
    np.testing.assert_allclose(fixed.log_prob(X), formula(X, PARAMS, 0.3 * one), rtol=1e-5)

    family = likelihoods.family(name, scale="learned", floor=0.1)
    learned = family.distribution(params, tf.constant(-0.7))
    scale = (0.1 + softplus(-0.7)) * one
    np.testing.assert_allclose(learned.log_prob(X), formula(X, PARAMS, scale), rtol=1e-5)

    family = likelihoods.family(name, scale="per_element", floor=0.1)
    both = tf.constant(np.concatenate([PARAMS, OFFSETS], axis=-1))
    scale = 0.1 + softplus(np.log(np.expm1(0.9)) + OFFSETS)
    np.testing.assert_allclose(
        family.distribution(both).log_prob(X), formula(X, PARAMS, scale), rtol=1e-5
    )


@pytest.mark.parametrize("name", ["normal", "laplace"])
@pytest.mark.parametrize(("floor", "initial"), [(0.01, 1.0), (0.5, 1.0), (3.0, 6.0)])
def test_learned_scales_start_at_one_and_stop_at_the_floor(name, floor, initial):
    learned = likelihoods.family(name, scale="learned", floor=floor)
    raw = tf.constant([[0.0, 0.0]])
    start = learned.distribution(raw, tf.constant(learned.initial_raw_scale))
    np.testing.assert_allclose(start.distribution.scale, initial, rtol=1e-6)
    end = learned.distribution(raw, tf.constant(-1e4))
    np.testing.assert_allclose(end.distribution.scale, floor, rtol=1e-6)

    per_element = likelihoods.family(name, scale="per_element", floor=floor)
    scales = per_element.distribution(tf.constant([[0.0, 0.0, 0.0, -1e4]])).distribution.scale
    np.testing.assert_allclose(scales, [[initial, floor]], rtol=1e-6)


@pytest.mark.parametrize(
    "family",
    [
        likelihoods.Bernoulli(),
        likelihoods.Normal(),
        likelihoods.Normal(np.float32(0.5)),
        likelihoods.Normal("learned", floor=0.2),
        likelihoods.Laplace("per_element"),
        likelihoods.Laplace(shows="mean"),
    ],
)
def test_config_round_trip(family):
    config = keras.saving.serialize_keras_object(family)
    assert config["registered_name"] == f"zoo>{type(family).__name__}"
    read = keras.saving.deserialize_keras_object(config)
    assert type(read) is type(family)
    assert read.get_config() == family.get_config()
    assert read.params_per_element == family.params_per_element
    assert likelihoods.family(family.name, **family.get_config()).get_config() == read.get_config()


@pytest.mark.parametrize("name", ["normal", "laplace"])
def test_what_is_shown_for_a_sample(name):
    for shows in ("sample", "mean"):
        family = likelihoods.family(name, scale=0.3, shows=shows)
        distribution = family.distribution(tf.constant(PARAMS))
        shown = family.relaxed_sample(distribution, (1, 2))
        expected = PARAMS if shows == "mean" else distribution.sample(seed=(1, 2))
        np.testing.assert_array_equal(shown, expected)
    assert likelihoods.family(name).shows == "sample"


def test_a_config_from_before_there_was_something_to_show():
    read = likelihoods.Normal.from_config({"scale": 0.5, "floor": 0.01})
    assert read.get_config() == likelihoods.Normal(0.5).get_config()


@pytest.mark.parametrize(
    ("family", "event", "params"),
    [
        (likelihoods.Bernoulli(), (4, 4, 3), (4, 4, 3)),
        (likelihoods.Normal("per_element"), (4, 4, 3), (4, 4, 6)),
        (likelihoods.Normal("per_element"), (5,), (10,)),
        (likelihoods.Laplace("learned"), (5,), (5,)),
    ],
)
def test_shapes_there_and_back(family, event, params):
    assert family.params_shape(event) == params
    assert family.event_shape(params) == event


def test_shapes_of_no_variable():
    assert likelihoods.Normal("per_element").event_shape((5,)) is None
    assert likelihoods.Bernoulli().event_shape(()) is None


def test_names():
    # Files of other tests may have registered theirs.
    assert {"bernoulli", "laplace", "normal"} <= set(likelihoods.names())
    by_name = [name for name in likelihoods.names() if name != "table"]  # that takes columns
    assert [likelihoods.family(name).name for name in by_name] == by_name


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("bernouli", {}, "Unknown likelihood 'bernouli': did you mean 'bernoulli'"),
        ("bernoulli", {"scale": 1.0}, "no option 'scale'"),
        ("normal", {"scle": 1.0}, "did you mean 'scale'"),
        ("normal", {"shows": "means"}, "Unknown thing that a normal likelihood shows 'means': did"),
        ("normal", {"scale": "fixed"}, "Unknown scale 'fixed'"),
        ("normal", {"scale": 0.0}, r"scale is 0\.0"),
        ("laplace", {"scale": -1}, "scale is -1"),
        ("normal", {"scale": float("nan")}, "scale is nan"),
        ("normal", {"scale": True}, "scale is True"),
        ("normal", {"scale": None}, "scale is None"),
        ("normal", {"scale": "learned", "floor": 0.0}, r"floor is 0\.0"),
        ("normal", {"scale": "learned", "floor": "0.1"}, "floor is '0.1'"),
    ],
)
def test_what_cannot_be_a_likelihood_is_refused(name, options, reason):
    with pytest.raises(errors.InputError, match=reason):
        likelihoods.family(name, **options)
