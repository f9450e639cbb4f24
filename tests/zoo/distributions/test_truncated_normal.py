"""The truncated normal against numerical integration, its samples' gradients included."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from zoo.distributions.truncated_normal import TruncatedNormal

tfd = tfp.distributions

CASES = [(0.0, 1.0), (0.3, 1.0), (-0.8, 0.5), (1.0, 0.2), (0.5, 0.01), (-0.2, 10.0)]
Z = np.linspace(-1, 1, 400_001)


def log_density(loc, scale):
    """Returns the log density on the grid Z, and the weights of its trapezes."""
    weights = np.full(Z.shape, Z[1] - Z[0])
    weights[[0, -1]] /= 2
    exponent = -((Z - loc) ** 2) / (2 * scale**2)
    return exponent - np.log(np.exp(exponent) @ weights), weights


def density(loc, scale):
    log_p, weights = log_density(loc, scale)
    return np.exp(log_p), weights


@pytest.mark.parametrize(("loc", "scale"), CASES)
def test_density_moments_and_kl(loc, scale):
    q = TruncatedNormal(loc, scale, -1.0, 1.0)
    log_p, weights = log_density(loc, scale)
    p = np.exp(log_p)
    mean = p @ (weights * Z)
    # float32: ((z - loc) / scale)^2 is up to 2e4, and at scale 10 the variance is a difference of
    # numbers 300 times as large.
    np.testing.assert_allclose(q.log_prob(np.float32(Z[::1000])), log_p[::1000], 1e-5, 1e-4)
    np.testing.assert_allclose(q.mean(), mean, atol=1e-5)
    variance = p @ (weights * (Z - mean) ** 2)
    np.testing.assert_allclose(q.variance(), variance, rtol=1e-3)
    np.testing.assert_allclose(q.stddev(), np.sqrt(variance), rtol=1e-3)
    # KL(q||U) = log 2 + E_q log q
    kl = np.log(2) + (p * log_p) @ weights
    np.testing.assert_allclose(q.kl_divergence(tfd.Uniform(-1.0, 1.0)), kl, rtol=1e-4, atol=1e-5)


def test_kl_to_a_uniform_on_less_is_infinite():
    q = TruncatedNormal([0.0, 0.0], 1.0, -1.0, 1.0)
    kl = q.kl_divergence(tfd.Uniform([-0.9, -2.0], [1.0, 2.0]))
    # KL to U(-2, 2) is that to U(-1, 1) and log 2.
    half = q.kl_divergence(tfd.Uniform(-1.0, 1.0))[1] + np.log(2)
    np.testing.assert_allclose(kl, [np.inf, half], rtol=1e-6)


@pytest.mark.parametrize("jit", [False, True])
def test_samples_and_their_gradients(jit):
    n, loc, scale = 100_000, *(np.float32(values) for values in zip(*CASES, strict=True))

    @tf.function(jit_compile=jit)
    def moments(loc, scale, seed):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([loc, scale])
            z = TruncatedNormal(loc, scale, -1.0, 1.0).sample(n, seed=seed)
            # Each sums over the cases, whose gradients do not mix.
            first, second = (tf.reduce_sum(tf.reduce_mean(z**k, 0)) for k in (1, 2))
        return z, [tape.gradient(moment, [loc, scale]) for moment in (first, second)]

    z, gradients = moments(tf.constant(loc), tf.constant(scale), tf.constant([1, 2]))
    assert np.all(np.abs(z) <= 1)
    assert np.all(np.isfinite(TruncatedNormal(loc, scale, -1.0, 1.0).log_prob(z)))
    for index, (m, s) in enumerate(CASES):
        p, weights = density(m, s)
        for k in (1, 2):
            error = 5 * np.std(z[:, index] ** k) / np.sqrt(n)
            np.testing.assert_allclose(np.mean(z[:, index] ** k), p @ (weights * Z**k), atol=error)
            # d E[z^k] / d loc and / d scale, by central differences of the integrals
            for parameter in (0, 1):
                h = 1e-4 * s
                ends = []
                for sign in (1, -1):
                    moved = [m, s]
                    moved[parameter] += sign * h
                    p, weights = density(*moved)
                    ends.append(p @ (weights * Z**k))
                slope = (ends[0] - ends[1]) / (2 * h)
                # Means of n slopes of standard deviation at most about 1.5: five standard errors.
                found = gradients[k - 1][parameter][index]
                np.testing.assert_allclose(found, slope, atol=5 * 1.5 / np.sqrt(n))


def test_the_mean_has_a_gradient_at_the_centre():
    loc, scale = tf.constant(0.0), tf.constant(1.0)
    with tf.GradientTape() as tape:
        tape.watch([loc, scale])
        q = TruncatedNormal(loc, scale, -1.0, 1.0)
        mean = q.mean()
    # d E[z] / d loc = Var[z] / scale^2, and by symmetry nothing for scale
    np.testing.assert_allclose(tape.gradient(mean, [loc, scale]), [q.variance(), 0.0], atol=1e-6)
