"""The processor's peak speed, measured with compiled products of large square matrices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from train.benchmark.cases import Case

SIZE = 2048


def prepare(case: Case, size: int = SIZE) -> tuple[dict[str, Any], Callable[[Iterator[int]], None]]:
    """Returns the settings of `case` and a function that runs one product per step."""
    kind = tf.bfloat16 if case.precision == "bfloat16" else tf.float32
    a, b = (tf.cast(tf.random.stateless_normal([size, size], [0, i]), kind) for i in range(2))

    @tf.function(jit_compile=True)
    def multiply(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.BatchMatMulV3(x=a, y=b, Tout=tf.float32)

    def train(bursts: Iterator[int]) -> None:
        for steps in bursts:
            for _ in range(steps):
                multiply(a, b)

    uses = {"jit": True, "precision": case.precision, "steps_per_execution": 1}
    return {**uses, "flops": 2.0 * size**3}, train
