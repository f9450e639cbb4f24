"""Checks of the tensors that a model is given."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from zoo.errors import InputError


def checked(values: Any, shape: tuple, what: str) -> tf.Tensor:
    """Returns `values` as float32 [B, *shape].

    Args:
      what: their name in error sentences, such as "images".

    Raises:
      InputError: they have another shape, or are not floats.
    """
    tensor = tf.convert_to_tensor(values)
    if not tensor.dtype.is_floating:
        raise InputError(
            f"These {what} are {tensor.dtype.name}: give floats, and pixels between 0 and 1."
        )
    tensor = tf.cast(tensor, tf.float32)
    expected = tf.TensorShape([None, *shape])
    if not expected.is_compatible_with(tensor.shape):
        raise InputError(
            f"These {what} have shape {_shape_text(tensor.shape)}: the model needs "
            f"{_shape_text(expected)}."
        )
    return tensor


def _shape_text(shape: tf.TensorShape) -> str:
    return f"({', '.join('batch' if size is None else str(size) for size in shape)})"
