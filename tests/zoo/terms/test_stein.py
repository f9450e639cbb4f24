import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from zoo import terms
from zoo.errors import InputError
from zoo.terms import kernels

tfd = tfp.distributions

RNG = np.random.default_rng(37)
Z = np.float32(RNG.normal(size=[7, 3]) * 0.7 + 0.5)
SCORE = np.float32(RNG.normal(size=[7, 3]))


def numpy_kernel(name, a, b):
    """k(a, b) of vectors, with s2 = dim."""
    t = ((a - b) ** 2).sum() / (2 * len(a))
    scales = [0.25, 0.5, 1.0, 2.0, 4.0] if "mixture" in name else [1.0]
    return np.mean([np.exp(-t / c) if "rbf" in name else 1 / (1 + t / c) for c in scales])


def by_differences(name, z, score, statistic):
    """phi and KSD^2, pair by pair, with the kernel's derivatives by central differences."""
    n, h = len(z), 1e-4
    z, score = np.float64(z), np.float64(score)
    steps = h * np.eye(z.shape[1])
    phi, total, pairs = np.zeros_like(z), 0.0, n if statistic == "v" else n - 1

    def k(a, b):
        return numpy_kernel(name, a, b)

    for i, j in np.ndindex(n, n):
        if i == j and statistic == "u":
            continue
        (a, b), (s_i, s_j) = (z[i], z[j]), (score[i], score[j])
        in_a = np.array([k(a + e, b) - k(a - e, b) for e in steps]) / (2 * h)
        in_b = np.array([k(a, b + e) - k(a, b - e) for e in steps]) / (2 * h)
        trace = sum(
            sign * other * k(a + sign * e, b + other * e) / (4 * h**2)
            for e in steps
            for sign in (1, -1)
            for other in (1, -1)
        )
        # phi(z_i) = 1/n sum_j k(z_j, z_i) s_j + grad_{z_j} k(z_j, z_i)
        phi[i] += (k(a, b) * s_j + in_b) / pairs
        # s.s' k + s.grad_{z'} k + s'.grad_z k + tr(grad_z grad_{z'} k)
        total += (s_i @ s_j) * k(a, b) + s_i @ in_b + s_j @ in_a + trace
    return phi, total / (n * pairs)


@pytest.mark.parametrize("kernel", kernels.KERNELS)
@pytest.mark.parametrize("statistic", ["u", "v"])
def test_restated(kernel, statistic):
    phi, ksd = by_differences(kernel, Z, SCORE, statistic)
    z = tf.constant(Z)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        estimate = terms.stein(z, SCORE, kernel=kernel, statistic=statistic)
    # The gradient of -mean_i phi(z_i) . z_i with phi held fixed.
    np.testing.assert_allclose(tape.gradient(estimate.surrogate, z), -phi / 7, atol=1e-6)
    np.testing.assert_allclose(estimate.value, ksd, rtol=1e-4)
    assert tape.gradient(estimate.value, z) is None
    assert estimate.critic_loss is None


def test_far_from_zero_nothing_cancels():
    near = terms.stein(Z, SCORE).value
    np.testing.assert_allclose(terms.stein(Z + 100.0, SCORE).value, near, rtol=1e-3)


def quantile_normals(n):
    """Points with the moments of N(0, 1)."""
    return np.float32(tfd.Normal(0.0, 1.0).quantile((np.arange(n) + 0.5) / n))[:, None]


def fitted_kl(z):
    """KL of the normal with the sample's moments to N(0, 1)."""
    return (np.var(z) + np.mean(z) ** 2 - 1 - np.log(np.var(z))) / 2


@pytest.mark.parametrize(("mean", "scale"), [(2.0, 1.0), (0.0, 2.0), (-1.0, 0.5)])
@pytest.mark.parametrize("options", [{}, {"kernel": "imq"}, {"bandwidth": "median"}])
def test_descent_lowers_the_kl_and_the_printed_sign_raises_it(mean, scale, options):
    z = tf.constant(mean + scale * quantile_normals(200))
    with tf.GradientTape() as tape:
        tape.watch(z)
        surrogate = terms.stein(z, -z, **options).surrogate
    step = 0.05 * 200 * tape.gradient(surrogate, z)
    descended, printed = (z - step).numpy(), (z + step).numpy()
    assert fitted_kl(descended) < fitted_kl(z.numpy()) < fitted_kl(printed)


