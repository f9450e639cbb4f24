import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from zoo import terms
from zoo.errors import InputError
from zoo.terms import kernels

tfd = tfp.distributions

RNG = np.random.default_rng(5)
Q, P = np.float32(RNG.normal(size=[6, 3]) * 0.5 + 0.4), np.float32(RNG.normal(size=[5, 3]))
LOC, SCALE = np.float32([0.3, -0.2, 0.0]), np.float32([1.0, 0.5, 2.0])


def numpy_kernel(a, b, s2):
    return np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / (2 * s2))


def numpy_mmd(q, p, s2, estimator):
    n, m = len(q), len(p)
    k_qq, k_pp = numpy_kernel(q, q, s2), numpy_kernel(p, p, s2)
    if estimator == "u":
        k_qq, k_pp = k_qq[~np.eye(n, dtype=bool)], k_pp[~np.eye(m, dtype=bool)]
    return k_qq.mean() - 2 * numpy_kernel(q, p, s2).mean() + k_pp.mean()


@pytest.mark.parametrize("estimator", ["u", "v"])
def test_restated(estimator):
    value = terms.mmd(Q, P, estimator=estimator)
    # Kernel values near 1 are added and subtracted in float32: errors of a few 1e-7.
    np.testing.assert_allclose(value, numpy_mmd(Q, P, 3.0, estimator), atol=1e-6)
    value = terms.mmd(Q, P, bandwidth=0.7, estimator=estimator)
    np.testing.assert_allclose(value, numpy_mmd(Q, P, 0.7, estimator), atol=1e-6)


@pytest.mark.parametrize("kernel", kernels.KERNELS)
@pytest.mark.parametrize("bandwidth", ["dim", "median", 2.0])
def test_symmetric(kernel, bandwidth):
    options = {"kernel": kernel, "bandwidth": bandwidth}
    np.testing.assert_allclose(terms.mmd(Q, P, **options), terms.mmd(P, Q, **options), atol=1e-6)


@pytest.mark.parametrize("kernel", kernels.KERNELS)
def test_v_statistic_of_a_sample_with_itself_is_zero(kernel):
    np.testing.assert_allclose(terms.mmd(Q, Q, kernel=kernel, estimator="v"), 0.0, atol=1e-6)


def test_under_equality_the_u_statistic_is_unbiased_and_the_v_statistic_is_not():
    n, dim, draws = 16, 4, 4000
    samples = tf.random.stateless_normal([2, draws, n, dim], seed=[1, 2])

    @tf.function
    def statistics():
        return tf.map_fn(
            lambda pair: tf.stack([terms.mmd(*pair, estimator=e) for e in ("u", "v")]),
            (samples[0], samples[1]),
            fn_output_signature=tf.float32,
        )

    u, v = statistics().numpy().T
    # E k(z, z') = (s2 / (s2 + 2))^(dim/2), for z - z' ~ N(0, 2) and s2 = dim
    bias = 2 * (1 - (dim / (dim + 2)) ** (dim / 2)) / n
    # 4 standard errors of a mean over the draws; the bias is some 200 of them.
    np.testing.assert_allclose(u.mean(), 0.0, atol=4 * u.std() / np.sqrt(draws))
    np.testing.assert_allclose(v.mean(), bias, atol=4 * v.std() / np.sqrt(draws))
    assert (u < 0).mean() > 0.4
    assert (v > 0).all()


def test_linear_restated():
    expected = np.mean(
        [
            numpy_kernel(Q[[i]], Q[[i + 1]], 3.0)
            + numpy_kernel(P[[i]], P[[i + 1]], 3.0)
            - numpy_kernel(Q[[i]], P[[i + 1]], 3.0)
            - numpy_kernel(Q[[i + 1]], P[[i]], 3.0)
            for i in (0, 2)
        ]
    )
    # The fifth of five is left out.
    for size in (4, 5):
        value = terms.mmd(Q[:size], P[:size], estimator="linear")
        np.testing.assert_allclose(value, expected, atol=1e-6)
    backwards = terms.mmd(P[:4], Q[:4], estimator="linear")
    np.testing.assert_allclose(backwards, expected, atol=1e-6)
    assert terms.mmd(Q, Q, estimator="linear") == 0.0


