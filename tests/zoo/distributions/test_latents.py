"""Latents of named blocks: their text, prior, posterior, and what the terms make of them."""

import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from zoo import errors, networks, priors, terms
from zoo.distributions import latents
from zoo.distributions.conditionals import Conditional
from zoo.distributions.likelihoods import Bernoulli
from zoo.model.joints import SampledJoints
from zoo.objectives import capabilities
from zoo.objectives.capabilities import Capabilities

tfd = tfp.distributions

TEXT = "code: categorical(10), style: uniform(2), free: normal(3), noise(4)"
PARAMS = np.random.default_rng(0).normal(size=(6, 10 + 4 + 6)).astype("float32")
SHAPE = (4, 4, 1)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def test_blocks_in_order():
    parsed = latents.parse(TEXT)
    assert parsed.dim == 19
    assert [(b.name, b.kind, b.size, b.start, b.stop) for b in parsed.blocks] == [
        ("code", "categorical", 10, 0, 10),
        ("style", "uniform", 2, 10, 12),
        ("free", "normal", 3, 12, 15),
        ("noise", "noise", 4, 15, 19),
    ]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (TEXT, ["code", "style", "free", "noise"]),
        ("categorical(2), categorical(3)", ["categorical_1", "categorical_2"]),
        ("a: normal(1), normal(2), noise(3)", ["a", "normal_2", "noise"]),
        ("noise: normal(62)", ["noise"]),
    ],
)
def test_names_and_text(text, names):
    parsed = latents.parse(text)
    assert [block.name for block in parsed.blocks] == names
    assert str(parsed) == text
    assert latents.parse(str(parsed)) == parsed


def test_spaces_and_default_names_are_normalised():
    assert str(latents.parse(" code :categorical( 10 ),noise: noise(2)")) == (
        "code: categorical(10), noise(2)"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "declare blocks, as in 'code: categorical"),
        (3, "The latents are 3"),
        ("categorical", "'categorical' declares no block.*write 'name: kind"),
        ("normal(2),", "'' declares no block"),
        ("normal(-2)", r"'normal\(-2\)' declares no block"),
        ("2nd: normal(2)", "declares no block"),
        ("code: categorial(10)", "Unknown kind of latents 'categorial': did you mean"),
        ("categorical(1)", "too small: categorical takes 2 or more"),
        ("uniform(0)", "too small: uniform takes 1 or more"),
        ("a: normal(1), a: uniform(1)", "called 'a': give each another name"),
        ("normal_2: normal(1), normal(1)", "called 'normal_2'"),
    ],
)
def test_what_is_refused_in_one_sentence(text, reason):
    with pytest.raises(errors.InputError, match=reason):
        latents.parse(text)


def test_noise_alone_has_a_prior_and_no_posterior():
    only = latents.parse("noise(3)")
    assert priors.event_shape(only.prior) == (3,)
    with pytest.raises(errors.InputError, match="noise alone"):
        _ = only.posterior


def test_prior_is_written_and_read():
    prior = latents.parse(TEXT).prior
    assert priors.event_shape(prior) == (19,)
    again = priors.deserialise(json.loads(json.dumps(priors.serialise(prior), allow_nan=False)))
    z = prior.sample(2000, seed=(1, 2))
    np.testing.assert_array_equal(z, again.sample(2000, seed=(1, 2)))
    np.testing.assert_array_equal(prior.log_prob(z), again.log_prob(z))
    z = z.numpy()
    np.testing.assert_array_equal(np.sort(z[:, :10])[:, [0, 8, 9]], [[0, 0, 1]] * 2000)
    assert np.abs(z[:, 10:12]).max() <= 1
    # log p = -log 10 - 2 log 2 - 1/2 sum z^2 - 7/2 log 2 pi
    expected = -np.log(40) - 0.5 * (z[:, 12:] ** 2).sum(1) - 3.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(prior.log_prob(z), expected, rtol=1e-5)


def test_posterior_reads_what_each_block_needs():
    family = latents.parse(TEXT).posterior
    assert family.params_shape((19,)) == (20,)
    assert family.event_shape((20,)) == (19,)
    assert family.event_shape((19,)) is None
    q = family.distribution(tf.constant(PARAMS))
    assert (q.batch_shape, q.event_shape) == ((6,), (19,))
    code, style, free, noise = q.distributions
    np.testing.assert_allclose(code.mean(), softmax(PARAMS[:, :10]), rtol=1e-5)
    np.testing.assert_allclose(style.distribution.loc, np.tanh(PARAMS[:, 10:12]), rtol=1e-5)
    scale = 0.01 + 10 / (1 + 9 * np.exp(-PARAMS[:, 12:14]))
    np.testing.assert_allclose(style.distribution.scale, scale, rtol=1e-5)
    np.testing.assert_allclose(free.mean(), PARAMS[:, 14:17])
    np.testing.assert_array_equal(noise.mean(), np.zeros((6, 4)))
    np.testing.assert_array_equal(noise.stddev(), np.ones((6, 4)))
    assert q.log_prob(latents.parse(TEXT).prior.sample(6, seed=(1, 2))).shape == (6,)


