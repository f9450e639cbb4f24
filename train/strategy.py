"""Where the replicas of a model live."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager


def scope(strategy: str) -> AbstractContextManager:
    """Returns the scope to build and load models in: "one", "mirrored", or "auto".

    "mirrored" puts a replica on every GPU, or on every logical CPU device where there is none;
    "auto" does so where there are several GPUs. The batch size is the global one.
    """
    import tensorflow as tf

    gpus = tf.config.list_logical_devices("GPU")
    if strategy == "mirrored" or (strategy == "auto" and len(gpus) > 1):
        devices = gpus or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices]).scope()
    return contextlib.nullcontext()
