"""The encoder as an ONNX model."""

from __future__ import annotations

import re

import numpy as np
import onnxruntime
import tf2onnx

from export import encoder
from zoo.errors import InputError
from zoo.model.lagrangian_model import LagrangianModel

# Messages of tf2onnx about an unknown operation, and of onnxruntime about one left over.
_LACKING = r"Tensorflow op \[\S+: (\w+)\]|In Node, \(\"[^\"]*\", (\w+)"


def convert(model: LagrangianModel) -> bytes:
    """Returns the encoder, images [B, H, W, C] -> mean, stddev, as the bytes of an ONNX file.

    Raises:
      InputError: ONNX lacks one of its operations, or the results differ from the model's.
    """
    function = encoder.function(model)
    try:
        converted, _ = tf2onnx.convert.from_function(function, function.input_signature)
        session = onnxruntime.InferenceSession(converted.SerializeToString())
    except Exception as error:  # each package raises its own types
        lacking = re.search(_LACKING, str(error))
        operation = lacking and (lacking[1] or lacking[2])
        reason = f"ONNX has no {operation}" if operation else str(error).splitlines()[0]
        raise InputError(
            f"The encoder cannot be an ONNX model ({reason}): leave out --onnx."
        ) from None

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, {"images": images}), strict=True))

    encoder.compare(model, run, "ONNX")
    return converted.SerializeToString()
