import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from zoo import terms
from zoo.errors import InputError
from zoo.terms.mmd_of_normals import mmd_of_normals
from zoo.terms.mmd_to_normal import mmd_to_normal

tfd = tfp.distributions
K = 3


@pytest.fixture
def posteriors():
    rng = np.random.default_rng(0)
    return rng.normal(size=(6, K)).astype("f"), rng.uniform(0.2, 1.5, size=(6, K)).astype("f")


LOC, SCALE = np.float32([0.1, -0.2, 0.3]), np.float32([1.0, 0.5, 1.5])


def test_restated(posteriors):
    means, scales = posteriors
    s2 = float(K)

    def expected(m, v):
        return np.prod(np.sqrt(s2 / (s2 + v)) * np.exp(-(m**2) / (2 * (s2 + v))))

    n = len(means)
    pairs = [
        expected(means[i] - means[j], scales[i] ** 2 + scales[j] ** 2)
        for i in range(n)
        for j in range(n)
        if i != j
    ]
    cross = [expected(means[i] - LOC, scales[i] ** 2 + SCALE**2) for i in range(n)]
    value = np.mean(pairs) - 2 * np.mean(cross) + expected(0 * LOC, 2 * SCALE**2)
    # float32 sums of numbers up to 1
    np.testing.assert_allclose(mmd_of_normals(means, scales, LOC, SCALE), value, atol=1e-6)


@pytest.mark.parametrize("factors", [(1.0,), (0.25, 1.0, 4.0)])
def test_is_the_mean_of_the_u_statistic(posteriors, factors):
    means, scales = posteriors
    draws = 4000
    z = means + scales * np.random.default_rng(1).normal(size=(draws, *means.shape)).astype("f")
    each = tf.function(
        lambda z: tf.map_fn(lambda z: mmd_to_normal(z, LOC, SCALE, scales=factors), z)
    )
    found = each(z)
    exact = mmd_of_normals(means, scales, LOC, SCALE, bandwidth_scales=factors)
    # four standard errors of the mean of the draws
    np.testing.assert_allclose(np.mean(found), exact, atol=4 * np.std(found) / np.sqrt(draws))


def test_a_posterior_that_is_the_prior_is_at_rest():
    means, scales = tf.zeros([8, K]), tf.ones([8, K])
    with tf.GradientTape() as tape:
        tape.watch([means, scales])
        value = mmd_of_normals(means, scales, tf.zeros([K]), tf.ones([K]))
    assert abs(float(value)) < 1e-6
    for gradient in tape.gradient(value, [means, scales]):
        np.testing.assert_allclose(gradient, 0.0, atol=1e-7)


def test_gradients_are_those_of_the_formula(posteriors):
    def restated(means, scales):
        def log_expected(m, v):
            return -0.5 * tf.reduce_sum(tf.math.log1p(v / K) + m**2 / (K + v), axis=-1)

        n, v = len(means), scales**2
        k = tf.exp(log_expected(means[:, None] - means, v[:, None] + v))
        pairs = tf.reduce_sum(k) - tf.reduce_sum(tf.linalg.diag_part(k))
        cross = tf.reduce_mean(tf.exp(log_expected(means - LOC, v + SCALE**2)))
        return pairs / (n * (n - 1)) - 2.0 * cross

    variables = [tf.Variable(array) for array in posteriors]
    for jit in (False, True):

        @tf.function(jit_compile=jit)
        def gradients(function):
            with tf.GradientTape() as tape:
                value = 3.0 * function(*variables)
            return tape.gradient(value, variables)

        found = gradients(lambda m, s: mmd_of_normals(m, s, LOC, SCALE))
        for one, other in zip(found, gradients(restated), strict=True):
            # float32 sums of numbers below 1
            np.testing.assert_allclose(one, other, atol=1e-6)


def test_posteriors_far_apart_are_zero():
    means = tf.Variable(np.float32([[0.0] * 200, [50.0] * 200]))
    scales = tf.Variable(np.full((2, 200), 30.0, "f"))
    with tf.GradientTape() as tape:
        value = mmd_of_normals(means, scales, tf.zeros([200]), tf.ones([200]), bandwidth=1e-2)
    assert abs(float(value)) < 1e-6
    for gradient in tape.gradient(value, [means, scales]):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("training", [True, False])
def test_the_term_reads_samples_and_descends_their_mean(fake_joints, posteriors, training):
    means, scales = posteriors
    posterior = tfd.MultivariateNormalDiag(means, scales)
    prior = tfd.MultivariateNormalDiag(tf.zeros([K]), tf.ones([K]))
    z = posterior.sample(seed=[0, 1])
    joints = fake_joints(z_q=z, z_p=prior.sample(6, seed=[0, 2]), posterior=posterior, prior=prior)
    found = terms.make("MMD_z")(joints, training=training)
    sampled = mmd_to_normal(z, 0.0, 1.0)
    np.testing.assert_allclose(found.value, sampled, atol=1e-6)
    integrated = mmd_of_normals(means, scales, tf.zeros([K]), tf.ones([K]))
    np.testing.assert_allclose(found.surrogate, integrated if training else sampled, atol=1e-6)


def test_one_example_is_refused():
    with pytest.raises(InputError, match="two or more"):
        mmd_of_normals(tf.zeros([1, K]), tf.ones([1, K]), tf.zeros([K]), tf.ones([K]))
