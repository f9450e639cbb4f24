"""Images read between their pixels."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def bilinear(images: Any, x: Any, y: Any) -> tf.Tensor:
    """Returns images [B, H, W, C] read at points x, y, as [B, H', W', C].

    ```none
    out(r) = sum_s in(s) max(0, 1 - |x_r - x_s|) max(0, 1 - |y_r - y_s|)
    ```

    Points are [B, H', W'], or [H', W'] for all images alike. They count in pixels from the middle
    of the first; outside all is 0. Gradients reach images and points. Jaderberg et al. "Spatial
    Transformer Networks." NeurIPS 2015, eq. 5.
    """
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
