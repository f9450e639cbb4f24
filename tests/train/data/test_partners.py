import colorsys

import numpy as np
import pytest

from train.data import partners
from zoo.errors import InputError


@pytest.fixture(params=["uint8", "float32"])
def images(request):
    """A rectangle, a dot and noise, [3, 6, 6, 1]."""
    grey = np.zeros((3, 6, 6, 1))
    grey[0, 1:5, 2:6] = 1.0
    grey[1, 3, 0] = 0.5
    grey[2] = np.random.default_rng(0).random((6, 6, 1))
    return np.rint(grey * 255).astype("uint8") if request.param == "uint8" else np.float32(grey)


@pytest.mark.parametrize("kind", partners.KINDS)
def test_dtype_range_and_frozen_streams(images, kind):
    made = partners.get(kind)(images, 0)
    assert made.dtype == images.dtype
    assert made.min() >= 0
    assert made.max() <= images.max()
    assert made.flags.c_contiguous
    np.testing.assert_array_equal(made, partners.get(kind)(images, 0))


def test_rotated(images):
    made = partners.rotated(images, 0)
    for row in range(6):
        for column in range(6):
            # Counter-clockwise: what was in the rightmost column is in the top row.
            np.testing.assert_array_equal(made[:, row, column], images[:, column, 5 - row])
    with pytest.raises(InputError, match="6x5 cannot be paired with rotated"):
        partners.rotated(images[:, :, :5], 0)


def test_edges(images):
    made = partners.edges(images, 0).astype(float)
    whole = np.pad(images.astype(float), ((0, 0), (1, 1), (1, 1), (0, 0)))
    for row in range(6):
        for column in range(6):
            places = [(row, column), (row - 1, column), (row + 1, column)]
            places += [(row, column - 1), (row, column + 1)]
            around = np.stack([whole[:, i + 1, j + 1] for i, j in places])
            expected = around.max(axis=0) - around.min(axis=0)
            np.testing.assert_allclose(made[:, row, column], expected, atol=1e-7)
    # The rectangle's inside, 2x2 pixels, is black; its border on either side is white.
    assert np.all(made[0, 2:4, 3:5] == 0)
    assert np.all(made[0, 0:2, 3:5] == images[0].max())


def test_coloured(images):
    made = partners.coloured(images, 4).astype(float)
    hues = np.random.RandomState(4).uniform(size=3)
    for image, grey, hue in zip(made, images.astype(float), hues, strict=True):
        expected = grey * np.array(colorsys.hsv_to_rgb(hue, 1, 1))
        # uint8 is rounded, float32 to seven digits
        np.testing.assert_allclose(
            image, expected, atol=0.5001 if images.dtype == "uint8" else 1e-6
        )
        # A saturated colour has a channel of full and one of no brightness.
        np.testing.assert_allclose(image.max(axis=-1, keepdims=True), grey, atol=1e-6)
        assert np.all(image.min(axis=-1) == 0)
    assert np.any(partners.coloured(images, 5) != partners.coloured(images, 4))
    with pytest.raises(InputError, match="3 channels cannot be paired with coloured"):
        partners.coloured(partners.coloured(images, 0), 0)


def test_unknown_kinds_are_refused():
    with pytest.raises(InputError, match="Unknown kind of pair 'rotate': did you mean 'rotated'"):
        partners.get("rotate")
