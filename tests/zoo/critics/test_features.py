"""An encoder on a critic's features."""

import keras
import numpy as np
import pytest

import zoo
from zoo.critics.features import FeatureConditional, features_of
from zoo.errors import InputError

LATENTS = "code: categorical(3), style: uniform(1), noise(2)"
SMALL = {"mlp": {"hidden": (16, 16)}, "dcgan": {"width": 4}}


def build(network="mlp", name="infogan", **options):
    built = zoo.build(
        name,
        network=network,
        latents=LATENTS,
        share_features=True,
        network_options=SMALL[network],
        **options,
    )
    built.compile(jit_compile=False)
    return built


def images(count=8):
    return np.random.default_rng(0).random((count, 28, 28, 1), dtype=np.float32)


@pytest.mark.parametrize("network", SMALL)
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_the_posterior_is_the_head_of_what_the_logit_reads(network, spectral_norm):
    built = build(network, spectral_norm=spectral_norm)
    critic, encoder = built.critics["JS_x"], built.encoder
    assert isinstance(encoder, FeatureConditional)
    features = encoder.features(images())
    last = critic.get_layer("logit")
    np.testing.assert_array_equal(last(features)[:, 0], critic(images()))
    parameters = encoder.network(features)
    expected = encoder.family.distribution(parameters).mean()
    np.testing.assert_array_equal(built.encode(images()).mean(), expected)
    assert encoder.condition_shape == (28, 28, 1)


def test_the_critic_alone_moves_the_features():
    built = build()
    owned = {id(v) for v in built.critic_variables}
    assert not owned & {id(v) for v in built.primal_variables}
    assert [v.shape for v in built.encoder.trainable_variables] == [(16, 128), (128,), (128, 5), 5]
    heads = [v.numpy() for v in built.encoder.trainable_variables]
    before = built.encoder.features(images()).numpy()
    built.compile(critic_optimizer=keras.optimizers.SGD(0.0), jit_compile=False)
    built.train_on_batch(images())
    np.testing.assert_array_equal(built.encoder.features(images()), before)
    for one, two in zip(heads, built.encoder.trainable_variables, strict=True):
        assert np.abs(one - two).max() > 0
    built.compile(jit_compile=False)
    built.train_on_batch(images())
    assert np.abs(built.encoder.features(images()) - before).max() > 0


@pytest.mark.parametrize("network", SMALL)
def test_a_loaded_model_shares_as_the_saved_one_did(network, tmp_path):
    built = build(network)
    built.train_on_batch(images())
    built.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.encode(images()).mean(), built.encode(images()).mean())
    for each in (built, loaded):
        each.train_on_batch(images())
    assert len(built.get_weights()) == len(loaded.get_weights())
    for one, two in zip(built.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", ["vae_gan", "infobigan"])
def test_other_models_with_a_critic_of_images(name):
    built = build(name=name)
    assert np.isfinite(built.train_on_batch(images(), return_dict=True)["loss"])


@pytest.mark.parametrize("name", ["vae", "alice", "avb"])
def test_models_without_one_are_refused(name):
    with pytest.raises(InputError, match=f"The encoder of {name} cannot share"):
        build(name=name)


def test_parts_that_do_not_fit_are_refused():
    built = build()
    for critics, words in (
        ({}, "the critics are"),
        ({"JS_x": zoo.networks.mlp.critic_x((28, 28, 1), hidden=(7,))}, "make them equal"),
        ({"JS_x": zoo.networks.unet.critic_x((28, 28, 1), width=4)}, "no features to share"),
    ):
        with pytest.raises(InputError, match=words):
            built.encoder.read(critics)
    unread = FeatureConditional.from_config(built.encoder.get_config())
    with pytest.raises(InputError, match="has no critic yet"):
        unread.features  # noqa: B018
    with pytest.raises(InputError, match="no features to share"):
        features_of(zoo.networks.mlp.critic_xz((28, 28, 1), 3, hidden=(4,)))
