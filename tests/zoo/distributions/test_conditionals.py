"""Conditionals: what calling one gives, its variables, precision, saving, and XLA."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from zoo import errors, networks, priors
from zoo.distributions import conditionals, likelihoods

SHAPE = (3, 4, 2)
CONDITION = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")
X = np.random.default_rng(1).uniform(size=(6, *SHAPE)).astype("float32")

FAMILIES = {
    "bernoulli": likelihoods.Bernoulli(),
    "normal": likelihoods.Normal(0.5),
    "normal learned": likelihoods.Normal("learned"),
    "normal per element": likelihoods.Normal("per_element"),
    "laplace": likelihoods.Laplace(0.5),
    "laplace learned": likelihoods.Laplace("learned"),
    "laplace per element": likelihoods.Laplace("per_element"),
}


def conditional(family, **kwargs):
    network = networks.get("mlp").decoder(5, SHAPE, family.params_per_element, hidden=(8,), seed=0)
    return conditionals.Conditional(network, family, **kwargs)


@pytest.fixture(params=FAMILIES)
def family(request):
    return FAMILIES[request.param]


def test_a_call_returns_a_distribution_of_the_variable(family):
    p = conditional(family)
    distribution = p(CONDITION)
    assert isinstance(distribution, tfp.distributions.Distribution)
    assert distribution.batch_shape == (6,)
    assert distribution.event_shape == SHAPE == p.event_shape
    assert distribution.log_prob(X).shape == (6,)
    assert distribution.sample(seed=(1, 2)).dtype == tf.float32
    assert p.has_density
    assert (p.kind, p.condition_shape) == (family.name, (5,))
    expected = family.distribution(p.network(CONDITION), p.raw_scale).log_prob(X)
    np.testing.assert_array_equal(distribution.log_prob(X), expected)
    np.testing.assert_array_equal(p.mean(CONDITION), distribution.mean())


def test_variables_are_the_networks_and_the_learned_scale(family):
    p = conditional(family)
    extra = 1 if family.learns_scale else 0
    assert len(p.trainable_variables) == len(p.network.trainable_variables) + extra
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(p(CONDITION).log_prob(X))
    for gradient in tape.gradient(loss, p.trainable_variables):
        assert np.all(np.isfinite(gradient))
        assert np.any(gradient != 0)


def test_xla_and_eager_agree(family):
    p = conditional(family)

    def values(condition, x, seed):
        with tf.GradientTape() as tape:
            distribution = p(condition, training=True)
            loss = tf.reduce_mean(distribution.log_prob(x))
        sample = p.relaxed_sample(distribution, seed)
        return sample, loss, tape.gradient(loss, p.trainable_variables)

    arguments = tf.constant(CONDITION), tf.constant(X), tf.constant([3, 4], tf.int64)
    # The samples are not compared: TensorFlow draws other numbers from a seed under XLA.
    sample, *eager = tf.nest.flatten(values(*arguments))
    other_sample, *compiled = tf.nest.flatten(tf.function(values, jit_compile=True)(*arguments))
    assert sample.shape == other_sample.shape
    assert np.all(np.isfinite(other_sample))
    for one, other in zip(eager, compiled, strict=True):
        # Two orders of summation over up to 24 * 6 float32 numbers.
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_relaxed_sample():
    p = conditional(likelihoods.Bernoulli())
    relaxed = p.relaxed_sample(p(CONDITION), (1, 2))
    np.testing.assert_allclose(relaxed, 1 / (1 + np.exp(-p.network(CONDITION))), rtol=1e-5)
    p = conditional(likelihoods.Normal("learned"))
    relaxed = p.relaxed_sample(p(CONDITION), (1, 2))
    np.testing.assert_array_equal(relaxed, p(CONDITION).sample(seed=(1, 2)))
    assert np.any(relaxed != p.relaxed_sample(p(CONDITION), (1, 3)))
    p = conditional(likelihoods.Laplace(shows="mean"))
    np.testing.assert_array_equal(p.relaxed_sample(p(CONDITION), (1, 2)), p.mean(CONDITION))


def test_any_integer_seed_is_taken():
    for dtype in ("int32", "int64", "uint32"):
        seed = conditionals.stateless_seed(np.array([7, 8], dtype))
        assert seed.dtype == tf.int32
        np.testing.assert_array_equal(seed, [7, 8])
    assert conditionals.stateless_seed(keras.random.SeedGenerator(3).next()).shape == (2,)


@pytest.mark.parametrize("seed", [1, [1, 2, 3], [1.0, 2.0]])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(errors.InputError, match="give two whole numbers"):
        conditionals.stateless_seed(seed)


def test_densities_are_float32_whatever_the_network_computes_in(family):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        p = conditional(family)
        assert p.network(CONDITION).dtype == tf.bfloat16
        assert p(CONDITION).log_prob(X).dtype == tf.float32
        assert p(CONDITION).mean().dtype == tf.float32
        # The sum of 24 terms in bfloat16 would be wrong by about 1e-2.
        params = tf.cast(p.network(CONDITION), tf.float32)
        expected = family.distribution(params, p.raw_scale).log_prob(X)
        np.testing.assert_allclose(p(CONDITION).log_prob(X), expected, rtol=1e-6)
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_learned_scale_keeps_float32_inside_a_bfloat16_layer():
    p = conditional(likelihoods.Normal("learned"))
    p.raw_scale.assign(1.2345678)

    class Outer(keras.layers.Layer):
        def call(self, inputs):
            return p(inputs).distribution.scale

    scale = 0.01 + np.log1p(np.exp(np.float32(1.2345678)))
    inside = Outer(dtype="mixed_bfloat16")(CONDITION)
    np.testing.assert_allclose(np.unique(inside), scale, rtol=1e-6)


@keras.saving.register_keras_serializable("test")
class Autoencoder(keras.Model):
    """The least model: two conditionals, a loss and a training step through fit."""

    def __init__(self, encoder, decoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder
        self.decoder = decoder

    def call(self, inputs, training=False):
        posterior = self.encoder(inputs, training=training)
        latent = posterior.sample(seed=conditionals.stateless_seed([0, 0]))
        self.add_loss(tf.reduce_mean(posterior.kl_divergence(priors.standard_normal(5))))
        self.add_loss(-tf.reduce_mean(self.decoder(latent, training=training).log_prob(inputs)))
        return self.decoder.mean(latent)

    def get_config(self):
        layers = {"encoder": self.encoder, "decoder": self.decoder}
        serialise = keras.saving.serialize_keras_object
        return {**super().get_config(), **{name: serialise(v) for name, v in layers.items()}}

    @classmethod
    def from_config(cls, config):
        for name in ("encoder", "decoder"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


def autoencoder():
    encoder = networks.get("mlp").encoder(SHAPE, 10, hidden=(8,), seed=0)
    return Autoencoder(
        conditionals.Conditional(encoder, likelihoods.Normal("per_element"), (5,)),
        conditional(likelihoods.Normal("learned"), event_shape=SHAPE),
    )


@pytest.mark.parametrize("jit", [False, True])
def test_fit_and_save_as_part_of_a_keras_model(jit, tmp_path):
    model = autoencoder()
    model.compile("adam", jit_compile=jit)
    history = model.fit(X, epochs=3, batch_size=3, verbose=0).history["loss"]
    assert history[-1] < history[0]
    model.decoder.raw_scale.assign(0.3)
    model.save(tmp_path / "model.keras")
    read = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(read.decoder.raw_scale, np.float32(0.3))
    np.testing.assert_array_equal(model(X), read(X))
    np.testing.assert_array_equal(
        model.encoder(X).log_prob(CONDITION), read.encoder(X).log_prob(CONDITION)
    )


def test_config_and_weights_round_trip(family, tmp_path):
    p = conditional(family, name="decoder")
    for variable in p.trainable_variables:
        variable.assign_add(tf.fill(variable.shape, 0.01))
    read = conditionals.Conditional.from_config(p.get_config())
    assert read.name == "decoder"
    assert read.event_shape == SHAPE
    read.set_weights(p.get_weights())
    np.testing.assert_array_equal(p(CONDITION).log_prob(X), read(CONDITION).log_prob(X))


def test_it_can_be_exported_as_a_saved_model(tmp_path):
    p = conditional(likelihoods.Normal("learned"))
    archive = keras.export.ExportArchive()
    archive.track(p)
    spec = tf.TensorSpec([None, 5], tf.float32)
    archive.add_endpoint("decode", lambda z: p(z).mean(), input_signature=[spec])
    archive.write_out(tmp_path / "saved", verbose=False)
    served = tf.saved_model.load(tmp_path / "saved")
    np.testing.assert_array_equal(served.decode(tf.constant(CONDITION)), p.mean(CONDITION))


def test_a_symbolic_call_is_refused_with_the_way_out():
    with pytest.raises(errors.InputError, match=r"call its \.network"):
        conditional(likelihoods.Bernoulli())(keras.Input((5,)))


def test_networks_that_do_not_fit_are_refused():
    network = networks.get("mlp").decoder(5, SHAPE, hidden=(8,))
    with pytest.raises(errors.InputError, match=r"shape \(3, 4, 2\).*shape \(3, 4, 3\)"):
        conditionals.Conditional(network, likelihoods.Bernoulli(), (3, 4, 3))
    with pytest.raises(errors.InputError, match=r"shape \(3, 4, 2\).* needs \(3, 4, 4\)"):
        conditionals.Conditional(network, likelihoods.Normal("per_element"), SHAPE)
    network = networks.get("mlp").encoder(SHAPE, 5, hidden=(8,))
    with pytest.raises(errors.InputError, match="multiple of 2"):
        conditionals.Conditional(network, likelihoods.Normal("per_element"))
    with pytest.raises(errors.InputError, match=r"needs \(\)"):
        conditionals.Conditional(network, likelihoods.Bernoulli(), ())
    with pytest.raises(errors.InputError, match=r"likelihoods\.family"):
        conditionals.Conditional(network, "bernoulli")
