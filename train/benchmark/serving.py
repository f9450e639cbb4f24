"""q(z|x) for a batch of images, from one array to two, in four implementations."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

import zoo
from export.saved_models import export_model
from train.benchmark import bare
from train.benchmark.cases import Case

IMAGE = (28, 28, 1)
Encode = Callable[[tf.Tensor], dict[str, tf.Tensor]]


def prepare(case: Case) -> tuple[dict[str, Any], Callable[[], dict[str, np.ndarray]]]:
    """Returns the settings of `case` and a function that answers one request."""
    images = np.random.default_rng(0).random((case.batch_size, *IMAGE), np.float32)
    encode = _WAYS[case.way](case)

    def ask() -> dict[str, np.ndarray]:
        return {name: value.numpy() for name, value in encode(tf.constant(images)).items()}

    uses = {"jit": False, "precision": "float32", "steps_per_execution": 1}
    return uses, ask


def _model(case: Case) -> Any:
    options = {"hidden": case.hidden}
    return zoo.build(case.model, IMAGE, case.latent_dim, network_options=options)


def _eager(case: Case) -> Encode:
    model = _model(case)

    def encode(images: tf.Tensor) -> dict[str, tf.Tensor]:
        posterior = model.encode(images)
        return {"mean": posterior.mean(), "stddev": posterior.stddev()}

    return encode


def _traced(case: Case) -> Encode:
    return tf.function(_eager(case), autograph=False)


def _exported(case: Case) -> Encode:
    with tempfile.TemporaryDirectory() as out:
        (folder,) = export_model(_model(case), out, "encoder").values()
        loaded = tf.saved_model.load(str(folder))
    return lambda images: loaded.signatures["encode"](images=images)


def _chain(case: Case) -> Encode:
    """Returns only the products, biases and softplus, in the same sizes."""
    weights = bare.layers(int(np.prod(IMAGE)), *case.hidden, 2 * case.latent_dim)

    @tf.function(autograph=False)
    def encode(images: tf.Tensor) -> dict[str, tf.Tensor]:
        x = tf.reshape(images, [case.batch_size, -1])
        mean, raw = tf.split(bare.mlp(x, weights, tf.nn.softplus, tf.matmul), 2, axis=1)
        return {"mean": mean, "stddev": bare.FLOOR + tf.nn.softplus(bare.RAW_SCALE + raw)}

    return encode


_WAYS = {"keras": _eager, "traced": _traced, "exported": _exported, "chain": _chain}
