import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo import terms
from zoo.errors import InputError


@pytest.fixture
def crossing(normals):
    """Normals whose distribution functions cross where both have mass: T = z is not optimal."""
    return dataclasses.replace(normals, s_q=0.4)


def numpy_w1(normals):
    """W1 on a line = int |Q(z) - P(z)| dz, of the distribution functions."""
    q, p = (np.cumsum(density) for density in normals.densities)
    return np.abs(q - p).sum() * 0.01


def test_restated():
    t_q, t_p = np.array([0.5, -1.0, 3.0]), np.array([0.1, -2.0])
    estimate = terms.wasserstein(t_q, t_p)
    np.testing.assert_allclose(estimate.value, t_q.mean() - t_p.mean(), rtol=1e-6)
    np.testing.assert_allclose(estimate.critic_loss, t_p.mean() - t_q.mean(), rtol=1e-6)
    assert estimate.surrogate is estimate.value


def optimal(normals):
    """T with slope sign(P - Q), so that E_q T - E_p T = int |P - Q|."""
    q, p = (np.cumsum(density) for density in normals.densities)
    t = np.cumsum(np.sign(p - q)) * 0.01
    return lambda z, training: tf.constant(np.tile(t, 2), tf.float32)


def test_with_the_optimal_critic_it_is_the_distance(crossing):
    joints, w1 = crossing.joints(), numpy_w1(crossing)

    def value(critic):
        return terms.make("W1_z", critic=critic, gradient_penalty=0.0)(joints).value

    # A grid of step 0.01.
    np.testing.assert_allclose(value(optimal(crossing)), w1, atol=1e-3)
    # Any other slope within [-1, 1] gives less ...
    for other in (lambda z: z, tf.sin, lambda z: -z):
        assert value(lambda z, training, t=other: t(z[:, 0])) < w1 - 1e-2
    # ... and a slope of L gives up to L times as much.
    steep = value(lambda z, training: 3.0 * optimal(crossing)(z, training))
    np.testing.assert_allclose(steep, 3 * w1, atol=3e-3)


def test_players_follow_the_slope(fake_joints):
    # T = z: lowering E_q T - E_p T takes q down and p up, each z by its share of the mean.
    z_q, z_p = tf.Variable([[1.0], [2.0]]), tf.Variable([[0.0], [5.0]])
    term = terms.make("W1_z", critic=lambda z, training: z[:, 0])
    with tf.GradientTape() as tape:
        surrogate = term(fake_joints(z_q=z_q * 1.0, z_p=z_p * 1.0)).surrogate
    np.testing.assert_allclose(
        tape.gradient(surrogate, [z_q, z_p]), [[[0.5], [0.5]], [[-0.5], [-0.5]]]
    )


def test_its_critic_is_held_to_slope_one_unless_told_otherwise(fake_joints):
    joints = fake_joints(z_q=tf.constant([[1.0]]), z_p=tf.constant([[0.0]]))
    # 10 (3 - 1)^2 - (3 - 0), and without the penalty -3
    for options, loss in (({}, 37.0), ({"gradient_penalty": 0.0}, -3.0)):
        term = terms.make("W1_z", critic=lambda z, training: 3.0 * z[:, 0], **options)
        np.testing.assert_allclose(term(joints).critic_loss, loss, rtol=1e-5)
    assert terms.make("W1_z", critic=abs).get_config()["gradient_penalty"] == 10.0


def test_a_trained_critic_comes_close(normals, fake_joints):
    keras.utils.set_random_seed(3)
    critic = keras.Sequential(
        [
            keras.Input([1]),
            keras.layers.Dense(64, activation="leaky_relu"),
            keras.layers.Dense(64, activation="leaky_relu"),
            keras.layers.Dense(1),
            keras.layers.Reshape(()),
        ]
    )
    term = terms.make("W1_z", critic=critic)
    optimizer, variables = keras.optimizers.Adam(0.003), critic.trainable_variables
    optimizer.build(variables)

    @tf.function(jit_compile=True)
    def step(i):
        noise = tf.random.stateless_normal([2, 512, 1], [7, i])
        joints = fake_joints(
            z_q=normals.m_q + normals.s_q * noise[0],
            z_p=normals.m_p + normals.s_p * noise[1],
            seed=tf.stack([8, i]),
        )
        with tf.GradientTape() as tape:
            loss = term(joints).critic_loss
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    for i in range(300):
        step(tf.constant(i))
    value = terms.make("W1_z", critic=critic)(normals.joints()).value
    # The slopes, which decide, are as far off 1 as batches of 512 and a finite penalty leave them.
    np.testing.assert_allclose(value, numpy_w1(normals), rtol=0.05)


@pytest.mark.parametrize("space", ["x", "z", "xz"])
def test_names(space):
    term = terms.make(f"W1_{space}", critic=abs)
    assert term.name == f"W1_{space}"
    assert terms.critic_space(term.name) == space


def test_refusals():
    with pytest.raises(InputError, match="W1_z needs a critic"):
        terms.make("W1_z")
    with pytest.raises(InputError, match=r"Unknown term 'W2_z': did you mean .*'W1_z'"):
        terms.make("W2_z", critic=abs)
