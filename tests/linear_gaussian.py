"""A linear Gaussian model, in which everything that is measured has a closed form."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from zoo import priors

tfd = tfp.distributions


class LinearGaussian:
    """p(z) = N(0, I), p(x|z) = N(W z + b, noise^2 I); q(x) = N(m, C); q(z|x) = N(A x + a, S^2).

    W has orthogonal columns, so that p(z|x) is diagonal. q(z|x) is p(z|x) moved by `shift` and
    `widen` times as wide; q(x) is p(x) with `spread` times its deviations.
    """

    def __init__(self, k=2, d=5, noise=0.6, spread=1.0, shift=0.0, widen=1.0, seed=0):
        random = np.random.default_rng(seed)
        columns, _ = np.linalg.qr(random.normal(size=(d, k)))
        self.w = columns * np.linspace(1.5, 0.7, k)
        self.b = random.normal(size=d) * 0.3
        self.noise = noise
        # p(z|x) = N(V W^T (x - b) / noise^2, V),   V = (I + W^T W / noise^2)^-1
        self.v = 1.0 / (1.0 + np.sum(self.w**2, axis=0) / noise**2)
        self.gain = self.v[:, None] * self.w.T / noise**2
        self.a, self.offset, self.shift = self.gain, shift - self.gain @ self.b, shift
        self.s = widen * np.sqrt(self.v)
        self.prior = priors.standard_normal(k)
        # the data: p(x), but wider and moved
        self.m = self.b.copy()
        self.c = spread**2 * (self.w @ self.w.T + noise**2 * np.eye(d))

    def encode(self, x):
        mean = tf.linalg.matvec(_f(self.a), tf.cast(x, tf.float32)) + _f(self.offset)
        return tfd.Independent(tfd.Normal(mean, tf.zeros_like(mean) + _f(self.s)), 1)

    def decode(self, z):
        mean = tf.linalg.matvec(_f(self.w), z) + _f(self.b)
        return tfd.Independent(tfd.Normal(mean, _f(self.noise)), 1)

    def data(self, n, seed=0):
        random = np.random.default_rng(1000 + seed)
        return random.multivariate_normal(self.m, self.c, n).astype(np.float32)

    def log_weights(self, draws, n, seed=0):
        """log w - log p(x) = log p(z|x) - log q(z|x), z ~ q(z|x), [draws, n]: alike for every x."""
        e = np.random.default_rng(2000 + seed).standard_normal((draws, n, len(self.v)))
        scale = np.sqrt(self.v)
        from_posterior = (self.shift + self.s * e) / scale
        return np.sum((e**2 - from_posterior**2) / 2 + np.log(self.s / scale), axis=2)

    # The truth, with x ~ q(x)

    @property
    def q_z(self):
        """Mean and covariance of q(z)."""
        return self.a @ self.m + self.offset, self.a @ self.c @ self.a.T + np.diag(self.s**2)

    @property
    def information(self):
        return 0.5 * (np.linalg.slogdet(self.q_z[1])[1] - 2 * np.sum(np.log(self.s)))

    @property
    def marginal_kl(self):
        return kl(*self.q_z, np.zeros(len(self.v)), np.eye(len(self.v)))

    @property
    def rate(self):
        return self.information + self.marginal_kl

    @property
    def distortion(self):
        # E |x - W z - b|^2 / (2 noise^2) + D log noise + D/2 log 2 pi
        d = len(self.b)
        square = d * self.sampled_error
        return square / (2 * self.noise**2) + d * math.log(self.noise * math.sqrt(2 * math.pi))

    @property
    def squared_error(self):
        """Per element, of reconstructions at the posterior mean."""
        residual = np.eye(len(self.b)) - self.w @ self.a
        moved = self.m - self.w @ self.q_z[0] - self.b
        return (np.trace(residual @ self.c @ residual.T) + moved @ moved) / len(self.b)

    @property
    def sampled_error(self):
        """Per element, of reconstructions at a sample of the posterior."""
        return self.squared_error + np.sum(self.w**2 * self.s**2) / len(self.b)

    @property
    def simulated(self):
        """E_p(x) log p(x)."""
        return -entropy(self.p_x[1])

    @property
    def p_x(self):
        """Mean and covariance of p(x)."""
        return self.b, self.w @ self.w.T + self.noise**2 * np.eye(len(self.b))

    @property
    def log_likelihood(self):
        """E_q(x) log p(x)."""
        return -entropy(self.c) - kl(self.m, self.c, *self.p_x)

    def log_p(self, x):
        mean, covariance = self.p_x
        e = np.asarray(x, np.float64) - mean
        square = np.sum(e @ np.linalg.inv(covariance) * e, axis=1)
        return -0.5 * (square + np.linalg.slogdet(2 * math.pi * covariance)[1])

    @property
    def posterior_accuracy(self):
        """E_q(x) KL(q(z|x)||p(z|x)) = E log p(x) - ELBO."""
        return self.log_likelihood + self.rate + self.distortion


def encoder_off(k, deviations, widen, **options):
    """Returns a model whose encoder's mean is off by so many deviations of p(z|x), in all axes."""
    options = {"k": k, "d": k + 2, **options}
    scale = np.sqrt(LinearGaussian(**options).v)
    return LinearGaussian(shift=deviations / math.sqrt(k) * scale, widen=widen, **options)


def entropy(covariance):
    return 0.5 * np.linalg.slogdet(2 * math.pi * math.e * covariance)[1]


def kl(m0, c0, m1, c1):
    """KL(N(m0, c0)||N(m1, c1))."""
    inverse = np.linalg.inv(c1)
    square = (m1 - m0) @ inverse @ (m1 - m0)
    logs = np.linalg.slogdet(c1)[1] - np.linalg.slogdet(c0)[1]
    return 0.5 * (np.trace(inverse @ c0) + square - len(m0) + logs)


def _f(array):
    return tf.constant(array, tf.float32)
