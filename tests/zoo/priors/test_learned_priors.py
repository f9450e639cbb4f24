"""Priors that learn: their gradients against formulas, what is refused, and what follows them."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import zoo
from zoo import priors, terms
from zoo.errors import InputError
from zoo.objectives import prior_names

tfd = tfp.distributions
CODES = types.SimpleNamespace(event_shape=(2,), condition_shape=(4, 4, 1), has_density=True)


def attached(prior, encoder=CODES):
    prior.attach(encoder)
    return prior


def gradient(model, name, images):
    """Returns the gradient of a term's surrogate in the prior's variables, on fixed noise."""
    with tf.GradientTape() as tape:
        surrogate = model.surrogates(images, (1, 2))[name]
    return tape.gradient(surrogate, [v.value for v in model.prior_layer.trainable_variables])


def differences(model, name, images, variable, places, step=1e-2):
    """Returns central differences of a term's value in a few elements of `variable`."""
    start, found = variable.numpy(), []
    for place in places:
        sides = []
        for sign in (1, -1):
            moved = start.copy()
            moved[place] += sign * step
            variable.assign(moved)
            sides.append(float(model.term_values(images, (1, 2))[name]))
        found.append((sides[0] - sides[1]) / (2 * step))
    variable.assign(start)
    return np.array(found)


# Gradients


def test_the_gradient_of_rate_in_a_mixture_is_the_formula(small, images):
    model = small("vae", prior="mixture:4")
    z = np.asarray(model.joints(images, (1, 2)).z_q, np.float64)
    layer = model.prior_layer
    m, raw, a = (
        v.numpy().astype(np.float64) for v in (layer.means, layer.raw_scales, layer.logits)
    )
    s, w = layer.floor + np.logaddexp(0, raw), np.exp(a) / np.exp(a).sum()
    d = (z[:, None] - m) / s
    log_n = np.sum(-0.5 * d**2 - np.log(s), axis=2) + np.log(w)
    r = np.exp(log_n - np.logaddexp.reduce(log_n, axis=1, keepdims=True))  # [B, K]
    # d log p / dm = r d / s,   d log p / ds = r (d^2 - 1) / s,   d log p / da = r - w
    of_m = -np.mean(r[..., None] * d / s, axis=0)
    of_s = -np.mean(r[..., None] * (d**2 - 1) / s, axis=0) / (1 + np.exp(-raw))
    of_a = -np.mean(r - w, axis=0)
    for found, expected in zip(gradient(model, "RATE", images), (of_m, of_s, of_a), strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-5, rtol=2e-4)


def test_the_gradient_of_rate_in_pseudo_inputs_is_the_difference_of_its_values(small, images):
    model = small("vae", prior="vamp:3")
    (found,) = gradient(model, "RATE", images)
    places = [(0, 1, 2, 0), (2, 5, 5, 0)]
    expected = differences(
        model, "RATE", images, model.prior_layer.pseudo_inputs, places, step=5e-2
    )
    # Differences of float32 values of about 1 over 0.1.
    np.testing.assert_allclose([found[place] for place in places], expected, atol=1e-4, rtol=2e-2)


def test_samples_of_equal_components_carry_the_whole_gradient(small, images):
    model = small("wae_mmd", prior="mixture:3:equal")
    found = gradient(model, "MMD_z", images)
    layer = model.prior_layer
    assert len(found) == 2
    for slope, variable in zip(found, (layer.means, layer.raw_scales), strict=True):
        places = [(0, 0), (2, 1)]
        expected = differences(model, "MMD_z", images, variable, places)
        np.testing.assert_allclose([slope[p] for p in places], expected, atol=1e-4, rtol=2e-2)