def test_value_is_the_speed_at_which_the_kl_falls(normals):
    """KSD^2 = -d/de KL(q[z + e phi(z)] || p) = E_q[ phi s + phi' ], by integration."""
    z, (q, _) = normals.grid, normals.densities
    # p = N(0, 1), s2 = 1: phi(y) = E_q[ k(z, y) (-z) + (y - z) k(z, y) ]
    kernel = np.exp(-((z[:, None] - z) ** 2) / 2)
    phi = (q[:, None] * kernel * (z - 2 * z[:, None])).sum(0)
    speed = (q * (-z * phi + np.gradient(phi, 0.01))).sum()
    sample = normals.m_q + normals.s_q * tf.random.stateless_normal([4000, 1], [1, 2])
    value = terms.stein(sample, -sample).value
    # Twice the mean of the Stein kernel's projection, whose deviation is about the speed's size:
    # 4 standard errors are 8 * 0.15 / sqrt(4000).
    np.testing.assert_allclose(value, speed, atol=0.02)
    assert speed > 0.1


def test_under_equality_u_is_unbiased_and_v_is_not():
    n, draws = 16, 2000
    samples = tf.random.stateless_normal([draws, n, 2], seed=[3, 4])

    @tf.function
    def values():
        def both(z):
            return tf.stack([terms.stein(z, -z, statistic=s).value for s in ("u", "v")])

        return tf.map_fn(both, samples)

    u, v = values().numpy().T
    # The pairs i = j add (|s|^2 + D / s2) / n = (2 + 1) / 16 on average.
    np.testing.assert_allclose(u.mean(), 0.0, atol=4 * u.std() / np.sqrt(draws))
    np.testing.assert_allclose((v - u * (n - 1) / n).mean(), 3 / 16, rtol=0.05)
    assert (u < 0).mean() > 0.4
    assert (v > 0).all()


def train(statistic):
    """Where an encoder that draws 32 new z at every step comes to rest."""
    loc, log_scale = tf.Variable([1.0, -1.0]), tf.Variable([-1.0, 0.7])

    @tf.function(jit_compile=True)
    def step(i, rate):
        noise = tf.random.stateless_normal([32, 2], seed=[5, i])
        with tf.GradientTape() as tape:
            z = loc + tf.exp(log_scale) * noise
            surrogate = terms.stein(z, -(z - 0.5) / 1.5**2, statistic=statistic).surrogate
        for variable, gradient in zip(
            (loc, log_scale), tape.gradient(surrogate, (loc, log_scale)), strict=True
        ):
            variable.assign_sub(rate * gradient)

    for i in range(1500):
        step(tf.constant(i), tf.constant(0.3 if i < 500 else 0.03))
    return loc.numpy(), np.exp(log_scale.numpy())


def test_following_it_matches_the_prior_and_the_pairs_of_themselves_narrow_it():
    loc, scale = train("u")
    # The last 1000 steps of rate 0.03 average over some 100 batches of 32: a mean of 3200 z has an
    # error of 1.5 / sqrt(3200) = 0.03, and 4 of them are 0.11.
    np.testing.assert_allclose(loc, [0.5, 0.5], atol=0.11)
    np.testing.assert_allclose(scale, [1.5, 1.5], atol=0.11)
    _, narrow = train("v")
    assert (narrow < scale - 0.05).all()


def joints_with(fake_joints, prior, z=Z):
    return fake_joints(z_q=tf.convert_to_tensor(z), prior=prior)


