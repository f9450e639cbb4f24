"""Affine maps of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def warp(images: Any, matrix: Sequence[Sequence[Any]], shift: Sequence[Any]) -> tf.Tensor:
    """Returns images [B, H, W, C] read through an affine map, one for all or one per image.

    ```none
    out(r) = in(c + A (r - c) + t)
    in(p)  = sum_s in(s) max(0, 1 - |p_x - s_x|) max(0, 1 - |p_y - s_y|)
    ```

    with c the centre of the image and s its pixels; outside pixels are 0. Gradients reach images
    and maps. Jaderberg et al. "Spatial Transformer Networks." NeurIPS 2015, eq. 1 and 5.

    Args:
      images: [B, H, W, C], of known H, W and C.
      matrix: A, rows and columns in the order x (to the right), y (downwards); entries are
        tensors, scalars or [B].
      shift: t, in pixels, in the order x, y; entries likewise.
    """
    _, height, width, _ = images.shape
    middle = (width - 1) / 2, (height - 1) / 2
    y, x = tf.meshgrid(
        tf.range(height, dtype=tf.float32) - middle[1],
        tf.range(width, dtype=tf.float32) - middle[0],
        indexing="ij",
    )
    # c + A (r - c) + t
    from_x, from_y = (
        c + (_everywhere(a) * x + _everywhere(b) * y) + _everywhere(t)
        for c, (a, b), t in zip(middle, matrix, shift, strict=True)
    )
    return _bilinear(images, from_x, from_y)


def _everywhere(numbers: tf.Tensor) -> tf.Tensor:
    """Returns scalars or numbers [B] with two more axes of length 1."""
    return numbers[..., tf.newaxis, tf.newaxis]


def _bilinear(images: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Returns images [B, H, W, C] read at points x, y, [H', W'] or [B, H', W'], 0 outside."""
    _, height, width, channels = images.shape
    pixels = tf.reshape(images, (-1, height * width, channels))
    left, top = tf.floor(x), tf.floor(y)
    own = x.shape.rank - 2
    result: Any = 0.0
    for column, row in ((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)):
        weight = (1.0 - tf.abs(x - column)) * (1.0 - tf.abs(y - row))
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        place = tf.clip_by_value(row, 0, height - 1) * width + tf.clip_by_value(
            column, 0, width - 1
        )
        read = tf.gather(pixels, tf.cast(place, tf.int32), axis=1, batch_dims=own)
        result += tf.where(inside, weight, 0.0)[..., tf.newaxis] * read
    return result
