"""A critic with a known Lipschitz constant: dense layers, and activations that sort pairs."""

from __future__ import annotations

import itertools
import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_UNITS, _LAYERS = 64, 3
_BATCH, _STEPS = 256, 50  # examples per batch, and steps between two checks


def trained(
    fit: list[np.ndarray], choose: list[np.ndarray], seed: int, rounds: int
) -> list[np.ndarray]:
    """Returns the critic's matrices and biases, alternating, with the best bound on `choose`."""
    sizes = [fit[0].shape[1], *[_UNITS] * _LAYERS, 1]
    rng = np.random.default_rng(seed)
    variables = []
    for inputs, outputs in itertools.pairwise(sizes):
        u, _, v = np.linalg.svd(rng.normal(size=(inputs, outputs)), full_matrices=False)
        variables += [tf.Variable(u @ v, dtype=tf.float32), tf.Variable(tf.zeros(outputs))]
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(5e-3, rounds * _STEPS), beta_1=0.5
    )
    optimizer.build(variables)
    samples = [tf.constant(x) for x in fit]

    @tf.function
    def round_of(index: tf.Tensor) -> None:
        for step in tf.range(_STEPS):
            key = tf.stack([seed, index * _STEPS + step])
            batch = [
                tf.gather(x, tf.random.stateless_uniform([_BATCH], key + side, 0, len(x), tf.int32))
                for side, x in enumerate(samples)
            ]
            with tf.GradientTape() as tape:
                t = _forward(variables, tf.concat(batch, axis=0))
                loss = tf.reduce_mean(t[_BATCH:]) - tf.reduce_mean(t[:_BATCH])
            optimizer.apply(tape.gradient(loss, variables), variables)
            for w in variables[::2]:
                w.assign(_orthonormal(w))

    best, kept = -math.inf, [v.numpy() for v in variables]
    for index in range(rounds):
        round_of(tf.constant(index))
        layers = [v.numpy() for v in variables]
        of_q, of_p = (values(layers, x) for x in choose)
        bound = (of_q.mean() - of_p.mean()) / constant(layers)
        if bound > best:
            best, kept = bound, layers
    return kept


def _orthonormal(w: Any) -> Any:
    """Returns `w` after one step towards orthonormal rows or columns."""
    for _ in range(3):
        # Bjorck's iteration: W <- 3/2 W - 1/2 W W^T W, with the smaller of the two products
        if w.shape[0] < w.shape[1]:
            w = 1.5 * w - 0.5 * tf.matmul(tf.matmul(w, w, transpose_b=True), w)
        else:
            w = 1.5 * w - 0.5 * tf.matmul(w, tf.matmul(w, w, transpose_a=True))
    return w


def _forward(layers: Any, x: Any) -> Any:
    """Returns T(x), [N], for tensors."""
    *pairs, last = zip(layers[::2], layers[1::2], strict=True)
    for w, b in pairs:
        x = tf.sort(tf.reshape(tf.matmul(x, w) + b, [-1, _UNITS // 2, 2]))
        x = tf.reshape(x, [-1, _UNITS])
    return (tf.matmul(x, last[0]) + last[1])[:, 0]


def values(layers: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    """Returns T(x), [N], float64, computed in batches."""
    rows = [_forward(layers, x[i : i + 8192]).numpy() for i in range(0, len(x), 8192)]
    return np.concatenate(rows).astype(np.float64)


def constant(layers: list[np.ndarray]) -> float:
    """Returns L, the product of the largest singular values of the matrices."""
    return float(np.prod([np.linalg.norm(w.astype(np.float64), 2) for w in layers[::2]]))