def test_linear_has_the_same_mean_with_more_noise():
    n, shift, draws = 16, 0.8, 4000
    samples = tf.random.stateless_normal([2, draws, n, 1], seed=[7, 8])

    @tf.function
    def statistics():
        return tf.map_fn(
            lambda pair: tf.stack([terms.mmd(*pair, estimator=e) for e in ("u", "linear")]),
            (samples[0] + shift, samples[1]),
            fn_output_signature=tf.float32,
        )

    u, linear = statistics().numpy().T
    # E k(a, b) = (1 + v)^(-1/2) exp(-m^2 / (2 (1 + v))), for a - b ~ N(m, v = 2) and s2 = 1
    exact = 2 / np.sqrt(3) * (1 - np.exp(-(shift**2) / 6))
    for estimates in (u, linear):
        # 4 standard errors of a mean over the draws.
        np.testing.assert_allclose(
            estimates.mean(), exact, atol=4 * estimates.std() / np.sqrt(draws)
        )
    assert linear.std() > 1.5 * u.std()


def test_closed_form_restated():
    s2, v = 3.0, SCALE**2
    mu = np.prod(np.sqrt(s2 / (s2 + v)) * np.exp(-((Q - LOC) ** 2) / (2 * (s2 + v))), axis=1)
    c = np.prod(np.sqrt(s2 / (s2 + 2 * v)))
    k_qq = numpy_kernel(Q, Q, s2)[~np.eye(6, dtype=bool)].mean()
    value = terms.mmd_to_normal(Q, LOC, SCALE)
    np.testing.assert_allclose(value, k_qq - 2 * mu.mean() + c, atol=1e-6)


@pytest.mark.parametrize("kernel", ["rbf", "rbf_mixture"])
@pytest.mark.parametrize("estimator", ["u", "v"])
def test_closed_form_is_the_limit_of_many_prior_samples(kernel, estimator):
    prior_sample = LOC + SCALE * tf.random.stateless_normal([4000, 3], seed=[3, 4])
    sampled = terms.mmd(Q, prior_sample, kernel=kernel, estimator=estimator)
    exact = terms.mmd_to_normal(Q, LOC, SCALE, kernel=kernel, estimator=estimator)
    # The witness E_q k(z, .) - E_p k(y, .) has a standard deviation below 0.15 under p; its mean
    # over 4000 samples enters twice, so 4 standard errors are 8 * 0.15 / sqrt(4000) = 0.019. To
    # that "v" adds (1 - E k) / 4000.
    np.testing.assert_allclose(sampled, exact, atol=0.02)
    # It is large enough here for that to mean something.
    assert terms.mmd_to_normal(Q + 2.0, LOC, SCALE, kernel=kernel, estimator=estimator) > 0.2


def test_closed_form_takes_numbers_for_the_normal():
    np.testing.assert_allclose(
        terms.mmd_to_normal(Q, 0.5, 2.0),
        terms.mmd_to_normal(Q, np.full(3, 0.5), np.full(3, 2.0)),
    )


def test_a_kernel_as_wide_as_dim_squared_is_blind_in_64_dimensions():
    dim, tolerance = 64, 5e-4
    collapsed = np.zeros([128, dim], np.float32)
    # exp(-|d|^2 / dim^2): a posterior collapsed to one point is within the tolerance.
    assert 0 < terms.mmd_to_normal(collapsed, 0.0, 1.0, bandwidth=dim**2 / 2) < tolerance
    # exp(-|d|^2 / (2 dim)), and the median of both samples, see it.
    assert terms.mmd_to_normal(collapsed, 0.0, 1.0) > 200 * tolerance
    prior_sample = tf.random.stateless_normal([128, dim], seed=[5, 6])
    assert terms.mmd(collapsed, prior_sample, bandwidth="median") > 200 * tolerance


@pytest.mark.parametrize("kernel", kernels.KERNELS)
def test_weighted_is_the_double_sum(kernel, table):
    (q, p), points = table.marginals("z"), np.float32(RNG.normal(size=[4, 2]))
    k = kernels.kernel(kernel)(((points[:, None] - points[None]) ** 2).sum(-1), 2.0).numpy()
    double_sum = sum(
        (q[i] * q[j] - 2 * q[i] * p[j] + p[i] * p[j]) * k[i, j] for i in range(4) for j in range(4)
    )
    value = terms.mmd_weighted(points, q, p, kernel=kernel)
    np.testing.assert_allclose(value, double_sum, rtol=1e-4)
    np.testing.assert_allclose(terms.mmd_weighted(points, p, q, kernel=kernel), value, rtol=1e-6)
    assert terms.mmd_weighted(points, q, q, kernel=kernel) == 0.0


def test_weighted_equals_the_v_statistic_of_samples_in_proportion():
    q, p = np.float32([0.5, 0.5, 0.0]), np.float32([0.25, 0.25, 0.5])
    weighted = terms.mmd_weighted(Q[:3], q, p)
    sampled = terms.mmd(Q[[0, 1]], Q[[0, 1, 2, 2]], estimator="v")
    np.testing.assert_allclose(weighted, sampled, atol=1e-6)


