"""Images kept in memory, gathered and binarized inside the training step."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from train.data.pipeline import Plan, as_written, finished
from zoo.batch import Batch


class Resident:
    """The batches of `plan`, made on the model's device from the indices of images.

    Calling it on the indices of one step gives the images of `Dataset.batches` at that step.

    Args:
      images: uint8 or float, [N, H, W, C].
      binarization: "dynamic", "static" or "none".
      plan: the examples of each step.
      condition: [N, ...], one for each image; if given, a batch is a `Batch` of x and c.
    """

    def __init__(self, images: Any, binarization: str, plan: Plan, condition: Any = None):
        self._images = tf.constant(images)
        self._condition = None if condition is None else tf.constant(condition)
        self._binarization = binarization
        self._plan = plan

    def chunks(self, start_step: int, size: int) -> tf.data.Dataset:
        """Returns an infinite dataset of chunks, {"step": [size], "examples": [size, B]}."""
        numbers = tf.data.Dataset.counter(start=start_step, dtype=tf.int64)

        @as_written
        def numbered(step: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"step": step, "examples": self._plan.examples(step)}

        return numbers.map(numbered).batch(size, drop_remainder=True).prefetch(2)

    def __call__(self, numbers: dict[str, Any]) -> Any:
        """Returns the float32 images [B, H, W, C] of one step, with their condition if any."""
        gathered = tf.gather(self._images, numbers["examples"])
        x = finished(numbers["step"], gathered, self._binarization, self._plan)
        if self._condition is None:
            return x
        return Batch(x, c=tf.gather(self._condition, numbers["examples"]))
