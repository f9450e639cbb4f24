"""Fresh critics: what they find, and that a critic in play can be set free."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.critics import fit, free, fresh_network
from zoo.critics.fresh import logits
from zoo.networks import dcgan, mlp


def normals(shift, k=4):
    def draw(seed):
        noise = tf.random.stateless_normal([2, 128, k], seed)
        return (noise[0] + shift,), (noise[1],)

    random = np.random.default_rng(5)
    choose = (random.normal(shift, 1, (600, k)),), (random.normal(0, 1, (600, k)),)
    return draw, tuple((parts[0].astype(np.float32),) for parts in choose)


def test_finds_the_log_ratio():
    draw, choose = normals(0.5)
    network = fresh_network([np.concatenate([choose[0][0], choose[1][0]])])
    critic = fit(network, draw, choose, rounds=12)
    z = np.random.default_rng(1).normal(0, 1, (400, 4)).astype(np.float32)
    truth = 0.5 * z.sum(1) - 0.5
    assert np.mean((critic((z,)) - truth) ** 2) < 0.1 * np.var(truth)
    assert critic.loss < 2 * np.log(2) - 0.1


def test_stops_where_there_is_nothing_to_find():
    draw, choose = normals(0.0)
    critic = fit(fresh_network([choose[1][0]]), draw, choose)
    assert critic.steps < 1500
    # It is left with the weights whose loss was least, of which those before the first step are.
    assert critic.loss <= 2 * np.log(2)
    again = fit(fresh_network([choose[1][0]]), draw, choose)
    np.testing.assert_array_equal(critic((choose[0][0],)), again((choose[0][0],)))


@pytest.mark.parametrize(
    "shapes", [[(28, 28, 1)], [(4, 4, 1)], [(28, 28, 1), (3,)], [(5,)]], ids=str
)
def test_networks_of_any_parts(shapes):
    random = np.random.default_rng(0)
    samples = [random.random((20, *shape), dtype=np.float32) for shape in shapes]
    network = fresh_network(samples)
    found = logits(network, tuple(samples))
    assert found.shape == (20,)
    assert np.all(found == 0.0)


@pytest.mark.parametrize(
    ("critic", "parts"),
    [
        (lambda: mlp.critic_z(3, spectral_norm=True, hidden=(8, 8), seed=0), [(3,)]),
        (lambda: mlp.critic_z(3, hidden=(8,), seed=0), [(3,)]),
        (lambda: dcgan.critic_x((28, 28, 1), spectral_norm=True, width=4, seed=0), [(28, 28, 1)]),
        (
            lambda: mlp.critic_xz((6, 6, 1), 2, spectral_norm=True, hidden=(8,), seed=0),
            [(6, 6, 1), (2,)],
        ),
    ],
)
def test_a_free_critic_reads_as_the_one_in_play(critic, parts):
    playing = critic()
    random = np.random.default_rng(0)
    samples = tuple(random.random((9, *shape), dtype=np.float32) for shape in parts)
    rows = list(samples) if len(samples) > 1 else samples[0]
    playing(rows, training=True)  # which normalises the kernels
    freed = free(playing)
    np.testing.assert_allclose(logits(freed, samples), logits(playing, samples), rtol=1e-4)
    assert not any(isinstance(x, keras.layers.SpectralNormalization) for x in freed.layers)
    before = [w.copy() for w in playing.get_weights()]
    freed.set_weights([w + 1 for w in freed.get_weights()])
    for old, now in zip(before, playing.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)


def test_a_subclassed_critic_stays_as_it_is():
    class Own(keras.Model):
        def call(self, z, training=False):
            return tf.reduce_sum(z, axis=1)

    assert free(Own()) is None
