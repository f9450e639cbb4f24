"""The encoder for conversion to other formats, and the check of the converted encoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from zoo.errors import InputError
from zoo.model.lagrangian_model import LagrangianModel

tfd = tfp.distributions

BATCHES = (1, 3)
# Relative, and absolute for numbers below 1. Other kernels sum products in another order and
# approximate the exponential differently.
_TOLERANCE = 1e-4


def function(model: LagrangianModel) -> Any:
    """Returns the tf.function images [B, H, W, C] -> {"mean", "stddev"}, without input checks.

    Raises:
      InputError: q(z|x) has no mean or no standard deviation.
    """
    if model.table is not None:
        raise InputError(
            "The encoder of a table takes columns, and --tflite and --onnx one tensor: leave them "
            "out."
        )
    can = model.encoder.capabilities
    if not (can.has_mean and can.has_stddev):
        raise InputError(
            f"q(z|x), of the family {can.name}, has no mean and standard deviation: leave out "
            "--tflite and --onnx."
        )
    if model.condition is not None:
        raise InputError(
            "q(z|x,c) reads a condition, but the encoders of --tflite and --onnx read images only: "
            "leave them out."
        )
    spec = tf.TensorSpec((None, *model.encoder.condition_shape), tf.float32, name="images")

    def encode(images: tf.Tensor) -> dict[str, tf.Tensor]:
        mean, stddev = _moments(model.encoder(images))
        return {"mean": mean, "stddev": stddev}

    return tf.function(encode, input_signature=[spec], autograph=False)


def _moments(posterior: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns mean and standard deviation, avoiding TFP's broadcasts of shapes where possible."""
    elements = getattr(posterior, "distribution", None)
    if not isinstance(elements, tfd.Normal | tfd.Laplace):
        return posterior.mean(), posterior.stddev()
    # Var[z] = 2 scale^2 for Laplace
    factor = math.sqrt(2.0) if isinstance(elements, tfd.Laplace) else 1.0
    return elements.loc, factor * elements.scale * tf.ones_like(elements.loc)


def compare(
    model: LagrangianModel,
    run: Callable[[np.ndarray], Mapping[str, np.ndarray]],
    name: str,
) -> None:
    """Runs a converted encoder on images, and compares its results with the model's.

    Raises:
      InputError: a number differs from the model's by more than 1e-4 (1 + its absolute value).
    """
    random = np.random.default_rng(0)
    for batch in BATCHES:
        images = random.random((batch, *model.encoder.condition_shape), np.float32)
        found = run(images)
        for key, wanted in function(model)(images).items():
            away = np.abs(found[key] - wanted.numpy()) / (1.0 + np.abs(wanted.numpy()))
            if not np.max(away) <= _TOLERANCE:
                raise InputError(
                    f"In {name} the encoder's {key} has a relative error of {np.max(away):.2g}: "
                    f"leave out --{name.lower()}."
                )
