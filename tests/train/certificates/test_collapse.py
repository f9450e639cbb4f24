"""Codes that are planted to say nothing, something, or all."""

import json
import types

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import zoo
from train.certificates.collapse import collapse, sentences
from zoo import priors
from zoo.distributions import latents

tfd = tfp.distributions
SHAPE = (6, 6, 1)


class Codes:
    """E[z_k|x] is the k-th pixel times its gain."""

    prior = priors.standard_normal(4)
    encoder = None

    def __init__(self, gains):
        self.gains = tf.constant(gains, tf.float32)

    def encode(self, x):
        return tfd.Independent(tfd.Normal(x * self.gains, 1.0), 1)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("gains", "active", "alarm", "sentence"),
    [
        ([0, 0, 0, 0.01], 0, True, "0 of 4 latent dimensions are active: z says nothing about x."),
        (
            [1, 0, 0, 0],
            1,
            False,
            "1 of 4 latent dimensions is active: the posterior means of the others do not vary "
            "with x.",
        ),
        ([1, 1, 0.5, 0.2], 4, False, None),
    ],
)
def test_by_the_means(images, gains, active, alarm, sentence):
    found = collapse(Codes(gains), images)
    assert found == {
        "active": active,
        "dimensions": 4,
        "information": None,
        "alarm": alarm,
        "sentence": sentence,
    }
    assert sentences(found) == ([sentence] if sentence else [])
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("gains", "information", "alarm", "words"),
    [
        ([0, 0, 0, 0], 0.001, True, "are active and I_q(x;z) is about 0.001 nats: z says nothing"),
        ([0, 0, 0, 0], 2.5, False, "yet I_q(x;z) is about 2.5 nats"),  # it is in the scales
        ([0.11, 0, 0, 0], 0.006, True, "1 of 4 latent dimensions is active and I_q(x;z) is about"),
        ([1, 0, 0, 0], 0.4, False, "1 of 4 latent dimensions is active: the posterior means"),
        ([0, 0, 0, 0], None, True, "z says nothing about x."),
    ],
)
def test_with_the_information(images, gains, information, alarm, words):
    found = collapse(Codes(gains), images, {"estimate": information})
    assert found["alarm"] is alarm
    assert words in found["sentence"]


def test_batches_labels_and_the_number_of_images(images):
    model, plain = Codes([1, 0, 0, 0]), collapse(Codes([1, 0, 0, 0]), images)
    batches = [images[:200], images[200:]]
    assert collapse(model, batches) == plain
    assert collapse(model, [(x, np.zeros(len(x))) for x in batches]) == plain
    seen = []
    model.encode = lambda x: seen.append(len(x)) or Codes.encode(model, x)
    collapse(model, batches, most=250)
    assert seen == [200, 50]


def build(objective, **options):
    return zoo.build(
        objective, image_shape=SHAPE, network_options={"hidden": (8,)}, seed=3, **options
    )


def pixels(n=40):
    return np.random.default_rng(0).random((n, *SHAPE), dtype=np.float32)


def test_a_collapsed_vae():
    model = build("vae", latent_dim=3)
    last = model.encoder.trainable_variables[-2]
    last.assign(tf.zeros_like(last.value))
    found = collapse(model, pixels())
    assert (found["active"], found["dimensions"], found["alarm"]) == (0, 3, True)


def test_a_categorical_block_is_one_dimension_and_noise_is_none():
    model = build("infogan", latents="code: categorical(10), style: uniform(2), noise(5)")
    last, bias = model.encoder.trainable_variables[-2:]
    last.assign(tf.zeros_like(last.value))
    assert collapse(model, pixels())["dimensions"] == 3
    assert collapse(model, pixels())["active"] == 0
    # Logits alone follow x: ten of the code, two locations, two scales
    gain = np.zeros(last.shape, np.float32)
    gain[:, :10] = 50 * np.random.default_rng(0).normal(size=(last.shape[0], 10))
    last.assign(gain)
    assert bias.shape == (14,)
    striped = pixels()
    striped[::2, ::2] = 0.0
    found = collapse(model, striped)
    assert (found["active"], found["dimensions"], found["alarm"]) == (1, 3, False)


def test_many_categories_are_active_though_each_varies_little():
    model = Codes([1.0] * 200)
    family = types.SimpleNamespace(latents=latents.parse("categorical(200)"))
    model.encoder = types.SimpleNamespace(family=family)
    # Each of 200 probabilities has variance 0.005.
    found = collapse(model, np.tile(np.eye(200, dtype=np.float32), (3, 1)))
    assert (found["active"], found["dimensions"]) == (1, 1)


def test_an_implicit_encoder_is_judged_by_its_means():
    found = collapse(build("avb", latent_dim=3, noise_dim=4), pixels())
    assert found["dimensions"] == 3


def test_images_for_codes_have_no_dimensions():
    model = build("cyclegan", network="mlp", latent_shape=SHAPE)
    assert collapse(model, pixels()) is None
    assert collapse(Codes([1, 1, 1, 1]), np.zeros((1, 4), np.float32)) is None
    assert sentences(None) == []
