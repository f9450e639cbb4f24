import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo import terms
from zoo.errors import InputError

LOG_2 = math.log(2.0)
SPACES = ["x", "z", "xz"]


def numpy_js(q, p):
    m = (q + p) / 2
    return 0.5 * (q * np.log(q / m)).sum() + 0.5 * (p * np.log(p / m)).sum()


def softplus(t):
    return np.log1p(np.exp(t))


class TableCritic:
    """Looks its logit up: T(x), T(z) or T(x, z) of one-hot vectors."""

    def __init__(self, space, logits):
        self.space = space
        self.logits = tf.constant(np.float32(logits))
        self.calls = []

    def __call__(self, samples, training):
        self.calls.append(training)
        if self.space == "xz":
            x, z = samples
            samples = tf.reshape(x[:, :, None] * z[:, None, :], [-1, 12])
        return tf.linalg.matvec(samples, self.logits)


def test_restated():
    t_q, t_p = np.array([0.5, -1.0, 3.0]), np.array([0.1, -2.0])
    loss = softplus(-t_q).mean() + softplus(t_p).mean()
    estimate = terms.jensen_shannon(t_q, t_p)
    np.testing.assert_allclose(estimate.value, LOG_2 - loss / 2, rtol=1e-6)
    np.testing.assert_allclose(estimate.critic_loss, loss, rtol=1e-6)
    np.testing.assert_allclose(
        estimate.surrogate, (softplus(-t_p).mean() + softplus(t_q).mean()) / 2, rtol=1e-6
    )
    saturating = terms.jensen_shannon(t_q, t_p, surrogate="saturating")
    assert saturating.surrogate is saturating.value


def test_symmetric():
    t_q, t_p = np.array([0.5, -1.0, 3.0]), np.array([0.1, -2.0])
    one, other = terms.jensen_shannon(t_q, t_p), terms.jensen_shannon(-t_p, -t_q)
    np.testing.assert_allclose(one.value, other.value, rtol=1e-6)
    np.testing.assert_allclose(one.surrogate, other.surrogate, rtol=1e-6)


@pytest.mark.parametrize(
    ("logit", "value"),
    [
        (0.0, 0.0),  # a critic that guesses
        (50.0, LOG_2),  # sure and right
        (-50.0, LOG_2 - 50.0),  # sure and wrong: far below 0
    ],
)
def test_extremes(logit, value):
    estimate = terms.jensen_shannon([logit], [-logit])
    np.testing.assert_allclose(estimate.value, value, atol=1e-6)


@pytest.mark.parametrize("space", SPACES)
def test_with_the_optimal_critic_it_is_the_divergence(space, table):
    q, p = table.marginals(space)
    term = terms.make(f"JS_{space}", critic=TableCritic(space, np.log(q / p)))
    estimate = term(table.joints())
    np.testing.assert_allclose(estimate.value, numpy_js(q, p), rtol=1e-5)
    np.testing.assert_allclose(estimate.critic_loss, 2 * (LOG_2 - estimate.value), rtol=1e-6)
    # The game value of a GAN is 2 JS - log 4.
    np.testing.assert_allclose(-estimate.critic_loss, 2 * numpy_js(q, p) - np.log(4), rtol=1e-5)


@pytest.mark.parametrize("space", SPACES)
def test_with_any_critic_it_is_a_lower_bound(space, table):
    q, p = table.marginals(space)
    rng = np.random.default_rng(11)
    for size in (0.01, 0.3, 1.0, 5.0):
        logits = np.log(q / p) + size * rng.normal(size=q.shape)
        value = terms.make(f"JS_{space}", critic=TableCritic(space, logits))(table.joints()).value
        assert value <= numpy_js(q, p) + 1e-6 <= LOG_2
    assert value < 0


