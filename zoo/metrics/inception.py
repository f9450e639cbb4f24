"""Features of Inception V3, from a user's file of weights."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.errors import InputError

FEATURES = 2048
_SIDE = 299
_BLOCK = 32  # images per batch


def inception_features(weights: str | os.PathLike[str]) -> Callable[[Any], np.ndarray]:
    """Returns a function from images [N, H, W, C] in [0, 1] to features [N, 2048].

    Features are the averages of the last convolutions of Szegedy et al. 2016, for images resized
    bilinearly to 299 x 299 and scaled to [-1, 1]; grey images are repeated in three channels.
    Values of FID are comparable only for the same weights and resizing.

    Args:
      weights: a `.weights.h5` or `.h5` file of keras.applications.InceptionV3 without its top.

    Raises:
      InputError: the file does not exist, or has other weights.
    """
    path = Path(weights)
    if not path.is_file():
        raise InputError(
            f"There is no file {path}: give weights of keras.applications.InceptionV3."
        )
    network = keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg")
    try:
        network.load_weights(path)
    except Exception as error:  # h5py and Keras raise many kinds on damaged files
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path} does not hold the weights of keras.applications.InceptionV3 without its top "
            f"({reason})."
        ) from None

    @tf.function
    def features(x: tf.Tensor) -> tf.Tensor:
        x = tf.image.resize(tf.cast(x, tf.float32), [_SIDE, _SIDE])
        return network(2.0 * tf.broadcast_to(x, [tf.shape(x)[0], _SIDE, _SIDE, 3]) - 1.0)

    def of_all(images: Any) -> np.ndarray:
        blocks = [images[i : i + _BLOCK] for i in range(0, len(images), _BLOCK)]
        return np.concatenate([features(tf.constant(block)).numpy() for block in blocks])

    return of_all
