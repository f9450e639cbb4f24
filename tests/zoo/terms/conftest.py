"""Joints whose samples, densities and weights are given outright."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf


@dataclasses.dataclass
class FakeJoints:
    """Samples of the two joints; with weights, a table of all that can be drawn."""

    x_q: Any = None
    z_q: Any = None
    x_p: Any = None
    z_p: Any = None
    posterior: Any = None
    prior: Any = None
    log_p_x_given_z_q: Any = None
    log_q_z_given_x_q: Any = None
    log_p_z_q: Any = None
    log_q_z_given_x_p: Any = None
    condition: Any = None
    q_weights: Any = None
    p_weights: Any = None
    data_weights: Any = None
    seed: Any = (3, 4)

    def remembered(self, space):
        return None

    def gathered(self, *values):
        return values

    def noise(self, draw, size, name):
        return draw(size, self.stream(name))

    def stream(self, name):
        return tf.random.experimental.stateless_fold_in(self.seed, sum(name.encode()))

    def expect_q(self, values):
        return _expect(values, self.q_weights)

    def expect_p(self, values):
        return _expect(values, self.p_weights)

    def expect_data(self, values):
        return _expect(values, self.data_weights)

    def samples(self, space):
        return {
            "x": ((self.x_q,), (self.x_p,)),
            "z": ((self.z_q,), (self.z_p,)),
            "xz": ((self.x_q, self.z_q), (self.x_p, self.z_p)),
        }[space]


def _expect(values, weights):
    return tf.reduce_mean(values) if weights is None else tf.reduce_sum(weights * values)


@dataclasses.dataclass
class Normals:
    """q = N(m_q, s_q^2) and p = N(m_p, s_p^2) of one number z, and a grid to integrate over."""

    m_q: float = 0.7
    s_q: float = 0.8
    m_p: float = 0.0
    s_p: float = 1.0

    @property
    def grid(self):
        return np.linspace(-9.0, 9.0, 1801)

    @property
    def densities(self):
        """q and p on the grid, times its step."""
        return tuple(
            np.exp(-((self.grid - m) ** 2) / (2 * s**2)) / (s * np.sqrt(2 * np.pi)) * 0.01
            for m, s in ((self.m_q, self.s_q), (self.m_p, self.s_p))
        )

    def log_ratio(self, z):
        """log q/p at z."""
        at_q, at_p = (z - self.m_q) / self.s_q, (z - self.m_p) / self.s_p
        return (at_p**2 - at_q**2) / 2 + math.log(self.s_p / self.s_q)

    def kl(self):
        """KL(q||p) = log s_p/s_q + (s_q^2 + (m_q - m_p)^2) / (2 s_p^2) - 1/2."""
        moment = (self.s_q**2 + (self.m_q - self.m_p) ** 2) / (2 * self.s_p**2)
        return math.log(self.s_p / self.s_q) + moment - 0.5

    def exchanged(self):
        return Normals(self.m_p, self.s_p, self.m_q, self.s_q)

    def joints(self):
        """Returns joints that list the grid's z with their probabilities."""
        z = tf.constant(self.grid[:, None], tf.float32)
        q, p = (tf.constant(weights, tf.float32) for weights in self.densities)
        return FakeJoints(z_q=z, z_p=z, q_weights=q, p_weights=p)


@dataclasses.dataclass
class Table:
    """Two random joints of 3 values of x and 4 of z, as NumPy tables and as joints."""

    q: Any
    p: Any

    def marginals(self, space):
        """Returns q and p on `space`, flat."""
        axis = {"x": 1, "z": 0, "xz": ()}[space]
        return self.q.sum(axis).ravel(), self.p.sum(axis).ravel()

    def joints(self, **others):
        """Returns the joints that enumerate all cells, values being one-hot vectors."""
        x, z = np.indices(self.q.shape)
        x, z = np.eye(3, dtype=np.float32)[x.ravel()], np.eye(4, dtype=np.float32)[z.ravel()]
        weights = {
            "q_weights": self.q.ravel().astype(np.float32),
            "p_weights": self.p.ravel().astype(np.float32),
            "data_weights": self.q.sum(1).astype(np.float32),
        }
        x, z = tf.constant(x), tf.constant(z)
        return FakeJoints(**({"x_q": x, "z_q": z, "x_p": x, "z_p": z} | weights | others))


@pytest.fixture
def fake_joints():
    return FakeJoints


@pytest.fixture
def normals():
    return Normals()


@pytest.fixture
def table():
    rng = np.random.default_rng(7)
    return Table(
        q=rng.dirichlet(np.ones(12)).reshape(3, 4), p=rng.dirichlet(np.ones(12)).reshape(3, 4)
    )