def test_one_pass_keeps_the_sides_apart(fake_joints):
    q, p = np.float32([[1.0], [2.0]]), np.float32([[-1.0], [0.0], [3.0]])
    term = terms.make("JS_z", critic=lambda z, training: 2.0 * z[:, 0])
    estimate = term(fake_joints(z_q=q, z_p=p))
    expected = terms.jensen_shannon(2.0 * q[:, 0], 2.0 * p[:, 0])
    np.testing.assert_allclose(estimate.value, expected.value, rtol=1e-6)
    np.testing.assert_allclose(estimate.surrogate, expected.surrogate, rtol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_the_critic_is_called_once_with_the_training_flag(table, training):
    for r1_gamma in (0.0, 1.0):
        critic = TableCritic("xz", np.zeros(12))
        terms.make("JS_xz", critic=critic, r1_gamma=r1_gamma)(table.joints(), training=training)
        assert critic.calls == [training]


def weights_gradient(table, surrogate, loss_of_weights):
    """Gradients in logits of q and p of a term's surrogate and of a function of the weights."""
    logits = [tf.Variable(np.float32(np.log(w)).ravel()) for w in (table.q, table.p)]
    critic = TableCritic("xz", np.log(table.q / table.p).ravel())
    term = terms.make("JS_xz", critic=critic, surrogate=surrogate)
    with tf.GradientTape(persistent=True) as tape:
        q, p = (tf.nn.softmax(parameters) for parameters in logits)
        estimate = term(dataclasses.replace(table.joints(), q_weights=q, p_weights=p))
        expected = loss_of_weights(q, p)
    return tape.gradient(estimate.surrogate, logits), tape.gradient(expected, logits)


def test_saturating_gradient_is_that_of_the_divergence(table):
    def js(q, p):
        m = (q + p) / 2
        return tf.reduce_sum(q * tf.math.log(q / m) + p * tf.math.log(p / m)) / 2

    actual, expected = weights_gradient(table, "saturating", js)
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
        assert np.abs(other).max() > 1e-2


def test_non_saturating_gradient_is_that_of_the_divergences_from_the_middle(table):
    def kl_from_the_middle(moving, fixed):
        fixed = tf.stop_gradient(fixed)
        m = (moving + fixed) / 2
        return tf.reduce_sum(m * tf.math.log(m / fixed))

    actual, expected = weights_gradient(
        table, "non_saturating", lambda q, p: kl_from_the_middle(p, q) + kl_from_the_middle(q, p)
    )
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
        assert np.abs(other).max() > 1e-2


def sample_gradients(critic, q, p):
    """Gradients in samples of q and p, by surrogate."""
    q, p, gradients = tf.constant(q), tf.constant(p), {}
    for surrogate in ("saturating", "non_saturating"):
        with tf.GradientTape() as tape:
            tape.watch([q, p])
            loss = terms.jensen_shannon(critic(q), critic(p), surrogate).surrogate
        gradients[surrogate] = tape.gradient(loss, [q, p])
    return gradients


def test_surrogates_have_the_same_gradient_where_the_critic_is_zero():
    rng = np.random.default_rng(13)
    q, p = np.float32(rng.normal(size=[2, 5, 3]))
    w = tf.constant(np.float32(rng.normal(size=3)))

    def undecided(z):
        logit = tf.linalg.matvec(tf.tanh(z), w)
        return logit - tf.stop_gradient(logit)

    gradients = sample_gradients(undecided, q, p)
    for one, other in zip(gradients["saturating"], gradients["non_saturating"], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
        assert np.abs(one).max() > 1e-3


def test_only_the_non_saturating_gradient_survives_a_sure_critic():
    # T = 20 z is sure, and right, at q's 1 and p's -1.
    gradients = sample_gradients(
        lambda z: 20.0 * z[:, 0], np.float32([[1.0]]), np.float32([[-1.0]])
    )
    np.testing.assert_allclose(gradients["saturating"], np.zeros([2, 1, 1]), atol=1e-6)
    # 1/2 sigma(20) * 20 for q, which has to go down, and its opposite for p.
    np.testing.assert_allclose(gradients["non_saturating"], [[[10.0]], [[-10.0]]], rtol=1e-6)


@pytest.mark.parametrize("space", SPACES)
def test_r1_is_the_squared_slope_at_the_fixed_samples(space, fake_joints):
    gamma, rng = 3.0, np.random.default_rng(17)
    x_q, x_p = rng.normal(size=[2, 4, 2, 2, 1])
    z_q, z_p = rng.normal(size=[2, 4, 3])
    w_x, w_z = rng.normal(size=[4, 6]), rng.normal(size=[3, 6])

    def numpy_critic(x, z):
        inner = 0.0
        if "x" in space:
            inner = inner + x.reshape([len(x), 4]) @ w_x
        if "z" in space:
            inner = inner + z @ w_z
        return np.tanh(inner).sum(1)

    def numpy_squared_slope(x, z, step=1e-5):
        total = np.zeros(len(x))
        for moved, part in ((0, x), (1, z)):
            for index in np.ndindex(part.shape[1:]):
                shift = np.zeros_like(part)
                shift[(slice(None), *index)] = step
                up, down = [x, z], [x, z]
                up[moved], down[moved] = part + shift, part - shift
                total += ((numpy_critic(*up) - numpy_critic(*down)) / (2 * step)) ** 2
        return total

    def critic(samples, training):
        parts = samples if space == "xz" else [samples]
        matrices = {"x": [w_x], "z": [w_z], "xz": [w_x, w_z]}[space]
        inner = tf.add_n(
            [
                tf.reshape(part, [-1, len(w)]) @ tf.constant(np.float32(w))
                for part, w in zip(parts, matrices, strict=True)
            ]
        )
        return tf.reduce_sum(tf.tanh(inner), axis=1)

    at_q, at_p = numpy_squared_slope(x_q, z_q).mean(), numpy_squared_slope(x_p, z_p).mean()
    expected = gamma / 2 * {"x": at_q, "z": at_p, "xz": at_q + at_p}[space]
    samples = {"x_q": x_q, "z_q": z_q, "x_p": x_p, "z_p": z_p}
    joints = fake_joints(**{name: tf.constant(np.float32(s)) for name, s in samples.items()})
    plain = terms.make(f"JS_{space}", critic=critic)(joints)
    damped = terms.make(f"JS_{space}", critic=critic, r1_gamma=gamma)(joints)
    np.testing.assert_allclose(damped.critic_loss - plain.critic_loss, expected, rtol=1e-4)
    np.testing.assert_allclose(damped.value, plain.value, rtol=1e-6)
    np.testing.assert_allclose(damped.surrogate, plain.surrogate, rtol=1e-6)


def test_r1_of_a_part_which_the_critic_ignores_is_zero(fake_joints):
    samples = {name: tf.ones([2, 1]) for name in ("x_q", "z_q", "x_p", "z_p")}

    def critic(both, training):
        return 2.0 * both[0][:, 0]

    plain = terms.make("JS_xz", critic=critic)(fake_joints(**samples))
    damped = terms.make("JS_xz", critic=critic, r1_gamma=1.0)(fake_joints(**samples))
    # 1/2 * 2^2, at q and at p
    np.testing.assert_allclose(damped.critic_loss - plain.critic_loss, 4.0, rtol=1e-6)


def keras_critic():
    x, z = keras.Input([2, 2, 1]), keras.Input([3])
    both = keras.layers.Concatenate()([keras.layers.Flatten()(x), z])
    inner = keras.layers.SpectralNormalization(keras.layers.Dense(8))(both)
    inner = keras.layers.LeakyReLU(negative_slope=0.2)(inner)
    return keras.Model([x, z], keras.layers.Flatten()(keras.layers.Dense(1)(inner))[:, 0])


@pytest.mark.parametrize("r1_gamma", [0.0, 1.0])
def test_players_gradients_under_xla(fake_joints, r1_gamma):
    keras.utils.set_random_seed(1)
    critic = keras_critic()
    rng = np.random.default_rng(19)
    x_q, x_p = np.float32(rng.normal(size=[2, 5, 2, 2, 1]))
    z_q, z_p = np.float32(rng.normal(size=[2, 5, 3]))
    shift = tf.Variable(0.5)
    term = terms.make("JS_xz", critic=critic, r1_gamma=r1_gamma)

    def step(training):
        with tf.GradientTape(persistent=True) as tape:
            joints = fake_joints(
                x_q=tf.constant(x_q), z_q=z_q + shift, x_p=x_p * shift, z_p=tf.constant(z_p)
            )
            estimate = term(joints, training=training)
        critic_gradients = tape.gradient(estimate.critic_loss, critic.trainable_variables)
        return estimate.value, tape.gradient(estimate.surrogate, shift), critic_gradients

    eager = tf.nest.flatten(step(training=False))
    compiled = tf.nest.flatten(tf.function(step, jit_compile=True)(training=False))
    for one, other in zip(eager, compiled, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
        assert np.abs(one).max() > 0

    # Spectral normalisation moves its vector in training, so the flag arrives.
    before = [v.numpy().copy() for v in critic.non_trainable_variables]
    tf.function(step, jit_compile=True)(training=True)
    after = [v.numpy() for v in critic.non_trainable_variables]
    assert any(np.any(one != other) for one, other in zip(before, after, strict=True))


def test_a_trained_critic_finds_the_divergence():
    # N(+-1, 1) in one dimension: log q/p = 2 z is linear, so a linear critic can be optimal.
    n, t = 20_000, tf.Variable([0.0, 0.0])
    noise = np.random.default_rng(23).normal(size=[2, n]).astype(np.float32)
    q, p = noise[0] + 1.0, noise[1] - 1.0

    @tf.function(jit_compile=True)
    def step():
        with tf.GradientTape() as tape:
            estimate = terms.jensen_shannon(t[0] * q + t[1], t[0] * p + t[1])
        t.assign_sub(2.0 * tape.gradient(estimate.critic_loss, t))
        return estimate.value

    for _ in range(200):
        value = step()
    z = np.linspace(-12.0, 12.0, 20_001)
    density_q, density_p = (np.exp(-((z - m) ** 2) / 2) / np.sqrt(2 * np.pi) for m in (1, -1))
    js = numpy_js(density_q, density_p) * (z[1] - z[0])
    # softplus(-T) has a standard deviation of 0.56 under q, as softplus(T) has under p; the value
    # halves the sum of their two means over n samples: 4 standard errors.
    np.testing.assert_allclose(value, js, atol=4 * 0.56 * math.sqrt(0.5 / n))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: terms.jensen_shannon([0.0], [0.0], "nonsaturating"), "did you mean 'non_satur"),
        (lambda: terms.make("JS_z", critic=abs, surrogate="hinge"), "Unknown surrogate 'hinge'"),
        (lambda: terms.make("JS_z", critic=abs, r1_gamma=-1.0), "r1_gamma -1.0"),
        (lambda: terms.make("JS_z", critic=abs, r1_gamma="10"), "r1_gamma '10'"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()
