"""What is common to all terms with a critic: one pass, penalties, XLA, noise from the seed."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from zoo import terms
from zoo.errors import InputError
from zoo.model.joints import SampledJoints

tfd = tfp.distributions

# One of each class, on the space with the most parts where there is a choice.
OPTIONS = {
    "JS_z": {},
    "FKL_xz_qp": {},
    "RKL_z_pq": {},
    "CHI2_x_qp": {},
    "H2_xz": {},
    "TV_xz": {},
    "W1_xz": {},
    "Dz_qp": {},
    "Dx_pq": {},
    "J_pq": {},
    "RATE_p": {},
    "RATE_ratio": {"adaptive_contrast": True},
}
RNG = np.random.default_rng(29)
X_Q, X_P = np.float32(RNG.normal(size=[2, 6, 2, 2, 1]))
Z_Q, Z_P = np.float32(RNG.normal(size=[2, 6, 3]))


def test_every_term_with_a_critic_is_here():
    classes = {type(terms.make(name, critic=abs)) for name in OPTIONS}
    needed = {name for name in terms.available() if terms.critic_space(name)}
    assert {type(terms.make(name, critic=abs)) for name in needed} == classes


def keras_critic(space):
    inputs = {"x": [keras.Input([2, 2, 1])], "z": [keras.Input([3])]}
    inputs["xz"] = [*inputs["x"], *inputs["z"]]
    features = [keras.layers.Flatten()(part) for part in inputs[space]]
    both = keras.layers.Concatenate()(features) if space == "xz" else features[0]
    inner = keras.layers.Dense(8, activation="tanh")(both)
    logit = keras.layers.Reshape(())(keras.layers.Dense(1)(inner))
    return keras.Model(inputs[space] if space == "xz" else inputs[space][0], logit)


def joints_of(fake_joints, shift, **others):
    """Both players move by `shift`."""
    shift = tf.convert_to_tensor(shift)
    samples = {
        "x_q": tf.constant(X_Q),
        "z_q": Z_Q + shift,
        "x_p": X_P * (1.0 + shift),
        "z_p": tf.constant(Z_P),
        "posterior": tfd.Independent(tfd.Normal(Z_Q + shift - 0.1, 0.5), 1),
        "prior": tfd.Independent(tfd.Normal(tf.zeros(3), 1.0), 1),
        "log_p_z_q": -tf.reduce_sum((Z_Q + shift) ** 2, axis=1) / 2,
    }
    return fake_joints(**(samples | others))


# The penalties are the same code for all, and slow to compile: two terms have them.
PENALTIES = {name: {"r1_gamma": 1.0, "gradient_penalty": 2.0} for name in ("JS_z", "RATE_ratio")}


def players_step(name, fake_joints):
    """Returns a function of the seed that gives a term's value and both players' gradients."""
    keras.utils.set_random_seed(1)
    critic = keras_critic(terms.critic_space(name))
    options = {"gradient_penalty": 0.0} | PENALTIES.get(name, {}) | OPTIONS[name]
    term = terms.make(name, critic=critic, **options)
    shift = tf.Variable(0.5)

    def step(seed):
        with tf.GradientTape(persistent=True) as tape:
            estimate = term(joints_of(fake_joints, shift, seed=seed), training=True)
        critic_gradients = tape.gradient(estimate.critic_loss, critic.trainable_variables)
        return estimate.value, tape.gradient(estimate.surrogate, shift), critic_gradients

    return step


def noise_of_any_compiler(shape, seed):
    """XLA's generator draws other noise than TensorFlow's; this is the same, and the seed's."""
    counted = tf.cast(tf.range(tf.reduce_prod(shape)) * (seed[0] % 997), tf.float32)
    return tf.reshape(0.5 + 0.4 * tf.sin(counted), shape)


@pytest.mark.parametrize("name", OPTIONS)
def test_both_players_gradients_under_xla(name, fake_joints, monkeypatch):
    step = players_step(name, fake_joints)
    for draw in ("stateless_uniform", "stateless_normal"):
        monkeypatch.setattr(tf.random, draw, noise_of_any_compiler)
    eager = tf.nest.flatten(step([1, 2]))
    compiled = tf.nest.flatten(tf.function(step, jit_compile=True)(tf.constant([1, 2])))
    for one, other in zip(eager, compiled, strict=True):
        # Gradients of size 1 to 10 in float32, whose sums XLA orders differently.
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert np.abs(eager[1]) > 1e-4
    # Another seed moves what only the critic is shown: the points between the samples, and the
    # normal noise of adaptive contrast.
    other_seed = tf.nest.flatten(step([1, 3]))
    np.testing.assert_array_equal(eager[:2], other_seed[:2])
    moved = any(np.any(a != b) for a, b in zip(eager[2:], other_seed[2:], strict=True))
    assert moved == (name in PENALTIES)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_noise_is_a_function_of_the_seed(jit_compile, fake_joints):
    step = tf.function(players_step("RATE_ratio", fake_joints), jit_compile=jit_compile)
    one, again, other = (
        tf.nest.flatten(step(tf.constant(seed))) for seed in ([1, 2], [1, 2], [1, 3])
    )
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(np.any(a != b) for a, b in zip(one[2:], other[2:], strict=True))


