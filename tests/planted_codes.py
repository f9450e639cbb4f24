"""Encoders whose aggregate posterior is known: codes of a mixture of normals."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from zoo import priors

tfd = tfp.distributions


class PlantedCodes:
    """q(z|x) = N(x, s^2 I) with x ~ 1/2 sum_c N(c, t^2 I): q(z) = 1/2 sum_c N(c, (s^2 + t^2) I).

    The centres c are at +-`apart` on the first axis; p(z) = N(0, I).
    """

    def __init__(self, apart=1.0, s=0.6, t=0.5, k=1):
        self.apart, self.s, self.t, self.k = apart, s, t, k
        self.prior = priors.standard_normal(k)

    def encode(self, x):
        mean = tf.cast(x, tf.float32)
        return tfd.Independent(tfd.Normal(mean, tf.zeros_like(mean) + self.s), 1)

    def data(self, n, seed=0):
        random = np.random.default_rng(1000 + seed)
        x = self.t * random.normal(size=(n, self.k))
        x[:, 0] += self.apart * random.choice([-1.0, 1.0], n)
        return x.astype(np.float32)

    def log_q(self, z):
        """log q(z), [M]."""
        v = self.s**2 + self.t**2
        centre = np.zeros(self.k)
        parts = []
        for sign in (-1.0, 1.0):
            centre[0] = sign * self.apart
            parts.append(-0.5 * np.sum((z - centre) ** 2, axis=1) / v)
        return np.logaddexp(*parts) - np.log(2) - 0.5 * self.k * np.log(2 * np.pi * v)

    def truth(self, of_u):
        """E_p[ f(q/p) ] by quadrature on the first axis, which alone differs if v = 1."""
        assert self.k == 1
        z = np.linspace(-12, 12, 200_001)
        log_p = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
        u = np.exp(self.log_q(z[:, None]) - log_p)
        return float(np.sum(np.exp(log_p) * of_u(u)) * (z[1] - z[0]))
