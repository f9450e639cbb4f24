"""A prior in a file of the user's: it is trained, saved, loaded and trained on, without zoo/."""

import inspect

import keras
import numpy as np
import pytest
from extending import my_prior

import zoo
from zoo import priors

SMALL = {"image_shape": (8, 8, 1), "latent_dim": 3, "network_options": {"hidden": (16,)}}
IMAGES = np.random.default_rng(0).random((32, 8, 8, 1), dtype=np.float32)


def built(model="vae", **options):
    made = zoo.build(model, prior=my_prior.LearnedNormal(), **{**SMALL, **options})
    made.compile(jit_compile=False)
    return made


def test_the_file_is_short():
    assert len(inspect.getsource(my_prior).splitlines()) <= 30


def test_it_is_trained_saved_and_trained_on(tmp_path):
    model = built(ema=0.9)
    model.fit(IMAGES, batch_size=16, epochs=2, shuffle=False, verbose=0)
    mean = model.prior.mean().numpy()
    assert np.all(mean != 0.0)
    assert model.sample(2).shape == (2, 8, 8, 1)
    model.save(tmp_path / "mine.keras")
    loaded = keras.saving.load_model(tmp_path / "mine.keras")
    assert type(loaded.prior_layer) is my_prior.LearnedNormal
    np.testing.assert_array_equal(loaded.prior.mean(), mean)
    for each in (model, loaded):
        each.fit(IMAGES, batch_size=16, epochs=1, shuffle=False, verbose=0)
    np.testing.assert_array_equal(loaded.prior.mean(), model.prior.mean())
    np.testing.assert_array_equal(loaded.prior.stddev(), model.prior.stddev())
    assert np.all(model.prior.mean().numpy() != mean)


def test_its_closed_forms_and_samples_are_found():
    model = built("infovae_mmd")
    assert model.term("MMD_z").reads_prior(model.prior) == "density"
    assert model.prior_layer.pathwise
    adversarial = built("aae")
    adversarial.fit(IMAGES, batch_size=16, verbose=0)
    assert np.all(adversarial.prior.mean().numpy() != 0.0)


def test_a_layer_is_the_prior_of_one_model():
    prior = my_prior.LearnedNormal()
    zoo.build("vae", prior=prior, **SMALL)
    with pytest.raises(zoo.InputError, match="the prior of another model"):
        zoo.build("vae", prior=prior, **SMALL)


def test_a_distribution_of_another_shape_is_refused():
    class Wrong(priors.Prior):
        def call(self):
            return priors.standard_normal(2)

    with pytest.raises(zoo.InputError, match="latents have shape"):
        zoo.build("vae", prior=Wrong(), **SMALL)
