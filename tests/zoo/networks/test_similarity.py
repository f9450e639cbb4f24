"""A network of four numbers: against rotations of arrays, known gradients and a grid search."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo import errors, networks
from zoo.networks.similarity import Similarity

SHAPE = (12, 12, 2)


def images():
    return np.random.default_rng(0).random((3, *SHAPE), dtype=np.float32)


def build(params=1, turn=0.0, seed=0, **options):
    make = networks.get("similarity").translator
    return make(SHAPE, SHAPE, params, turn=turn, seed=seed, **options)


def placed(angle=0.0, log_scale=0.0, shift=(0.0, 0.0), **options):
    model = build(**options)
    model.get_layer("map").set_weights([np.array(v) for v in (np.radians(angle), log_scale, shift)])
    return model


def test_it_starts_as_the_identity_turned_at_most_so_far():
    np.testing.assert_allclose(build()(images()), images(), atol=1e-6)
    starts = [build(turn=30.0, seed=s).get_layer("map").angle.numpy() for s in range(50)]
    assert np.max(np.abs(starts)) <= np.radians(30)
    assert np.max(starts) > np.radians(15)
    assert np.min(starts) < -np.radians(15)
    same = build(turn=30.0, seed=7).get_layer("map").angle.numpy()
    assert same == starts[7]


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarters_are_exact(quarters):
    # Reading at R(90 degrees) r, y downwards, turns the image counter-clockwise.
    expected = np.rot90(images(), quarters, axes=(1, 2))
    np.testing.assert_allclose(placed(90 * quarters)(images()), expected, atol=1e-5)


def test_shifts_and_scales():
    # Half a side's 2/6 are 2 pixels: what was 2 to the right is here.
    moved = placed(shift=(2 / 6, 0.0))(images())
    np.testing.assert_allclose(moved[:, :, :-2], images()[:, :, 2:], atol=1e-5)
    np.testing.assert_allclose(moved[:, :, -2:], 0.0, atol=1e-5)
    # One third as large: every third pixel, from the one beside the middle on.
    small = placed(log_scale=np.log(3.0))(images())
    np.testing.assert_allclose(small[:, 4:8, 4:8], images()[:, 1::3, 1::3], atol=1e-5)
    np.testing.assert_array_equal(small[:, 0], 0.0)


def test_gradients_are_differences():
    x, target = images(), np.rot90(images(), axes=(1, 2))
    model = placed(37.0, 0.1, (0.03, -0.05))

    def loss():
        return tf.reduce_mean(tf.square(model(x) - target))

    with tf.GradientTape() as tape:
        value = loss()
    gradient = tape.gradient(value, model.get_layer("map").angle).numpy()
    angle = model.get_layer("map").angle
    at, step = angle.numpy(), 1e-3
    ends = []
    for sign in (1, -1):
        angle.assign(at + sign * step)
        ends.append(float(loss()))
    # Bilinear reading has kinks at pixels; between them the error is of the order of step^2.
    np.testing.assert_allclose(gradient, (ends[0] - ends[1]) / (2 * step), rtol=0.02)


def test_logits_and_other_parameters():
    pixels = placed(20.0)(images())
    logits = placed(20.0, squash="none")(images())
    expected = np.clip(pixels, 0.001, 0.999)
    np.testing.assert_allclose(tf.sigmoid(logits), expected, atol=1e-5)
    both = placed(20.0, params=2)(images())
    assert both.shape == (3, 12, 12, 4)
    np.testing.assert_allclose(both[..., :2], pixels, atol=1e-6)


def test_saving_and_xla(tmp_path):
    model = build(2, turn=90.0)
    model.save(tmp_path / "network.keras")
    read = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(read(images()), model(images()))
    assert read.get_layer("map").turn == 90.0
    assert isinstance(read.get_layer("map"), Similarity)
    compiled = tf.function(model, jit_compile=True)(images())
    np.testing.assert_allclose(compiled, model(images()), atol=1e-5)


@pytest.mark.parametrize(
    ("start", "end", "options", "message"),
    [
        (SHAPE, (12, 12, 1), {}, r"\(12, 12, 2\) does not give \(12, 12, 1\)"),
        ((7,), (7,), {}, r"\(7,\) does not give"),
        (SHAPE, SHAPE, {"turn": -1.0}, "turn is -1.0: give degrees from 0 to 180"),
        (SHAPE, SHAPE, {"turn": "far"}, "turn is 'far'"),
        (SHAPE, SHAPE, {"squash": "tanh"}, "Unknown squash 'tanh'"),
        (SHAPE, SHAPE, {"width": 3}, "Unknown option 'width'"),
    ],
)
def test_what_cannot_be_turned(start, end, options, message):
    with pytest.raises(errors.InputError, match=message):
        networks.get("similarity").translator(start, end, **options)