@pytest.mark.parametrize("name", OPTIONS)
def test_penalties_are_the_critics_alone(name, fake_joints):
    keras.utils.set_random_seed(2)
    critic, joints = keras_critic(terms.critic_space(name)), joints_of(fake_joints, 0.3)
    plain, damped, kept = (
        terms.make(name, critic=critic, **OPTIONS[name], **penalties)(joints)
        for penalties in (
            {"r1_gamma": 0.0, "gradient_penalty": 0.0},
            {"r1_gamma": 3.0, "gradient_penalty": 0.0},
            {"r1_gamma": 0.0, "gradient_penalty": 5.0},
        )
    )
    for penalised in (damped, kept):
        assert penalised.critic_loss > plain.critic_loss + 1e-3
        np.testing.assert_allclose(penalised.value, plain.value, rtol=1e-6)
        np.testing.assert_allclose(penalised.surrogate, plain.surrogate, rtol=1e-6)


def test_gradient_penalty_restated(fake_joints):
    # T = tanh(x . v + z . w): its gradient is (1 - T^2) (v, w).
    v, w = np.float32(RNG.normal(size=[4])), np.float32(RNG.normal(size=[3]))
    drawn = []

    def critic(samples, training):
        x, z = samples
        drawn.append((x, z))
        return tf.tanh(tf.linalg.matvec(tf.reshape(x, [-1, 4]), v) + tf.linalg.matvec(z, w))

    joints = joints_of(fake_joints, 0.0)
    plain = terms.make("JS_xz", critic=critic)(joints).critic_loss
    held = terms.make("JS_xz", critic=critic, gradient_penalty=2.0)(joints).critic_loss
    x, z = (np.asarray(part) for part in drawn[-1])
    # One u takes both parts of an example from q to p.
    u = ((z - Z_P) / (Z_Q - Z_P))[:, 0]
    assert ((u > 0) & (u < 1)).all()
    assert np.unique(u).size == 6
    for mixed, q, p in ((z, Z_Q, Z_P), (x, X_Q, X_P)):
        weight = u.reshape([-1] + [1] * (q.ndim - 1))
        np.testing.assert_allclose(mixed, weight * q + (1 - weight) * p, atol=1e-5)
    t = np.tanh(x.reshape([6, 4]) @ v + z @ w)
    norm = (1 - t**2) * np.sqrt((v**2).sum() + (w**2).sum())
    np.testing.assert_allclose(held - plain, 2 * ((norm - 1) ** 2).mean(), rtol=1e-4)


def test_a_flat_critic_has_a_gradient(fake_joints):
    # Tables start at 0, where |grad T| has no derivative.
    slope = tf.Variable([0.0, 0.0, 0.0])
    term = terms.make("W1_z", critic=lambda z, training: tf.linalg.matvec(z, slope))
    with tf.GradientTape() as tape:
        loss = term(joints_of(fake_joints, 0.0)).critic_loss
    assert np.isfinite(tape.gradient(loss, slope)).all()
    # 10 (0 - 1)^2
    np.testing.assert_allclose(loss, 10.0, rtol=1e-5)


def test_r1_of_products_is_at_the_data_and_the_prior(fake_joints):
    # T = x_0^2 / 2 + z_0^2 / 2: |grad T|^2 = x_0^2 + z_0^2
    def critic(samples, training):
        x, z = samples
        return (x[:, 0, 0, 0] ** 2 + z[:, 0] ** 2) / 2

    joints = joints_of(fake_joints, 0.0)
    expected = np.mean(X_Q[:, 0, 0, 0] ** 2 + Z_P[:, 0] ** 2)
    for name in ("RATE_p", "RATE_ratio"):
        plain, damped = (
            terms.make(name, critic=critic, r1_gamma=gamma)(joints).critic_loss
            for gamma in (0.0, 2.0)
        )
        np.testing.assert_allclose(damped - plain, expected, rtol=1e-5)


def test_streams_are_functions_of_seed_and_name():
    def stream(seed, name):
        joints = SampledJoints(tf.zeros([1, 1]), None, None, None, seed)
        return tuple(np.asarray(joints.stream(name)))

    assert stream([1, 2], "W1_x") == stream([1, 2], "W1_x")
    names = [*terms.available(), "z_q", "z_p", "x_p"]
    assert len({stream(seed, name) for name in names for seed in ([1, 2], [1, 3])}) == 2 * len(
        names
    )
    # Nor are they those of the samples.
    joints = SampledJoints(tf.zeros([1, 1]), None, None, None, [1, 2])
    samples = {tuple(np.asarray(joints._stream(name))) for name in ("z_q", "z_p", "x_p")}
    assert not samples & {stream([1, 2], name) for name in names}


@pytest.mark.parametrize("option", ["r1_gamma", "gradient_penalty"])
@pytest.mark.parametrize("weight", [-1.0, "10", float("inf"), float("nan")])
def test_refusals(option, weight):
    for name in ("JS_z", "W1_x", "Dz_qp", "H2_xz", "RATE_p"):
        with pytest.raises(InputError, match=f"{option} .* has to be a number, 0 or above"):
            terms.make(name, critic=abs, **{option: weight})


def test_terms_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        terms.make("W1_z", critic=abs).r1_gamma = 1.0
