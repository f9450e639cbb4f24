"""Variables restored after a non-finite step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf


@contextlib.contextmanager
def unless_finite(variables: Sequence[Any], skipped: keras.metrics.Metric) -> Iterator[None]:
    """Restores `variables` after the with block if one of them is no longer finite.

    Args:
      variables: all variables that the block changes; they are copied before it.
      skipped: counts the restorations.
    """
    before = [tf.identity(variable.value) for variable in variables]
    yield
    numbers = [v.value for v in variables if tf.as_dtype(v.dtype).is_floating]
    finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(number)) for number in numbers])

    def restore() -> tf.Tensor:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        return tf.constant(1)

    skipped.update_state(tf.cond(finite, lambda: tf.constant(0), restore))
