"""Joints whose samples, densities and weights are given outright."""

from __future__ import annotations

import dataclasses
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
    q_weights: Any = None
    p_weights: Any = None
    data_weights: Any = None

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
def table():
    rng = np.random.default_rng(7)
    return Table(
        q=rng.dirichlet(np.ones(12)).reshape(3, 4), p=rng.dirichlet(np.ones(12)).reshape(3, 4)
    )
