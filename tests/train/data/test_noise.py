import numpy as np
import pytest
import tensorflow as tf

from train.data import noise


def mixed(h):
    """MurmurHash3's finalizer, in Python's whole numbers."""
    h = (h ^ h >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return h ^ h >> 16


def restated(seed, stream, row, column):
    key = mixed(mixed(seed & 0xFFFFFFFF) + stream & 0xFFFFFFFF)
    key = mixed(mixed(key + (row & 0xFFFFFFFF) & 0xFFFFFFFF) + (row >> 32) & 0xFFFFFFFF)
    word = mixed(mixed(column * 0x9E3779B9 + key & 0xFFFFFFFF) + key & 0xFFFFFFFF)
    return (word >> 8) / 2**24


@pytest.mark.parametrize("jit", [False, True], ids=["tensorflow", "xla"])
def test_numbers_are_those_of_their_places(jit):
    rows = [0, 1, 54_999, 2**32 + 5, 2**40]
    draw = tf.function(lambda r: noise.uniforms(-3, 2, r, 4), jit_compile=jit)
    expected = [[restated(-3, 2, row, column) for column in range(4)] for row in rows]
    np.testing.assert_array_equal(draw(tf.constant(rows, tf.int64)), expected)


def drawn(seed=0, stream=0, first=0, rows=1000, columns=784):
    return noise.uniforms(seed, stream, tf.range(first, first + rows, dtype=tf.int64), columns)


def test_numbers_are_uniform():
    u = np.sort(drawn().numpy().ravel())
    n = len(u)
    assert 0 <= u[0] < u[-1] < 1
    # Kolmogorov and Smirnov: sqrt(n) sup |F_n - F| exceeds 1.95 with a probability of 0.001.
    assert np.abs(u - (np.arange(n) + 0.5) / n).max() * np.sqrt(n) < 1.95


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"stream": 1},
        {"first": 1},
        {"first": 1000},
        {"first": 2**32},
    ],
    ids=str,
)
def test_numbers_of_neighbours_are_independent(other):
    a, b = drawn().numpy().ravel() - 0.5, drawn(**other).numpy().ravel() - 0.5
    # 12 E a b over n places has a standard deviation of 1/sqrt(n).
    assert abs(12 * np.mean(a * b)) < 4.5 / np.sqrt(len(a))


def test_places_of_a_row_are_independent():
    a = drawn(rows=20_000, columns=30).numpy() - 0.5
    off_diagonal = (12 * a.T @ a / len(a))[np.triu_indices(30, 1)]
    # Among 435 correlations one beyond 5 standard deviations has a probability of 0.0003.
    assert np.abs(off_diagonal).max() < 5 / np.sqrt(len(a))
