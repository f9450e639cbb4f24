"""The encoder as a TFLite model that uses only TFLite's built-in operations."""

from __future__ import annotations

import re
import tempfile
import warnings

import numpy as np
import tensorflow as tf

from export import encoder
from zoo.errors import InputError
from zoo.model.lagrangian_model import LagrangianModel


def convert(model: LagrangianModel) -> bytes:
    """Returns the encoder as the bytes of a TFLite file.

    Its only signature is `encode`, images [B, H, W, C] -> mean, stddev.

    Raises:
      InputError: TFLite lacks one of its operations, or the results differ from the model's.
    """
    function = encoder.function(model).get_concrete_function()
    # TensorFlow variables, because the converter cannot turn Keras variables into constants.
    module = tf.Module()
    module.weights = list(function.graph.variables)
    try:
        with tempfile.TemporaryDirectory() as folder:
            tf.saved_model.save(module, folder, signatures={"encode": function})
            converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["encode"])
            content = converter.convert()
    except Exception as error:  # the converter's exception class is not public
        if isinstance(error, OSError | tf.errors.OpError):
            raise
        lacking = sorted(set(re.findall(r"'tf\.(\w+)' op", str(error))))
        what = f"TFLite has no {', '.join(lacking)}" if lacking else str(error).splitlines()[0]
        raise InputError(
            f"The encoder cannot be a TFLite model ({what}): leave out --tflite."
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the package that will replace tf.lite
        interpreter = tf.lite.Interpreter(model_content=content)

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        return interpreter.get_signature_runner("encode")(images=images)

    encoder.compare(model, run, "TFLite")
    return content