def test_term_takes_the_score_of_any_prior(fake_joints):
    mixture = tfd.MixtureSameFamily(
        tfd.Categorical(logits=tf.zeros(2)),
        tfd.MultivariateNormalDiag(tf.constant([[-1.0] * 3, [1.0] * 3]), tf.ones([2, 3])),
    )
    normal = tfd.MultivariateNormalDiag(tf.fill([3], 0.2), tf.fill([3], 2.0))
    weight = 1 / (1 + np.exp(-2 * Z.sum(1, keepdims=True)))
    for prior, score in ((normal, -(Z - 0.2) / 4), (mixture, 2 * weight - 1 - Z)):
        for options in ({}, {"kernel": "imq", "bandwidth": 2.0, "statistic": "v"}):
            term = terms.make("Dz_qp", estimator="stein", **options)
            estimate = term(joints_with(fake_joints, prior))
            expected = terms.stein(Z, score, **options)
            np.testing.assert_allclose(estimate.value, expected.value, rtol=1e-4)
            np.testing.assert_allclose(estimate.surrogate, expected.surrogate, rtol=1e-4)


def test_term_under_xla_inside_a_tape(fake_joints):
    prior = tfd.Independent(tfd.Normal(tf.zeros(3), 1.0), 1)
    shift, term = tf.Variable(0.3), terms.make("Dz_qp", estimator="stein", bandwidth="median")

    def gradient():
        with tf.GradientTape(persistent=True) as tape:
            estimate = term(joints_with(fake_joints, prior, Z + shift))
        return estimate.value, tape.gradient(estimate.surrogate, shift)

    eager, compiled = gradient(), tf.function(gradient, jit_compile=True)()
    np.testing.assert_allclose(eager, compiled, rtol=1e-4)
    assert np.abs(eager[1]) > 1e-2


def test_it_is_an_estimator_of_dz_qp_beside_the_ratio():
    term = terms.make("Dz_qp", estimator="stein")
    assert term.name == "Dz_qp"
    assert term.get_config()["estimator"] == "stein"
    assert terms.make(**term.get_config()) == term
    assert terms.critic_space("Dz_qp", "stein") is None
    assert terms.critic_space("Dz_qp") == terms.critic_space("Dz_qp", "ratio") == "z"
    assert type(terms.make("Dz_qp", critic=abs)) is type(
        terms.make("Dz_qp", critic=abs, estimator="ratio")
    )


def test_one_example_is_enough_with_itself():
    np.testing.assert_allclose(
        terms.stein(Z[:1], SCORE[:1], statistic="v").surrogate, -Z[0] @ SCORE[0]
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: terms.stein(Z[:1], SCORE[:1]), "needs pairs"),
        (lambda: terms.stein(Z, SCORE[:3]), r"shapes \(7, 3\) of z and \(3, 3\)"),
        (lambda: terms.stein(Z, SCORE, statistic="w"), "Unknown statistic 'w'"),
        (lambda: terms.stein(Z, SCORE, kernel="gauss"), "Unknown kernel 'gauss'"),
        (
            lambda: terms.make("Dz_qp", estimator="stien"),
            "estimator of Dz_qp 'stien': did you mean",
        ),
        (lambda: terms.make("Dz_pq", estimator="stein"), "Unknown estimator of Dz_pq 'stein'"),
        (lambda: terms.critic_space("Dx_qp", "stein"), "Unknown estimator of Dx_qp 'stein'"),
        (lambda: terms.make("Dz_qp", estimator="stein", critic=abs), "Dz_qp needs no critic"),
        (lambda: terms.make("Dz_qp", estimator="stein", r1_gamma=1.0), "Unknown option 'r1_gamma'"),
        (lambda: terms.make("Dz_qp", estimator="stein", bandwidth=0), "Bandwidth 0"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_table_and_a_prior_without_a_slope_are_refused(table, fake_joints):
    term = terms.make("Dz_qp", estimator="stein")
    with pytest.raises(InputError, match="a table's z cannot move: use estimator='ratio'"):
        term(table.joints())
    prior = tfd.Independent(tfd.Bernoulli(logits=tf.zeros(3)), 1)
    joints = dataclasses.replace(joints_with(fake_joints, prior), z_q=tf.ones([4, 3], tf.int32))
    with pytest.raises(InputError, match="Independent prior has no gradient in z"):
        term(joints)
