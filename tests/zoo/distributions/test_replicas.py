"""Replicas draw what one process draws, and move the model as one process moves it."""

import keras
import numpy as np
import pytest
import replicas as compare
import tensorflow as tf

from zoo import priors
from zoo.distributions import latents, likelihoods, replicas
from zoo.distributions.conditionals import ImplicitConditional
from zoo.distributions.replicas import Replica
from zoo.model.joints import SampledJoints

WHOLE, COUNT = 6, 3
PARTS = [slice(2 * index, 2 * index + 2) for index in range(COUNT)]
SEED = tf.constant([1, 2])
FAMILIES = {
    "normal": (likelihoods.family("normal", scale="per_element"), 8),
    "laplace": (likelihoods.family("laplace"), 4),
    "blocks": (latents.parse("categorical(3), uniform(2), normal(2), noise(2)").posterior, 11),
}


def test_parts_are_rows_in_order():
    values = tf.reshape(tf.range(12), [6, 2])
    parts = [Replica(COUNT, index).part(values) for index in range(COUNT)]
    np.testing.assert_array_equal(tf.concat(parts, axis=0), values)


def test_one_replica_has_all():
    values = tf.range(3.0)
    alone = replicas.present()
    assert alone is replicas.ALONE
    assert alone.part(values) is values
    assert alone.gathered(values) == (values,)
    assert alone.mean({"a": 1.5}, 3) == ({"a": 1.5}, 3)


@pytest.mark.parametrize("name", FAMILIES)
def test_samples_of_a_part_are_those_of_the_whole(name):
    family, outputs = FAMILIES[name]
    params = np.random.default_rng(0).normal(size=(WHOLE, outputs)).astype(np.float32)
    whole = family.relaxed_sample(family.distribution(tf.constant(params)), SEED)
    for index, rows in enumerate(PARTS):
        own = family.distribution(tf.constant(params[rows]))
        part = family.relaxed_sample(own, SEED, Replica(COUNT, index))
        # Not bit for bit: vectorised functions round the last rows of an array otherwise.
        np.testing.assert_allclose(part, whole[rows], rtol=1e-5, atol=1e-6)


def test_samples_of_an_implicit_conditional_are_those_of_the_whole():
    x, noise = keras.Input((3,)), keras.Input((4,))
    network = keras.Model([x, noise], keras.layers.Dense(2)(keras.layers.Concatenate()([x, noise])))
    q, images = ImplicitConditional(network, 4), tf.random.stateless_normal([WHOLE, 3], SEED)
    whole = q.relaxed_sample(q(images), SEED)
    for index, rows in enumerate(PARTS):
        part = q.relaxed_sample(q(images[rows]), SEED, Replica(COUNT, index))
        np.testing.assert_allclose(part, whole[rows], rtol=1e-5, atol=1e-6)


def test_noise_of_priors_and_terms_is_that_of_the_whole():
    def joints(rows, replica):
        return SampledJoints(
            tf.zeros([rows, 2]), None, None, priors.standard_normal(3), [0, 7], replica=replica
        )

    whole = joints(WHOLE, replicas.ALONE)
    u = whole.noise(tf.random.stateless_uniform, [WHOLE], "W1_x")
    for index, rows in enumerate(PARTS):
        part = joints(2, Replica(COUNT, index))
        np.testing.assert_array_equal(part.z_p, whole.z_p[rows])
        noise = part.noise(tf.random.stateless_uniform, [2], "W1_x")
        np.testing.assert_array_equal(noise, u[rows])


def test_two_devices_and_three_workers_train_as_one():
    """A likelihood, an adversarial and a dual model: all that a checkpoint holds, and the logs.

    The same sums in another order: float32 rounds each to 6e-8, and six steps of Adam, whose
    epsilon keeps it from dividing by the size of such differences, add a few of them.
    """
    places = [("devices", 2), ("workers", 3)]
    found = compare.compared(["vae", "alice", "lagvae_min"], places)
    for name, differences in found.items():
        assert max(differences.values()) < 1e-5, name
