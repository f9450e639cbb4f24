import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from zoo import terms
from zoo.errors import InputError

RNG = np.random.default_rng(31)
Q, P = np.float32(RNG.normal(size=[6, 3]) * 0.5 + 0.4), np.float32(RNG.normal(size=[6, 3]))


def directions(dim, projections, seed):
    theta = np.asarray(tf.random.stateless_normal([projections, dim], seed))
    return theta / np.linalg.norm(theta, axis=1, keepdims=True)


def numpy_sw(q, p, theta):
    total = 0.0
    for direction in theta:
        total += np.mean((np.sort(q @ direction) - np.sort(p @ direction)) ** 2)
    return total / len(theta)


def test_restated():
    for projections, seed in ((50, (0, 0)), (3, (1, 2))):
        value = terms.sliced_wasserstein(Q, P, projections, seed)
        np.testing.assert_allclose(
            value, numpy_sw(Q, P, directions(3, projections, seed)), rtol=1e-5
        )


def test_symmetric_and_blind_to_order():
    value = terms.sliced_wasserstein(Q, P)
    np.testing.assert_allclose(terms.sliced_wasserstein(P, Q), value, rtol=1e-6)
    np.testing.assert_allclose(terms.sliced_wasserstein(Q[::-1], P), value, rtol=1e-6)
    np.testing.assert_array_equal(terms.sliced_wasserstein(Q, Q[::-1]), 0.0)


def test_directions_are_the_seeds():
    one, same, other = (
        terms.sliced_wasserstein(Q, P, 5, seed) for seed in ([1, 2], [1, 2], [1, 3])
    )
    assert one == same
    assert one != other


def test_normals_in_closed_form():
    n, dim, m, s = 4000, 4, np.float32([1.0, -0.5, 0.0, 0.25]), 0.6
    noise = tf.random.stateless_normal([2, n, dim], [1, 2])
    value = terms.sliced_wasserstein(m + s * noise[0], noise[1], projections=400)
    # |m|^2 / D + (s - 1)^2
    expected = (m**2).sum() / dim + (s - 1) ** 2
    # |m . theta|^2 has a standard deviation below its mean, 0.33: 4 standard errors of 400
    # directions are 0.07. The samples' own means, off by 1/sqrt(n), change it by less than 0.03.
    np.testing.assert_allclose(value, expected, atol=0.1)


def test_two_samples_of_one_distribution_are_some_way_apart():
    noise = tf.random.stateless_normal([2, 16, 2], [3, 4])
    assert terms.sliced_wasserstein(noise[0], noise[1]) > 0.01


def test_gradient_follows_the_sorted_pairs():
    # On a line every direction is +-1: d/dz_i = 2/n (z_i - its partner).
    z, prior = tf.Variable([[3.0], [0.0], [1.0]]), tf.constant([[5.0], [2.0], [-1.0]])
    with tf.GradientTape() as tape:
        value = terms.sliced_wasserstein(z, prior)
    np.testing.assert_allclose(value, (4 + 1 + 1) / 3, rtol=1e-6)
    np.testing.assert_allclose(
        tape.gradient(value, z), 2 / 3 * np.array([[-2.0], [1.0], [-1.0]]), rtol=1e-6
    )


def test_following_the_gradient_matches_the_prior():
    loc, scale = tf.Variable([2.0, -1.0]), tf.Variable([0.2, 2.0])

    @tf.function(jit_compile=True)
    def step(i):
        noise = tf.random.stateless_normal([2, 256, 2], seed=[9, i])
        with tf.GradientTape() as tape:
            value = terms.sliced_wasserstein(
                loc + scale * noise[0], 0.5 + 1.5 * noise[1], seed=tf.stack([10, i])
            )
        for variable, gradient in zip(
            (loc, scale), tape.gradient(value, (loc, scale)), strict=True
        ):
            variable.assign_sub(0.1 * gradient)

    for i in range(300):
        step(tf.constant(i))
    # Steps of 0.1 average over about 10 batches, each of which alone would find a mean within
    # 1.5 sqrt(2 / 256) = .13: 4 standard errors are .17.
    np.testing.assert_allclose(loc, [0.5, 0.5], atol=0.17)
    np.testing.assert_allclose(scale, [1.5, 1.5], atol=0.17)