def test_steins_direction_gives_the_prior_the_gradient_of_kl(small, images):
    model = small("infovae_stein", prior="mixture:3")
    z = tf.stop_gradient(model.joints(images, (1, 2)).z_q)
    with tf.GradientTape() as tape:
        cross_entropy = -tf.reduce_mean(model.prior.log_prob(z))
    variables = [v.value for v in model.prior_layer.trainable_variables]
    expected = tape.gradient(cross_entropy, variables)
    for one, two in zip(gradient(model, "Dz_qp", images), expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def test_a_mixture_fits_two_modes_that_a_normal_does_not():
    """q(z|x) is one of two normals: RATE under the fitted prior is I_q(x;z) = log 2."""
    means = np.repeat([[3.0, -3.0], [-3.0, 3.0]], 64, axis=0).astype(np.float32)
    posterior = tfd.Independent(tfd.Normal(means, 0.3), 1)
    prior = attached(priors.MixturePrior(2))
    optimizer = keras.optimizers.Adam(0.05)
    variables = prior.trainable_variables

    @tf.function
    def step(seed):
        with tf.GradientTape() as tape:
            rate = terms.rate(posterior, prior(), posterior.sample(seed=seed))
        optimizer.apply_gradients(zip(tape.gradient(rate, variables), variables, strict=True))

    optimizer.build(variables)
    for index in range(300):
        step(tf.constant([1, index]))
    z = posterior.sample(seed=(7, 7))
    learned = float(terms.rate(posterior, prior(), z))
    fixed = float(terms.rate(posterior, priors.standard_normal(2)))
    # KL to N(0, I): 2 * ( (0.09 + 9 - 1) / 2 - log 0.3 ) = 10.5
    assert fixed > 10.0
    assert learned == pytest.approx(np.log(2.0), abs=0.1)


# What follows the prior


@pytest.mark.parametrize("text", ["mixture:3", "mixture:3:equal", "vamp:3"])
def test_it_is_trained_averaged_saved_and_loaded(text, small, images, tmp_path):
    model = small("vae", prior=text, ema=0.5)
    layer = model.prior_layer
    before = [v.numpy() for v in layer.trainable_variables]
    model.fit(images, batch_size=8, epochs=2, verbose=0)
    moved = [np.abs(v.numpy() - old).max() for v, old in zip(layer.weights, before, strict=False)]
    assert min(moved[: len(before)]) > 0
    identities = [id(v) for v in model.primal_variables]
    assert len(set(identities)) == len(identities)
    assert {id(v) for v in layer.trainable_variables} <= set(identities)
    now = model.prior.mean().numpy()
    with model.averaged():
        assert np.abs(model.prior.mean().numpy() - now).max() > 0
    np.testing.assert_array_equal(model.prior.mean(), now)

    model.save(tmp_path / "learned.keras")
    loaded = keras.saving.load_model(tmp_path / "learned.keras")
    assert type(loaded.prior_layer) is type(layer)
    np.testing.assert_array_equal(loaded.prior.mean(), now)
    for each in (model, loaded):
        each.fit(images, batch_size=8, epochs=1, shuffle=False, verbose=0)
    np.testing.assert_array_equal(loaded.prior.mean(), model.prior.mean())


def test_variables_of_a_distribution_are_trained(small, images, tmp_path):
    shared = tf.Variable([0.5, 0.5, 0.5])
    prior = tfd.MultivariateNormalDiag(shared, shared)
    model = small("vae", prior=prior)
    assert len(model.prior_layer.trainable_variables) == 1
    model.fit(images, batch_size=8, verbose=0)
    assert np.all(model.prior.mean().numpy() != 0.5)
    np.testing.assert_array_equal(model.prior.mean(), model.prior.stddev())
    np.testing.assert_array_equal(shared, [0.5] * 3)
    model.save(tmp_path / "own.keras")
    loaded = keras.saving.load_model(tmp_path / "own.keras")
    np.testing.assert_array_equal(loaded.prior.mean(), model.prior.mean())
    for fixed in (tf.constant([0.5] * 3), tf.Variable([0.5] * 3, trainable=False)):
        model = small("vae", prior=tfd.MultivariateNormalDiag(fixed, [1.0] * 3))
        assert model.prior_layer.variables == []


def test_pseudo_inputs_stay_images_and_start_from_data(small, images):
    model = small("vae", prior="vamp:24")
    layer = model.prior_layer
    layer.start_from(np.round(images))
    model.compile(optimizer=keras.optimizers.Adam(0.5), jit_compile=False)
    model.fit(images, batch_size=8, epochs=2, verbose=0)
    found = layer.pseudo_inputs.numpy()
    assert found.min() == 0.0
    assert found.max() == 1.0
    with pytest.raises(InputError, match=r"shape \(3, 8, 8, 1\): give \(24, 8, 8, 1\)"):
        layer.start_from(images[:3])
    with pytest.raises(InputError, match=r"scale the images to \[0, 1\]"):
        layer.start_from(255 * images)


def test_vamp_is_the_mean_of_posteriors(small):
    model = small("vae", prior="vamp:4")
    z = np.float32([[0.1, -0.4, 0.3]])
    u = model.prior_layer.pseudo_inputs.numpy()
    each = model.encode(u).log_prob(np.repeat(z, 4, axis=0)).numpy().astype(np.float64)
    expected = np.logaddexp.reduce(each) - np.log(4)
    np.testing.assert_allclose(model.prior.log_prob(z), [expected], rtol=1e-5)


def test_a_mixture_starts_near_the_standard_normal():
    prior = attached(priors.MixturePrior(2000))()
    np.testing.assert_allclose(prior.mean(), [0, 0], atol=0.1)
    np.testing.assert_allclose(prior.stddev(), [1, 1], atol=0.1)


def test_the_second_phase_starts_from_the_prior_of_the_first(small, images):
    from train.loop.phases import warm_start

    first, second = (small("vae", prior="vamp:3", seed=seed) for seed in (1, 2))
    first.fit(images, batch_size=8, verbose=0)
    warm_start(second, first)
    np.testing.assert_array_equal(second.prior.mean(), first.prior.mean())


def test_it_is_exported_with_its_averaged_weights(small, images):
    from export.signatures import Signatures

    model = small("vae", prior="vamp:3", ema=0.99)
    model.fit(images, batch_size=8, epochs=3, verbose=0)
    signatures = Signatures(model)
    assert set(signatures.absent) == set()
    noise = tf.random.stateless_normal([5, 3 + 3], (1, 2))
    with model.averaged():
        from export import transports

        expected = model.decode(transports.sample(model.prior, noise)).mean()
    found = signatures.generate(noise)["images"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    signatures.prior.log_prob(np.zeros([1, 3], np.float32))


# What is refused


@pytest.mark.parametrize(
    ("model", "prior", "reason"),
    [
        ("aae", "mixture:3", "JS_z needs gradients through samples of the prior.*weights='equal'"),
        ("wae_mmd", "mixture:3", "MMD_z needs gradients through samples"),
        ("ali", "mixture:3", "JS_xz needs gradients through samples"),
        ("infogan", "vamp:3", "REC_z leaves out the entropy"),
        ("avb", "vamp:3", r"this encoder \(implicit\) has none"),
        ("vae", "vamp", "how many components: write vamp:50"),
        ("vae", "vamp:0", "from 1 to"),
        ("vae", "vamp:3:equal", "how many components"),
        ("vae", "flow", "Unknown prior 'flow'"),
        ("vae", "standard_normal:3", "has no options"),
    ],
)
def test_what_would_be_wrong_is_refused(model, prior, reason, small):
    with pytest.raises(InputError, match=reason):
        small(model, prior=prior, compiled=False)


def test_variables_that_cannot_be_trained_are_refused(small):
    scale = tfp.util.TransformedVariable([1.0] * 3, tfp.bijectors.Softplus())
    flow = tfd.TransformedDistribution(
        priors.standard_normal(3), tfp.bijectors.Shift(tf.Variable([0.0] * 3))
    )

    class Own(tfd.MultivariateNormalDiag):
        pass

    for prior in (tfd.MultivariateNormalDiag([0.0] * 3, scale), flow, Own(tf.Variable([0.0] * 3))):
        with pytest.raises(InputError, match="variables that would not be trained"):
            small("vae", prior=prior, compiled=False)


def test_a_prior_that_no_term_reads_is_refused(small):
    objective = zoo.Objective(alpha_q=-1, constraints=("KL(q(x|z)||p(x|z))",), name="autoencoder")
    small(objective, compiled=False)
    with pytest.raises(InputError, match="None of the trained terms, REC_x, reads the prior"):
        small(objective, prior="vamp:3", compiled=False)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"components": 0}, "components of a MixturePrior is 0"),
        ({"components": 2.0}, "components of a MixturePrior is 2.0"),
        ({"components": 2, "weights": "even"}, "did you mean|choose one of"),
        ({"components": 2, "floor": 1.0}, "floor of a MixturePrior is 1.0"),
    ],
)
def test_options_of_a_mixture_are_checked(options, reason):
    with pytest.raises(InputError, match=reason):
        priors.MixturePrior(**options)


def test_texts_are_read():
    assert prior_names.parse("mixture:7:equal") == prior_names.PriorName("mixture", 7, True)
    assert prior_names.parse("vamp:12").components == 12
    assert prior_names.parse("standard_normal").kind == "standard_normal"
