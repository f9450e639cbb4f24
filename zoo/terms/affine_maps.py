"""Random affine maps of images: rotation, shear, scale and shift."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from zoo import errors
from zoo.networks.warping import warp

# At strength 1, each example's parameters are uniform between minus and plus these values.
_ANGLE = math.radians(20)
_SHEAR = 0.5
_LOG_SCALE = 0.2
_SHIFT = 0.1  # of the side


def random_affine(images: Any, seed: Any, strength: float = 1.0) -> tf.Tensor:
    """Returns each image under an independent random affine map; pixels from outside are black.

    ```none
    out(r) = in(c + A (r - c) + t),   A = R(angle) [1 shear; 0 1] diag(scale_x, scale_y)
    ```

    with c the centre of the image, angle up to 20 degrees, shear up to 0.5, each log scale up to
    0.2 and t up to a tenth of the sides, all times `strength`, uniform and independent.
    Interpolation is bilinear, so gradients reach the images.

    Args:
      images: [B, H, W, C].
      seed: two whole numbers.
      strength: 0 leaves the images as they are.

    Raises:
      InputError: `images` do not have shape [B, H, W, C].
    """
    images = tf.convert_to_tensor(images)
    if images.shape.rank != 4:
        raise errors.InputError(
            f"Affine maps need images [B, H, W, C], but these have shape {images.shape}: leave "
            "out the option affine."
        )
    _, height, width, _ = images.shape
    drawn = strength * tf.random.stateless_uniform((tf.shape(images)[0], 6), seed, -1.0, 1.0)
    angle, shear, log_x, log_y, shift_x, shift_y = tf.unstack(drawn, axis=1)
    cos, sin = tf.cos(_ANGLE * angle), tf.sin(_ANGLE * angle)
    shear = _SHEAR * shear
    scale_x, scale_y = tf.exp(_LOG_SCALE * log_x), tf.exp(_LOG_SCALE * log_y)
    # A = [cos -sin; sin cos] [1 shear; 0 1] diag(scale_x, scale_y)
    matrix = [
        [cos * scale_x, (cos * shear - sin) * scale_y],
        [sin * scale_x, (sin * shear + cos) * scale_y],
    ]
    return warp(images, matrix, (_SHIFT * width * shift_x, _SHIFT * height * shift_y))
