"""Priors: the JSON they are written to, what is refused, and why."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from zoo import errors, priors

tfd = tfp.distributions


def independent(distribution):
    return tfd.Independent(distribution, reinterpreted_batch_ndims=1)


PRIORS = {
    "standard normal": lambda: priors.standard_normal(3),
    "lists": lambda: tfd.MultivariateNormalDiag([0.0, 1.0], [1.0, 0.1]),
    "arrays": lambda: independent(tfd.Normal(np.float32([0.1, -7.3]), np.float32([1, 1 / 3]))),
    "matrix": lambda: tfd.MultivariateNormalTriL([1.0, 2.0], tf.constant([[1.0, 0.0], [0.5, 2.0]])),
    "uniform": lambda: independent(tfd.Uniform([-1.0, -1.0], [1.0, 2.0])),
    "sample": lambda: tfd.Sample(tfd.Laplace(0.0, 2.0), sample_shape=4),
    "mixture of one family": lambda: tfd.MixtureSameFamily(
        tfd.Categorical(probs=[0.2, 0.8]),
        tfd.MultivariateNormalDiag(tf.constant([[0.0, 1.0], [2.0, 3.0]]), tf.ones([2, 2])),
    ),
    "mixture": lambda: tfd.Mixture(
        cat=tfd.Categorical(logits=[0.0, 1.0]),
        components=[priors.standard_normal(2), independent(tfd.Laplace([1.0, 2.0], 1.0))],
    ),
    "infinite bound": lambda: independent(
        tfd.TruncatedNormal([0.0, 0.0], 1.0, low=-1.0, high=float("inf"))
    ),
    "infinite bounds": lambda: independent(
        tfd.TruncatedNormal([0.0, 0.0], 1.0, low=tf.constant([-np.inf, 0.0]), high=9.0)
    ),
    "dtype and text": lambda: tfd.OneHotCategorical([0.0, 1.0, 2.0], dtype=tf.float32, name="code"),
    "code and noise": lambda: tfd.Blockwise(
        [tfd.OneHotCategorical([0.0, 1.0], dtype=tf.float32), priors.standard_normal(2)]
    ),
    "blocks": lambda: tfd.Blockwise([tfd.Normal(0.0, 1.0), tfd.VonMisesFisher([1.0, 0.0], 2.0)]),
    "variable": lambda: tfd.MultivariateNormalDiag(tf.Variable([1.0, 2.0]), [1.0, 1.0]),
    "reshaped": lambda: tfd.BatchReshape(priors.standard_normal(2), batch_shape=[]),
}


@pytest.mark.parametrize("name", PRIORS)
def test_json_gives_back_the_same_distribution(name):
    prior = PRIORS[name]()
    text = json.dumps(priors.serialise(prior), allow_nan=False)
    read = priors.deserialise(json.loads(text))
    z, again = prior.sample(5, seed=(1, 2)), read.sample(5, seed=(1, 2))
    np.testing.assert_array_equal(z, again)
    z = z.numpy()  # a copy: bijectors remember where their own samples came from
    np.testing.assert_array_equal(prior.log_prob(z), read.log_prob(z))
    assert type(read) is type(prior)
    assert json.dumps(priors.serialise(read)) == text


def test_what_is_written_is_short_and_readable():
    assert priors.serialise(tfd.MultivariateNormalDiag([0.0, 1.0], [1.0, 2.0])) == {
        "class_name": "MultivariateNormalDiag",
        "parameters": {"loc": [0.0, 1.0], "scale_diag": [1.0, 2.0]},
    }


def test_standard_normal_against_its_formula():
    z = np.float32([[0.0, 0.0, 0.0], [1.0, -2.0, 0.5]])
    expected = -0.5 * (z**2).sum(1) - 1.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(priors.standard_normal(3).log_prob(z), expected, rtol=1e-6)
    assert priors.latent_dim(priors.standard_normal(3)) == 3
    assert priors.event_shape(priors.standard_normal(3)) == (3,)


@pytest.mark.parametrize("dim", [0, -1, 2.0, "2"])
def test_standard_normal_needs_a_dimension(dim):
    with pytest.raises(errors.InputError, match="latent_dim is"):
        priors.standard_normal(dim)


@pytest.mark.parametrize(
    ("prior", "reason"),
    [
        (lambda: tfd.Normal(0.0, 1.0), r"event shape \(\)"),
        (lambda: tfd.Normal([0.0, 1.0], 1.0), r"batch shape \(2,\)"),
        (lambda: tfd.MultivariateNormalDiag(tf.zeros([2, 3])), r"batch shape \(2,\)"),
        (lambda: tfd.Sample(tfd.Normal(0.0, 1.0), [2, 3]), r"event shape \(2, 3\)"),
        (lambda: independent(tfd.Normal(np.zeros(2), 1.0)), "dtype float64"),
        (lambda: tfd.OneHotCategorical([0.0, 1.0]), "dtype int32"),
        (lambda: tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0)]), "several events"),
        (lambda: "standard normal", "'standard normal'"),
    ],
)
def test_a_prior_is_one_distribution_over_float32_vectors(prior, reason):
    with pytest.raises(errors.InputError, match=reason):
        priors.event_shape(prior())
    with pytest.raises(errors.InputError, match=reason):
        priors.serialise(prior())


def test_a_parameter_that_cannot_be_written_is_named():
    flow = tfd.TransformedDistribution(priors.standard_normal(2), tfp.bijectors.Exp())
    with pytest.raises(errors.InputError, match=r"prior\.bijector is a Exp"):
        priors.serialise(flow)
    mixture = tfd.Mixture(
        cat=tfd.Categorical(logits=[0.0, 1.0]), components=[priors.standard_normal(2), flow]
    )
    with pytest.raises(errors.InputError, match=r"prior\.components\[1\]\.bijector"):
        priors.serialise(mixture)


def test_a_class_of_ones_own_is_refused():
    class Own(tfd.MultivariateNormalDiag):
        pass

    with pytest.raises(errors.InputError, match="Own"):
        priors.serialise(Own([0.0, 1.0]))


def test_a_traced_tensor_is_refused():
    @tf.function
    def traced(location):
        with pytest.raises(errors.InputError, match=r"prior\.distribution\.loc"):
            priors.serialise(independent(tfd.Normal(location, 1.0)))
        return location

    traced(tf.zeros(2))


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("Normal", "must be a dict"),
        ({"class_name": "Normal"}, "must be a dict of"),
        ({"class_name": "Nrmal", "parameters": {}}, "did you mean 'Normal'"),
        ({"class_name": "Normal", "parameters": [1]}, "must be a dict"),
        ({"class_name": "Normal", "parameters": {"loc": 0.0}}, "refuses its parameters"),
        ({"class_name": "Normal", "parameters": {"mean": 0.0, "scale": 1.0}}, "refuses"),
        ({"class_name": "os.system", "parameters": {}}, "Unknown distribution"),
        ({"class_name": "_Empty", "parameters": {}}, "Unknown distribution"),
        ({"class_name": "Normal", "parameters": {"loc": {"a": 1}}}, r"prior\.loc is"),
        (
            {"class_name": "Normal", "parameters": {"loc": {"dtype": "float3"}}},
            r"prior\.loc cannot",
        ),
        (
            {
                "class_name": "Normal",
                "parameters": {"loc": {"dtype": "float32", "shape": [3], "values": [1.0]}},
            },
            r"prior\.loc cannot be read",
        ),
        ({"class_name": "Normal", "parameters": {"loc": 0.0, "scale": 1.0}}, "event shape"),
    ],
)
def test_a_config_that_is_no_prior_is_refused_in_one_sentence(config, reason):
    with pytest.raises(errors.InputError, match=reason):
        priors.deserialise(config)


@pytest.mark.parametrize("shape", [(28, 28, 1), (5,)])
def test_an_empirical_prior_is_its_shape(shape):
    prior = priors.Empirical(shape)
    assert priors.event_shape(prior) == shape
    assert (prior.batch_shape, prior.dtype) == ((), tf.float32)
    config = priors.serialise(prior)
    assert config == {
        "class_name": "zoo.Empirical",
        "parameters": {"event_shape": list(shape)},
    }
    read = priors.deserialise(json.loads(json.dumps(config)))
    assert isinstance(read, priors.Empirical)
    assert priors.event_shape(read) == shape
    assert priors.serialise(read) == config


def test_an_empirical_prior_leaves_samples_and_densities_to_the_data():
    prior = priors.Empirical((4, 4, 1))
    with pytest.raises(errors.InputError, match=r"take z from the batches \(x, z\)"):
        prior.sample(3, seed=(1, 2))
    with pytest.raises(errors.InputError, match="has no density"):
        prior.log_prob(tf.zeros([3, 4, 4, 1]))
    with pytest.raises(errors.InputError, match=r"shape \(4, 4, 1\): give a prior over vectors"):
        priors.latent_dim(prior)


@pytest.mark.parametrize("shape", [(), (2, 0), (2.0,), 3, "33", (True,)])
def test_an_empirical_prior_needs_a_shape(shape):
    with pytest.raises(errors.InputError, match="event_shape is"):
        priors.Empirical(shape)


def test_an_empirical_prior_is_over_vectors_or_images():
    with pytest.raises(errors.InputError, match=r"event shape \(4, 4\)"):
        priors.event_shape(priors.Empirical((4, 4)))
