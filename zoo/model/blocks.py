"""Several steps as one program, on batches that are made where the model is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def train_block(model: Any, feed: Callable[[Any], Any], data: Any) -> dict[str, Any]:
    """Takes as many steps as `data` has on its leading axis; returns the logs after the last.

    Args:
      model: a `LagrangianStep`.
      feed: what makes the batch of a step of one row of `data`.
      data: each leaf [steps, ...].
    """
    first, *_ = tf.nest.flatten(data)
    steps = tf.shape(first)[0]

    def batch_of(index: tf.Tensor) -> Any:
        return feed(tf.nest.map_structure(lambda leaf: leaf[index], data))

    # The loop carries each batch to its step. Made there, XLA would join what makes it into
    # each of its readers, and make it four times. A block's last is made twice.
    def one(index: tf.Tensor, batch: Any) -> tuple[tf.Tensor, Any]:
        model.train_step(batch)
        return index + 1, batch_of(tf.minimum(index + 1, steps - 1))

    tf.while_loop(
        lambda index, _: index < steps,
        one,
        (0, batch_of(tf.constant(0))),
        parallel_iterations=1,
    )
    return model.training_logs()
