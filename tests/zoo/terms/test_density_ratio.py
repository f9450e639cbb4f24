import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from zoo import terms
from zoo.errors import InputError

tfd = tfp.distributions

NAMES = ["Dz_qp", "Dz_pq", "Dx_qp", "Dx_pq", "J_qp", "J_pq", "RATE_ratio", "RATE_p"]
SPACES = {"Dz": "z", "Dx": "x", "J": "xz", "RATE": "xz"}


def softplus(t):
    return np.log1p(np.exp(t))


def test_restated():
    t_a, t_b = np.array([0.5, -1.0, 3.0]), np.array([0.1, -2.0])
    estimate = terms.density_ratio(t_a, t_b)
    np.testing.assert_allclose(estimate.value, t_a.mean(), rtol=1e-6)
    loss = softplus(-t_a).mean() + softplus(t_b).mean()
    np.testing.assert_allclose(estimate.critic_loss, loss, rtol=1e-6)
    surrogate = t_a.mean() - np.log(np.exp(t_b).mean())
    np.testing.assert_allclose(estimate.surrogate, surrogate, rtol=1e-6)


def test_large_ratios_do_not_overflow():
    t_a, t_b = tf.constant([90.0, 120.0]), tf.Variable([100.0, -300.0])
    with tf.GradientTape() as tape:
        estimate = terms.density_ratio(t_a, t_b)
    np.testing.assert_allclose(estimate.surrogate, 105 - (100 - math.log(2)), rtol=1e-6)
    # The weights sum to 1.
    np.testing.assert_allclose(tape.gradient(estimate.surrogate, t_b), [-1.0, 0.0])


def two_of(name, q, p):
    """The two distributions that the term `name` compares, as tables."""
    product = q.sum(1, keepdims=True) * p.sum(0)
    if name.startswith("RATE"):
        return (q if name == "RATE_ratio" else p), product
    axis = {"Dx": 1, "Dz": 0, "J": ()}[name[:-3]]
    q, p = q.sum(axis), p.sum(axis)
    return (q, p) if name.endswith("qp") else (p, q)


def best_critic(name, table):
    """log q/p on the space, or log of a joint over the product of marginals."""
    a, b = two_of(name, table.q, table.p)
    sign = -1 if name.endswith("_pq") else 1
    logits = tf.constant(sign * np.log(a / b).ravel(), tf.float32)

    def critic(samples, training):
        if isinstance(samples, list):
            x, z = samples
            samples = tf.reshape(x[:, :, None] * z[:, None, :], [-1, 12])
        return tf.linalg.matvec(samples, logits)

    return critic


