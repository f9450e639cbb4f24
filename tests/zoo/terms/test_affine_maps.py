"""Affine maps against one pixel at a time, in plain Python."""

import math

import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.errors import InputError
from zoo.terms.affine_maps import random_affine

SEED = (3, 5)


def by_hand(image, numbers):
    """out(r) = in(c + A (r - c) + t), bilinear, 0 outside."""
    angle, shear, log_x, log_y, shift_x, shift_y = numbers
    angle, shear = math.radians(20) * angle, 0.5 * shear
    turn = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    scale = np.diag(np.exp(0.2 * np.array([log_x, log_y])))
    matrix = np.array(turn) @ [[1, shear], [0, 1]] @ scale
    height, width, _ = image.shape
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = 0.1 * np.array([width * shift_x, height * shift_y])
    out = np.zeros_like(image)
    for row in range(height):
        for column in range(width):
            x, y = middle + matrix @ (np.array([column, row]) - middle) + shift
            for j in (math.floor(x), math.floor(x) + 1):
                for i in (math.floor(y), math.floor(y) + 1):
                    if 0 <= j < width and 0 <= i < height:
                        out[row, column] += (1 - abs(x - j)) * (1 - abs(y - i)) * image[i, j]
    return out


def images(shape=(3, 6, 5, 2)):
    return np.random.default_rng(0).random(shape, dtype=np.float32)


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_one_pixel_at_a_time(strength):
    drawn = strength * tf.random.stateless_uniform((3, 6), SEED, -1.0, 1.0).numpy()
    expected = [by_hand(*pair) for pair in zip(images(), drawn, strict=True)]
    # float32 coordinates of a few pixels
    np.testing.assert_allclose(random_affine(images(), SEED, strength), expected, atol=1e-5)


def test_strength_0_is_the_identity_and_xla_agrees():
    np.testing.assert_allclose(random_affine(images(), SEED, 0.0), images(), atol=1e-6)
    compiled = tf.function(lambda x: random_affine(x, SEED, 0.3), jit_compile=True)(images())
    assert compiled.shape == images().shape
    assert np.abs(compiled - images()).max() > 0.01


def test_gradients_are_the_weights_of_the_pixels():
    x = tf.constant(images())
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(random_affine(x, SEED))
    gradient = tape.gradient(total, x)
    # The map is linear: its value is its gradient times the images.
    np.testing.assert_allclose(tf.reduce_sum(gradient * x), total, rtol=1e-5)


def test_what_is_no_image_is_refused():
    with pytest.raises(InputError, match="leave out the option affine"):
        random_affine(np.zeros((2, 3), np.float32), SEED)


def rec_z(affine):
    options = {"REC_z": {"affine": affine}}
    built = zoo.build(
        "infogan",
        latents="code: categorical(3), noise(2)",
        network_options={"hidden": (16,)},
        term_options=options,
    )
    return built, built._terms["REC_z"]


def test_rec_z_reads_moved_images_in_training_alone():
    built, term = rec_z(1.0)
    plain = rec_z(0.0)[1]
    x = images((64, 28, 28, 1))
    joints = built.joints(x, built._step_seed(0, 0), training=True)
    moved = random_affine(joints.x_p, joints.stream("REC_z"))
    expected = -np.mean(built.encoder(moved).log_prob(joints.z_p))
    np.testing.assert_allclose(term(joints).value, expected, rtol=1e-5)
    assert abs(float(term(joints).value - plain(joints).value)) > 1e-4
    held_out = built.joints(x, built._step_seed(0, 0))
    values = [float(t(held_out, training=False).value) for t in (term, plain)]
    assert values[0] == values[1]
    for bad in (-1.0, float("nan"), "much"):
        with pytest.raises(InputError, match="affine"):
            rec_z(bad)