def test_weighted_gradient():
    points = np.float32(RNG.normal(size=[4, 2]))
    q, p = tf.Variable([0.1, 0.2, 0.3, 0.4]), np.float32([0.25] * 4)
    with tf.GradientTape() as tape:
        value = terms.mmd_weighted(points, q, p)
    # d (q - p)^T K (q - p) / dq = 2 K (q - p)
    expected = 2 * numpy_kernel(points, points, 2.0) @ (q.numpy() - p)
    np.testing.assert_allclose(tape.gradient(value, q), expected, atol=1e-6)


NORMAL_PRIORS = [
    tfd.MultivariateNormalDiag(LOC, SCALE),
    tfd.Independent(tfd.Normal(LOC, SCALE), 1),
    tfd.Normal(LOC, SCALE),
]
OTHER_PRIOR = tfd.Independent(tfd.Laplace(LOC, SCALE), 1)


@pytest.mark.parametrize("prior", NORMAL_PRIORS)
def test_term_on_z_uses_the_normal_prior(fake_joints, prior):
    joints = fake_joints(z_q=Q, z_p=P, prior=prior)
    exact, sampled = terms.mmd_to_normal(Q, LOC, SCALE), terms.mmd(Q, P)
    for options, expected in [
        ({}, exact),
        ({"embedding": "closed_form"}, exact),
        ({"embedding": "sampled"}, sampled),
        ({"kernel": "imq"}, terms.mmd(Q, P, kernel="imq")),
        ({"estimator": "v"}, terms.mmd_to_normal(Q, LOC, SCALE, estimator="v")),
        ({"scales": [0.5]}, terms.mmd_to_normal(Q, LOC, SCALE, bandwidth=1.5)),
    ]:
        estimate = terms.make("MMD_z", **options)(joints)
        np.testing.assert_allclose(estimate.value, expected, atol=1e-6)
        assert estimate.surrogate is estimate.value
        assert estimate.critic_loss is None


def test_term_in_linear_time_samples_both_sides(fake_joints):
    joints = fake_joints(z_q=Q[:5], z_p=P, prior=NORMAL_PRIORS[0])
    value = terms.make("MMD_z", estimator="linear", kernel="rbf_mixture")(joints).value
    expected = terms.mmd(Q[:5], P, estimator="linear", kernel="rbf_mixture")
    np.testing.assert_allclose(value, expected, atol=1e-6)


def test_term_with_the_median_takes_it_from_both_sides(fake_joints):
    joints = fake_joints(z_q=Q, z_p=P, prior=NORMAL_PRIORS[0])
    s2 = kernels.median_bandwidth(Q, P)
    np.testing.assert_allclose(
        terms.make("MMD_z", bandwidth="median")(joints).value,
        terms.mmd_to_normal(Q, LOC, SCALE, bandwidth=s2),
        atol=1e-6,
    )


def test_term_on_z_samples_any_other_prior(fake_joints):
    joints = fake_joints(z_q=Q, z_p=P, prior=OTHER_PRIOR)
    np.testing.assert_allclose(terms.make("MMD_z")(joints).value, terms.mmd(Q, P), atol=1e-6)
    with pytest.raises(InputError, match="prior has no closed-form embedding"):
        terms.make("MMD_z", embedding="closed_form")(joints)


@pytest.mark.parametrize("space", ["x", "z", "xz"])
def test_term_on_weighted_joints_is_exact(table, space):
    joints = table.joints(prior=NORMAL_PRIORS[0])
    # Every pair (x, z) is a point; those that agree on `space` add their weights up.
    points = {"x": np.eye(3), "z": np.eye(4)}
    points["xz"] = [np.concatenate([x, z]) for x in points["x"] for z in points["z"]]
    expected = terms.mmd_weighted(np.float32(points[space]), *table.marginals(space))
    for options in ({}, {"estimator": "v"}, {"estimator": "linear"}, {"embedding": "sampled"}):
        value = terms.make(f"MMD_{space}", **options)(joints).value
        np.testing.assert_allclose(value, expected, atol=1e-6)
    scaled = {"kernel": "imq", "bandwidth": 0.5, "scales": [2.0]}
    np.testing.assert_allclose(
        terms.make(f"MMD_{space}", **scaled)(joints).value,
        terms.mmd_weighted(np.float32(points[space]), *table.marginals(space), **scaled),
        atol=1e-6,
    )


