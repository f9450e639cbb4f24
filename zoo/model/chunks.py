"""Several training steps as one program, with batches made on the model's device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def train_chunk(model: Any, feed: Callable[[Any], Any], data: Any) -> dict[str, Any]:
    """Takes one step for each row of `data`; returns the logs after the last.

    Args:
      model: a `LagrangianStep`.
      feed: makes the batch of a step from one row of `data`.
      data: each leaf [steps, ...].
    """
    first, *_ = tf.nest.flatten(data)
    steps = tf.shape(first)[0]

    def batch_of(index: tf.Tensor) -> Any:
        return feed(tf.nest.map_structure(lambda leaf: leaf[index], data))

    # The loop carries each batch to the next iteration. If a batch were made in its step, XLA would
    # fuse its computation into every use, and compute it four times. The last batch is made twice.
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