def test_weighted_equals_samples_in_proportion():
    q, p = np.float32([0.5, 0.25, 0.25, 0.0]), np.float32([0.25, 0.0, 0.25, 0.5])
    weighted = terms.sliced_wasserstein_weighted(Q[:4], q, p, 7, (5, 6))
    sampled = terms.sliced_wasserstein(Q[[0, 0, 1, 2]], Q[[0, 2, 3, 3]], 7, (5, 6))
    np.testing.assert_allclose(weighted, sampled, rtol=1e-5)
    assert terms.sliced_wasserstein_weighted(Q[:4], q, q) == 0.0


def test_weighted_gradient():
    logits = np.array([0.3, -0.2, 0.5, 0.1])
    p = np.float32([0.25, 0.1, 0.25, 0.4])

    def value(parameters):
        return terms.sliced_wasserstein_weighted(Q[:4], tf.nn.softmax(parameters), p)

    variable = tf.Variable(np.float32(logits))
    with tf.GradientTape() as tape:
        at = value(variable)
    for index, slope in enumerate(tape.gradient(at, variable).numpy()):
        shift = 1e-2 * np.eye(4)[index]
        up, down = (value(np.float32(logits + sign * shift)) for sign in (1, -1))
        # Between two kinks the cost is linear in the weights: a step of 1e-2 is off by its square,
        # and by float32's 1e-7 over the step.
        np.testing.assert_allclose(slope, (up - down) / 2e-2, atol=1e-3)
        assert np.abs(slope) > 1e-3


def test_term_takes_its_directions_from_the_joints(fake_joints):
    x_q, x_p = np.float32(RNG.uniform(size=[2, 6, 2, 2, 1]))
    samples = {"x_q": x_q, "z_q": Q, "x_p": x_p, "z_p": P}
    joints = fake_joints(**samples)
    whole = {
        "x": (x_q.reshape([6, 4]), x_p.reshape([6, 4])),
        "z": (Q, P),
        "xz": tuple(
            np.concatenate([x.reshape([6, 4]), z], axis=1) for x, z in ((x_q, Q), (x_p, P))
        ),
    }
    for space, (q, p) in whole.items():
        term = terms.make(f"SW_{space}", projections=9)
        estimate = term(joints)
        expected = terms.sliced_wasserstein(q, p, 9, joints.stream(f"SW_{space}"))
        np.testing.assert_allclose(estimate.value, expected, rtol=1e-6)
        assert estimate.surrogate is estimate.value
        assert estimate.critic_loss is None
        assert term(fake_joints(**samples, seed=(3, 5))).value != estimate.value


@pytest.mark.parametrize("space", ["x", "z", "xz"])
def test_term_on_weighted_joints(table, space):
    joints = table.joints()
    points = {"x": np.eye(3), "z": np.eye(4)}
    points["xz"] = [np.concatenate([x, z]) for x in points["x"] for z in points["z"]]
    expected = terms.sliced_wasserstein_weighted(
        np.float32(points[space]), *table.marginals(space), seed=joints.stream(f"SW_{space}")
    )
    np.testing.assert_allclose(terms.make(f"SW_{space}")(joints).value, expected, atol=1e-6)


def test_under_xla(fake_joints, table):
    def gradient(z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            value = terms.sliced_wasserstein(z, P, seed=[1, 2])
        return tape.gradient(value, z)

    compiled = tf.function(gradient, jit_compile=True)(tf.constant(Q))
    assert np.abs(compiled).max() > 1e-3

    @tf.function(jit_compile=True)
    def weighted(weights):
        joints = dataclasses.replace(table.joints(), q_weights=weights)
        with tf.GradientTape() as tape:
            tape.watch(weights)
            value = terms.make("SW_xz")(joints).value
        return tf.convert_to_tensor(tape.gradient(value, weights))

    assert np.abs(weighted(tf.constant(np.float32(table.q.ravel())))).max() > 1e-3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: terms.sliced_wasserstein(Q, P[:5]), r"shapes \(6, 3\) and \(5, 3\)"),
        (lambda: terms.sliced_wasserstein(Q, P[:, :2]), r"shapes \(6, 3\) and \(6, 2\)"),
        (lambda: terms.sliced_wasserstein(Q, P, 0), "projections 0 has to be"),
        (lambda: terms.make("SW_z", projections=2.5), "projections 2.5 has to be"),
        (lambda: terms.make("SW_z", projections=True), "projections True has to be"),
        (lambda: terms.make("SW_z", critic=abs), "SW_z needs no critic"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()