def test_term_on_x_and_on_both(fake_joints):
    x_q, x_p = RNG.uniform(size=[6, 2, 2, 1]), RNG.uniform(size=[5, 2, 2, 1])
    joints = fake_joints(x_q=x_q, z_q=Q, x_p=x_p, z_p=P, prior=NORMAL_PRIORS[0])
    np.testing.assert_allclose(terms.make("MMD_x")(joints).value, terms.mmd(x_q, x_p))
    both_q = np.concatenate([x_q.reshape([6, 4]), Q], axis=1)
    both_p = np.concatenate([x_p.reshape([5, 4]), P], axis=1)
    np.testing.assert_allclose(
        terms.make("MMD_xz")(joints).value, terms.mmd(both_q, both_p), atol=1e-6
    )


def test_following_the_gradient_matches_the_prior():
    loc, scale = tf.Variable([2.0, -1.0]), tf.Variable([0.2, 2.0])

    @tf.function(jit_compile=True)
    def step(i, rate):
        noise = tf.random.stateless_normal([256, 2], seed=[9, i])
        with tf.GradientTape() as tape:
            value = terms.mmd_to_normal(loc + scale * noise, 0.5, 1.5)
        for variable, gradient in zip(
            (loc, scale), tape.gradient(value, (loc, scale)), strict=True
        ):
            variable.assign_sub(rate * gradient)

    for i in range(400):
        step(tf.constant(i), tf.constant(3.0 if i < 200 else 0.3))
    # 200 steps of rate .3 average over about 50 batches, each of which alone would find a mean
    # within 1.5 / sqrt(256) = .09: 4 standard errors are .05, somewhat more for the scale.
    np.testing.assert_allclose(loc, [0.5, 0.5], atol=0.05)
    np.testing.assert_allclose(scale, [1.5, 1.5], atol=0.1)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bandwidth": "median"},
        {"embedding": "sampled", "bandwidth": "median", "kernel": "imq_mixture"},
        {"estimator": "linear"},
    ],
)
def test_gradient_under_xla(fake_joints, options):
    joints = fake_joints(z_p=tf.constant(P), prior=NORMAL_PRIORS[0])
    q = tf.constant(Q[:5])
    term = terms.make("MMD_z", **options)

    def gradient(z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            value = term(dataclasses.replace(joints, z_q=z)).value
        return value, tape.gradient(value, z)

    eager = gradient(q)
    compiled = tf.function(gradient, jit_compile=True)(q)
    for one, other in zip(eager, compiled, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert np.abs(eager[1]).max() > 1e-3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: terms.mmd(Q[:1], P), "needs pairs"),
        (lambda: terms.mmd(Q, P[:1]), "needs pairs"),
        (lambda: terms.mmd_to_normal(Q[:1], LOC, SCALE), "needs pairs"),
        (lambda: terms.mmd(Q, P[:, :2]), "got 3 and 2 numbers"),
        (lambda: terms.mmd_to_normal(Q, LOC[:2], SCALE), "got 3 and 2 numbers"),
        (lambda: terms.mmd(Q, P, estimator="linear"), "got 6 and 5 of them"),
        (lambda: terms.mmd(Q[:1], P[:1], estimator="linear"), "linear time needs pairs"),
        (lambda: terms.mmd_to_normal(Q, LOC, SCALE, estimator="linear"), "all pairs 'linear'"),
        (lambda: terms.mmd(Q, P, kernel="gauss"), "Unknown kernel 'gauss'"),
        (lambda: terms.mmd(Q, P, estimator="w"), "Unknown estimator 'w'"),
        (lambda: terms.mmd_to_normal(Q, LOC, SCALE, kernel="imq"), "'imq' has no closed form"),
        (lambda: terms.mmd_to_normal(Q, LOC, SCALE, bandwidth="median"), "median of z alone"),
        (lambda: terms.make("MMD_z", kernel="gauss"), "Unknown kernel 'gauss'"),
        (lambda: terms.make("MMD_z", bandwidth=-1.0), "Bandwidth -1.0"),
        (lambda: terms.make("MMD_z", estimator="w"), "Unknown estimator 'w'"),
        (lambda: terms.make("MMD_z", embedding="close"), "Unknown embedding 'close'"),
        (lambda: terms.make("MMD_x", embedding="closed_form"), "MMD_x has no closed-form"),
        (
            lambda: terms.make("MMD_z", embedding="closed_form", estimator="linear"),
            "samples both sides",
        ),
        (lambda: terms.make("MMD_z", kernel="imq", embedding="closed_form"), "Kernel 'imq' has no"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_one_example_is_enough_for_the_v_statistic():
    np.testing.assert_allclose(
        terms.mmd(Q[:1], P[:1], estimator="v"), numpy_mmd(Q[:1], P[:1], 3.0, "v"), atol=1e-6
    )