def test_all_zero_outputs_start_near_the_prior():
    parsed = latents.parse(TEXT)
    q = parsed.posterior.distribution(tf.zeros([1, 20]))
    # The truncated normal of scale 1.01 is .02 nats from the uniform, each of the two.
    np.testing.assert_allclose(q.kl_divergence(parsed.prior), 0.0, atol=0.05)


def test_relaxed_sample():
    family = latents.BlockPosterior(TEXT, temperature=0.5)
    q = family.distribution(tf.constant(PARAMS))
    z = family.relaxed_sample(q, (1, 2)).numpy()
    assert z.shape == (6, 19)
    np.testing.assert_allclose(z[:, :10].sum(1), 1.0, rtol=1e-5)
    assert np.all((z[:, :10] > 0) & (z[:, :10] < 1))
    assert np.abs(z[:, 10:12]).max() <= 1
    cold = latents.BlockPosterior(TEXT, temperature=1e-4)
    many = cold.distribution(tf.repeat(PARAMS[:1], 20_000, axis=0))
    z = cold.relaxed_sample(many, (1, 2))
    # Cold samples are those of the categorical: five standard errors of a share of 20,000.
    np.testing.assert_allclose(np.mean(z[:, :10], 0), softmax(PARAMS[0, :10]), atol=0.018)


def joints(parsed, params, x_p=None):
    """Returns joints whose encoder says `params` of whatever it is shown."""

    class Encoder:
        def __call__(self, x, training=False):
            return parsed.posterior.distribution(params)

        def relaxed_sample(self, distribution, seed, replica):
            return parsed.posterior.relaxed_sample(distribution, seed, replica)

    made = SampledJoints(tf.zeros([6, *SHAPE]), Encoder(), None, parsed.prior, (3, 4))
    made.x_p = tf.zeros([6, *SHAPE])
    return made


def test_rate_is_the_sum_over_blocks_and_noise_is_free():
    parsed, params = latents.parse(TEXT), tf.constant(PARAMS)
    made = joints(parsed, params)
    p = softmax(PARAMS[:, :10])
    expected = (p * np.log(10 * p)).sum(1)
    uniform = made.posterior.distributions[1].distribution
    expected += np.log(4) - uniform.entropy().numpy().sum(1)
    mean, scale = PARAMS[:, 14:17], 0.01 + np.log1p(np.exp(PARAMS[:, 17:] + np.log(np.expm1(0.99))))
    expected += ((mean**2 + scale**2) / 2 - np.log(scale) - 0.5).sum(1)
    for estimator in ("auto", "closed_form"):
        rate = terms.make("RATE", estimator=estimator)(made).value
        np.testing.assert_allclose(rate, expected.mean(), rtol=1e-5)
    less = latents.parse(TEXT.replace(", noise(4)", ""))
    without = terms.make("RATE")(joints(less, params)).value
    np.testing.assert_array_equal(rate, without)


def test_rate_by_monte_carlo_needs_samples_that_are_not_relaxed():
    parts = {
        "q(z|x)": Capabilities("blocks", reparameterised=False, stand_in="relaxation"),
        "p(z)": Capabilities("the prior"),
    }
    made = joints(latents.parse(TEXT), tf.constant(PARAMS))
    term = terms.make("RATE", estimator="monte_carlo")
    said = r"RATE by Monte Carlo.*blocks shows their relaxation instead: use estimator='auto'"
    assert re.search(said, capabilities.lacking(term, parts, made.posterior, made.prior))


def test_rate_by_monte_carlo_without_categorical_blocks():
    parsed = latents.parse("style: uniform(2), free: normal(3), noise(4)")
    n = 50_000
    params = tf.repeat(PARAMS[:1, 10:], n, axis=0)
    made = joints(parsed, params)
    closed = terms.make("RATE", estimator="closed_form")(made).value
    values = made.log_q_z_given_x_q - made.log_p_z_q
    sampled = terms.make("RATE", estimator="monte_carlo")(made).value
    # Five standard errors.
    np.testing.assert_allclose(sampled, closed, atol=5 * np.std(values) / np.sqrt(n))


def test_true_samples_may_be_given_to_the_function():
    parsed = latents.parse("code: categorical(10)")
    n = 50_000
    q = parsed.posterior.distribution(tf.repeat(PARAMS[:1, :10], n, axis=0))
    z = q.sample(seed=(1, 2))
    values = q.log_prob(z) - parsed.prior.log_prob(z)
    sampled = terms.rate(q, parsed.prior, z, estimator="monte_carlo")
    # Five standard errors.
    np.testing.assert_allclose(
        sampled, terms.rate(q, parsed.prior), atol=5 * np.std(values) / np.sqrt(n)
    )


