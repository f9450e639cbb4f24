import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import InputError
from zoo.terms import kernels

RNG = np.random.default_rng(3)
A, B = np.float32(RNG.normal(size=[7, 5])), np.float32(RNG.normal(size=[4, 5]) + 1.0)
DISTANCES = ((A[:, None] - B[None]) ** 2).sum(-1)
SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)


def test_squared_distances():
    np.testing.assert_allclose(kernels.squared_distances(A, B), DISTANCES, rtol=1e-5)


def test_squared_distances_far_from_the_origin():
    # Exact in binary, so that moving the points loses nothing by itself. Without the mean taken out
    # |a|^2 is 5e8, a float32 there has steps of 32, and the distances would be noise.
    a, b = np.round(A * 256) / 256, np.round(B * 256) / 256
    near, far = kernels.squared_distances(a, b), kernels.squared_distances(a + 1e4, b + 1e4)
    np.testing.assert_allclose(near, far, atol=0.03)


def test_squared_distances_of_equal_points_are_zero_and_have_a_gradient():
    points = tf.Variable(np.full([3, 5], 7.3, np.float32))
    with tf.GradientTape() as tape:
        distances = kernels.squared_distances(points, points)
    np.testing.assert_allclose(distances, np.zeros([3, 3]), atol=1e-6)
    np.testing.assert_allclose(tape.gradient(distances, points), np.zeros([3, 5]), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rbf", np.exp(-DISTANCES / (2 * 5.0))),
        ("imq", 2 * 5.0 / (2 * 5.0 + DISTANCES)),
        ("rbf_mixture", np.mean([np.exp(-DISTANCES / (2 * c * 5.0)) for c in SCALES], axis=0)),
        ("imq_mixture", np.mean([10.0 * c / (10.0 * c + DISTANCES) for c in SCALES], axis=0)),
    ],
)
def test_kernels(name, expected):
    s2 = kernels.bandwidth("dim", A)
    np.testing.assert_allclose(kernels.kernel(name)(DISTANCES, s2), expected, rtol=1e-5)


@pytest.mark.parametrize("name", kernels.KERNELS)
def test_kernels_are_one_at_zero_and_positive_definite(name):
    gram = kernels.kernel(name)(kernels.squared_distances(A, A), 5.0).numpy()
    np.testing.assert_allclose(np.diag(gram), 1.0, atol=1e-6)
    assert np.linalg.eigvalsh(gram).min() > 0


def test_scales_replace_those_of_the_kernel():
    np.testing.assert_allclose(
        kernels.kernel("rbf", scales=(2.0,))(DISTANCES, 5.0), np.exp(-DISTANCES / 20), rtol=1e-5
    )


@pytest.mark.parametrize("sizes", [(3, 0), (4, 0), (3, 2), (7, 4)])
def test_median_bandwidth(sizes):
    n, m = sizes
    pooled = np.concatenate([A[:n], B[:m]])
    i, j = np.triu_indices(n + m, k=1)
    expected = np.median(((pooled[i] - pooled[j]) ** 2).sum(-1))
    samples = (A[:n], B[:m]) if m else (A[:n],)
    np.testing.assert_allclose(kernels.median_bandwidth(*samples), expected, rtol=1e-5)
    compiled = tf.function(kernels.median_bandwidth, jit_compile=True)
    np.testing.assert_allclose(compiled(*map(tf.constant, samples)), expected, rtol=1e-5)


def test_median_bandwidth_of_equal_points_is_above_zero():
    s2 = kernels.median_bandwidth(np.ones([4, 2], np.float32))
    assert s2 > 0
    assert kernels.kernel("rbf")(0.0, s2) == 1.0


def test_median_bandwidth_has_no_gradient():
    points = tf.Variable(A)
    with tf.GradientTape() as tape:
        s2 = kernels.median_bandwidth(points)
    assert tape.gradient(s2, points) is None


def test_bandwidth_may_be_a_number_or_a_tensor():
    assert kernels.bandwidth(3, A) == 3.0
    assert kernels.bandwidth(np.float32(3), A) == 3.0
    assert kernels.bandwidth(tf.constant(3.0), A) == 3.0
    assert kernels.bandwidth("dim", A) == 5.0


def test_flatten_puts_the_parts_side_by_side():
    x, z = np.ones([2, 3, 4, 1]), np.zeros([2, 5])
    flat = kernels.flatten(x, z)
    assert flat.dtype == tf.float32
    np.testing.assert_array_equal(flat, np.concatenate([x.reshape([2, 12]), z], axis=1))
    assert kernels.flatten(np.ones([6])).shape == (6, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernels.kernel("rbv"), "Unknown kernel 'rbv': did you mean 'rbf'"),
        (lambda: kernels.kernel("rbf", scales=()), "Kernel scales"),
        (lambda: kernels.kernel("rbf", scales=(1.0, -1.0)), "Kernel scales"),
        (lambda: kernels.bandwidth("dimension", A), "Unknown bandwidth 'dimension'"),
        (lambda: kernels.bandwidth(0.0, A), "Bandwidth 0.0 has to be above 0"),
        (lambda: kernels.bandwidth(float("nan"), A), "Bandwidth nan"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()