@pytest.mark.parametrize("name", NAMES)
def test_with_the_optimal_critic_it_is_the_divergence(name, table):
    a, b = two_of(name, table.q, table.p)
    estimate = terms.make(name, critic=best_critic(name, table))(table.joints())
    np.testing.assert_allclose(estimate.value, (a * np.log(a / b)).sum(), rtol=1e-5)
    # log E_b[e^T] = 0, so the surrogate is as large.
    np.testing.assert_allclose(estimate.surrogate, estimate.value, rtol=1e-5)
    # E_a softplus(-T) + E_b softplus(T) = 2 log 2 - 2 JS(a, b)
    m = (a + b) / 2
    js = ((a * np.log(a / m)).sum() + (b * np.log(b / m)).sum()) / 2
    np.testing.assert_allclose(estimate.critic_loss, 2 * np.log(2) - 2 * js, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_on_tables_is_that_of_the_divergence_in_both_arguments(name, table):
    term = terms.make(name, critic=best_critic(name, table))
    logits = [tf.Variable(np.float32(np.log(w)).ravel()) for w in (table.q, table.p)]

    def marginals(joint, axis):
        return tf.reduce_sum(tf.reshape(joint, [3, 4]), axis, keepdims=True)

    with tf.GradientTape(persistent=True) as tape:
        q, p = (tf.nn.softmax(parameters) for parameters in logits)
        ours = term(dataclasses.replace(table.joints(), q_weights=q, p_weights=p)).surrogate
        if name.startswith("RATE"):
            a = q if name == "RATE_ratio" else p
            b = tf.reshape(marginals(q, 1) * marginals(p, 0), [-1])
        else:
            axis = {"Dx": 1, "Dz": 0, "J": ()}[name[:-3]]
            a, b = marginals(q, axis), marginals(p, axis)
            a, b = (a, b) if name.endswith("qp") else (b, a)
        theirs = tf.reduce_sum(a * tf.math.log(a / b))
    expected = tape.gradient(theirs, logits)
    for one, other in zip(tape.gradient(ours, logits), expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
        assert np.abs(other).max() > 1e-2


def quantile_noise(n=20_000):
    """N(0, 1) by its quantiles: means over it are integrals."""
    return np.float32(tfd.Normal(0.0, 1.0).quantile((np.arange(n) + 0.5) / n))


def kl_gradient(normals):
    """Of log t/s + (s^2 + (m - n)^2) / (2 t^2) - 1/2 for N(m, s^2), N(n, t^2), in (m, s, n, t)."""
    m, s, n, t = normals.m_q, normals.s_q, normals.m_p, normals.s_p
    d = (m - n) / t**2
    return np.array([d, s / t**2 - 1 / s, -d, 1 / t - (s**2 + (m - n) ** 2) / t**3])


@pytest.mark.parametrize("direction", ["qp", "pq"])
def test_gradient_on_samples_is_analytic_in_both_arguments(direction, normals, fake_joints):
    parameters = [tf.Variable(v) for v in (normals.m_q, normals.s_q, normals.m_p, normals.s_p)]
    noise = quantile_noise()
    term = terms.make(
        f"Dz_{direction}",
        critic=lambda z, training: normals.log_ratio(tf.cast(z[:, 0], tf.float32)),
    )
    with tf.GradientTape() as tape:
        m_q, s_q, m_p, s_p = parameters
        z_q, z_p = m_q + s_q * noise, m_p + s_p * noise
        estimate = term(fake_joints(z_q=z_q[:, None], z_p=z_p[:, None]))
    found = np.array(tape.gradient(estimate.surrogate, parameters))
    if direction == "qp":
        expected, kl = kl_gradient(normals), normals.kl()
    else:
        expected = kl_gradient(normals.exchanged())[[2, 3, 0, 1]]
        kl = normals.exchanged().kl()
    # Quantiles cut the tails at 4 standard deviations, where r weighs up to a hundred times.
    np.testing.assert_allclose(found, expected, rtol=0.02)
    np.testing.assert_allclose(estimate.value, kl, rtol=1e-3)


def test_without_its_second_part_nothing_would_move_the_second_argument(normals):
    noise, m_p = quantile_noise(), tf.Variable(normals.m_p)
    with tf.GradientTape(persistent=True) as tape:
        estimate = terms.density_ratio(
            normals.log_ratio(normals.m_q + normals.s_q * noise),
            normals.log_ratio(m_p + normals.s_p * noise),
        )
    assert tape.gradient(estimate.value, m_p) is None
    np.testing.assert_allclose(
        tape.gradient(estimate.surrogate, m_p), kl_gradient(normals)[2], rtol=0.02
    )


def test_a_constant_error_of_the_critic_shifts_the_value_but_no_gradient(normals):
    noise, m_p = quantile_noise(1000), tf.Variable(normals.m_p)
    results = []
    for error in (0.0, 3.0):
        with tf.GradientTape() as tape:
            estimate = terms.density_ratio(
                normals.log_ratio(normals.m_q + normals.s_q * noise) + error,
                normals.log_ratio(m_p + normals.s_p * noise) + error,
            )
        results.append((estimate.value, tape.gradient(estimate.surrogate, m_p)))
    (value, gradient), (shifted, same) = results
    np.testing.assert_allclose(shifted, value + 3.0, rtol=1e-6)
    np.testing.assert_allclose(same, gradient, rtol=1e-5)
    # So the value is no bound: this one is above the KL.
    assert shifted > normals.kl()


def test_a_trained_critic_finds_the_divergence(normals):
    keras.utils.set_random_seed(5)
    critic = keras.Sequential(
        [
            keras.Input([1]),
            keras.layers.Dense(32, activation="tanh"),
            keras.layers.Dense(1),
            keras.layers.Reshape(()),
        ]
    )
    optimizer, variables = keras.optimizers.Adam(0.02), critic.trainable_variables
    optimizer.build(variables)
    joints = normals.joints()
    forward, backward = (terms.make(f"Dz_{d}", critic=critic) for d in ("qp", "pq"))

    @tf.function(jit_compile=True)
    def step():
        with tf.GradientTape() as tape:
            estimate, other = forward(joints), backward(joints)
        optimizer.apply_gradients(
            zip(tape.gradient(estimate.critic_loss, variables), variables, strict=True)
        )
        return estimate.value, other.value

    for _ in range(300):
        qp, pq = step()
    # One critic, trained once, serves both directions. Errors of T are of the first order here:
    # some hundredths.
    np.testing.assert_allclose(qp, normals.kl(), rtol=0.05)
    np.testing.assert_allclose(pq, normals.exchanged().kl(), rtol=0.05)


def recording(shown):
    def critic(samples, training):
        shown.append([np.asarray(part) for part in samples])
        return tf.reduce_sum(samples[1], axis=1)

    return critic


X_Q, X_P = np.float32(np.random.default_rng(41).normal(size=[2, 5, 2]))
Z_Q, Z_P = np.float32(np.random.default_rng(43).normal(size=[2, 5, 3]))


@pytest.mark.parametrize(("name", "joint"), [("RATE_ratio", (X_Q, Z_Q)), ("RATE_p", (X_P, Z_P))])
def test_rates_compare_a_joint_with_data_beside_draws_of_the_prior(name, joint, fake_joints):
    shown = []
    samples = {"x_q": X_Q, "z_q": Z_Q, "x_p": X_P, "z_p": Z_P}
    terms.make(name, critic=recording(shown))(fake_joints(**samples))
    ((x, z),) = shown
    np.testing.assert_array_equal(x, np.concatenate([joint[0], X_Q]))
    np.testing.assert_array_equal(z, np.concatenate([joint[1], Z_P]))


def test_rate_by_ratio_is_the_rate(table):
    q_z_given_x, p_z = table.q / table.q.sum(1, keepdims=True), table.p.sum(0)
    joints = table.joints(
        posterior=tfd.Categorical(probs=np.float32(q_z_given_x)),
        prior=tfd.Categorical(probs=np.float32(p_z)),
    )
    ratio = terms.make("RATE_ratio", critic=best_critic("RATE_ratio", table))(joints).value
    np.testing.assert_allclose(ratio, terms.make("RATE")(joints).value, rtol=1e-5)


def normal(mean, scale):
    return tfd.Independent(tfd.Normal(mean, scale), 1)


MEAN, SCALE = tf.constant(X_Q @ np.float32([[1, -1, 0.5], [0.2, 1, -0.7]])), 0.4
PRIOR = normal(tf.zeros(3), 1.0)


def adaptive(z, posterior, fake_joints, critic, x=X_Q):
    joints = fake_joints(
        x_q=x, z_q=z, z_p=Z_P, posterior=posterior, prior=PRIOR, log_p_z_q=PRIOR.log_prob(z)
    )
    return terms.make("RATE_ratio", critic=critic, adaptive_contrast=True)(joints)


def guess(samples, training):
    return 0.0 * samples[1][:, 0]


def test_adaptive_contrast_leaves_the_critic_nothing_if_the_posterior_is_normal(fake_joints):
    posterior = normal(MEAN, SCALE)
    z = posterior.sample(seed=1)
    value = adaptive(z, posterior, fake_joints, guess).value
    # T = 0 is optimal, and the rest is log q(z|x) - log p(z).
    expected = terms.rate(posterior, PRIOR, z, estimator="monte_carlo")
    np.testing.assert_allclose(value, expected, rtol=1e-5)

    # So is the gradient that of the rate, d/dm = mean m, d/ds = s - 1/s for each of 3 elements.
    noise = tf.random.stateless_normal([500, 5, 3], [1, 2])
    noise = tf.reshape(tf.concat([noise, -noise], axis=0), [5000, 3])
    x = np.tile(X_Q, [1000, 1])
    mean, scale = tf.Variable(MEAN), tf.Variable(SCALE)
    with tf.GradientTape() as tape:
        of_each = tf.tile(mean, [1000, 1])
        posterior = normal(of_each, scale)
        z = of_each + scale * noise
        loss = adaptive(z, posterior, fake_joints, guess, x).surrogate
    in_mean, in_scale = tape.gradient(loss, [mean, scale])
    # In the mean of e and -e the noise cancels; (e^2 - 1) (s - 1/s) has a deviation of 1.4 times
    # the gradient of each of 3 elements, here over 2500 draws: 4 standard errors.
    np.testing.assert_allclose(in_mean, mean / 5, atol=1e-4)
    np.testing.assert_allclose(in_scale, 3 * (scale - 1 / scale), rtol=4 * 1.4 / np.sqrt(7500))


def test_adaptive_contrast_is_the_rate_for_any_posterior_and_any_moments(fake_joints):
    posterior = tfd.Independent(tfd.Laplace(MEAN, SCALE), 1)
    # An implicit encoder knows its moments from several samples, here 50.
    empirical = tfd.Empirical(tf.transpose(posterior.sample(50, seed=2), [1, 0, 2]), event_ndims=1)
    z, shown = posterior.sample(seed=3), []
    m, s = empirical.mean(), empirical.stddev()

    def optimal(samples, training):
        # T = log q(e|x) - log N(e; 0, I), with q(e|x) = s q(m + s e|x)
        e = samples[1]
        shown.append(e.numpy())
        log_q = tf.concat([posterior.log_prob(m + s * part) for part in (e[:5], e[5:])], axis=0)
        log_s = tf.reduce_sum(tf.math.log(s), axis=1)
        return log_q + tf.concat([log_s, log_s], axis=0) - PRIOR.log_prob(e)

    value = adaptive(z, empirical, fake_joints, optimal).value
    expected = np.mean(posterior.log_prob(z) - PRIOR.log_prob(z))
    np.testing.assert_allclose(value, expected, rtol=1e-4)
    np.testing.assert_allclose(shown[0][:5], (z - m) / s, rtol=1e-5)


def test_adaptive_contrast_holds_its_moments_fixed(fake_joints):
    shift = tf.Variable(0.2)
    with tf.GradientTape() as tape:
        posterior = normal(MEAN + shift, SCALE)
        loss = adaptive(tf.constant(Z_Q), posterior, fake_joints, guess).surrogate
    assert tape.gradient(loss, shift) is None


def test_names_and_configs():
    for name in NAMES:
        term = terms.make(name, critic=abs, r1_gamma=1.0)
        assert term.name == name
        assert terms.critic_space(name) == SPACES[name.split("_")[0]]
        config = term.get_config()
        assert config["estimator"] == "ratio"
        assert terms.make(**config, critic=abs) == term
    assert terms.make("Dz_qp", critic=abs) != terms.make("Dz_pq", critic=abs)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: terms.make("J_pq"), "J_pq needs a critic"),
        (lambda: terms.make("D_z_qp", critic=abs), "Unknown term 'D_z_qp': did you mean .*'Dz_qp'"),
        (lambda: terms.make("J_pq", critic=abs, estimator="stein"), "estimator of J_pq 'stein'"),
        (lambda: terms.make("Dz_qp", critic=abs, kernel="rbf"), "Unknown option 'kernel'"),
        (lambda: terms.make("RATE_p", critic=abs, adaptive_contrast=True), "Unknown option 'adap"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_adaptive_contrast_refuses_a_table(table):
    term = terms.make("RATE_ratio", critic=guess, adaptive_contrast=True)
    with pytest.raises(InputError, match="not for a table of them: use adaptive_contrast=False"):
        term(table.joints())