def test_rec_z_asks_for_the_named_codes_and_not_for_noise():
    """REC_z = -E_p log q(c|x) + H(noise), InfoGAN's -L_I and constants."""
    parsed = latents.parse("code: categorical(10), style: uniform(2), noise(4)")
    params = tf.Variable(PARAMS[:, :14])
    with tf.GradientTape(persistent=True) as tape:
        made = joints(parsed, params)
        rec_z = terms.make("REC_z")(made).value
        code, style, _ = made.posterior.distributions
        log_q_c = code.log_prob(made.z_p[:, :10]) + style.log_prob(made.z_p[:, 10:12])
        codes_alone = -tf.reduce_mean(log_q_c)
    noise = made.z_p[:, 12:].numpy()
    surprise = 0.5 * (noise**2).sum(1) + 2 * np.log(2 * np.pi)
    np.testing.assert_allclose(rec_z, codes_alone + surprise.mean(), rtol=1e-5)
    np.testing.assert_array_equal(tape.gradient(rec_z, params), tape.gradient(codes_alone, params))
    # In expectation the surprise is the entropy n/2 log 2 pi e; its standard deviation sqrt(n/2).
    noise = parsed.prior.sample(50_000, seed=(5, 6))[:, 12:].numpy()
    mean = (0.5 * (noise**2).sum(1) + 2 * np.log(2 * np.pi)).mean()
    np.testing.assert_allclose(mean, 2 * np.log(2 * np.pi * np.e), atol=5 * np.sqrt(2 / 50_000))


def conditional(**options):
    encoder = networks.get("mlp").encoder(SHAPE, 20, hidden=(8,), seed=0)
    return Conditional(encoder, latents.BlockPosterior(TEXT, **options))


def test_a_step_under_xla_gives_every_weight_a_gradient():
    encoder, prior = conditional(), latents.parse(TEXT).prior
    decoder = Conditional(networks.get("mlp").decoder(19, SHAPE, hidden=(8,), seed=0), Bernoulli())
    variables = encoder.trainable_variables + decoder.trainable_variables
    x = np.random.default_rng(2).uniform(size=(6, *SHAPE)).astype("float32")

    @tf.function(jit_compile=True)
    def gradients(seed):
        with tf.GradientTape() as tape:
            made = SampledJoints(x, encoder, decoder, prior, seed, training=True)
            estimates = {name: terms.make(name)(made) for name in ("REC_x", "REC_z", "RATE")}
            loss = tf.add_n([estimate.surrogate for estimate in estimates.values()])
        values = {name: estimate.value for name, estimate in estimates.items()}
        return values, tape.gradient(loss, variables)

    values, found = gradients(tf.constant([1, 2]))
    assert all(np.isfinite(value) for value in values.values())
    for gradient in found:
        assert np.all(np.isfinite(gradient))
        assert np.any(gradient != 0)
    made = SampledJoints(x, encoder, decoder, prior, (1, 2))
    # No noise is in the closed form, so it is the same without XLA.
    np.testing.assert_allclose(values["RATE"], terms.make("RATE")(made).value, rtol=1e-4)


def test_a_conditional_of_blocks_is_written_and_read():
    encoder = conditional(temperature=0.5, floor=0.1)
    read = Conditional.from_config(json.loads(json.dumps(encoder.get_config())))
    read.set_weights(encoder.get_weights())
    x = tf.zeros([2, *SHAPE])
    assert encoder.event_shape == read.event_shape == (19,)
    np.testing.assert_array_equal(encoder(x).mean(), read(x).mean())
    np.testing.assert_array_equal(encoder(x).stddev(), read(x).stddev())
    assert read.family.get_config() == {"latents": TEXT, "temperature": 0.5, "floor": 0.1}
    config = keras.saving.serialize_keras_object(encoder.family)
    assert config["registered_name"] == "zoo>BlockPosterior"


def test_a_network_of_another_size_is_refused():
    encoder = networks.get("mlp").encoder(SHAPE, 38, hidden=(8,))
    family = latents.parse(TEXT).posterior
    with pytest.raises(errors.InputError, match=r"returns shape \(38,\).*reads 20 numbers"):
        Conditional(encoder, family)
    with pytest.raises(errors.InputError, match=r"needs \(20,\)"):
        Conditional(encoder, family, (19,))
    with pytest.raises(errors.InputError, match=r"shape \(19,\) where \(16,\) is needed"):
        Conditional(encoder, family, (16,))


@pytest.mark.parametrize("option", ["temperature", "floor"])
def test_options_are_positive(option):
    with pytest.raises(errors.InputError, match=f"{option} is 0"):
        latents.BlockPosterior(TEXT, **{option: 0})
