"""Warm-up requests, which TensorFlow Serving replays before a version takes traffic."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from export.signatures import Served

FILE = "tf_serving_warmup_requests"
_DRAWS = 8  # for signatures with several draws per image
_FIELD = descriptor_pb2.FieldDescriptorProto


def write(path: Path, model: str, signatures: Mapping[str, Served]) -> None:
    """Writes a TFRecord of PredictionLog, with a request of one example for each signature."""
    random = np.random.default_rng(0)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, each in signatures.items():
            inputs = {
                spec.name: each.examples[spec.name]
                if spec.name in each.examples
                else _example(spec, random, each)
                for spec in each.inputs
            }
            writer.write(request(model, name, inputs))


def request(model: str, signature: str, inputs: Mapping[str, Any]) -> bytes:
    """Returns a PredictionLog, as bytes, with a request to a model's signature.

    The message is defined in tensorflow_serving.apis; this writes its wire format without that
    package.
    """
    log = _prediction_log()()
    asked = log.predict_log.request
    asked.model_spec.name = model
    asked.model_spec.signature_name = signature
    for name, value in inputs.items():
        asked.inputs[name] = tf.make_tensor_proto(value).SerializeToString(deterministic=True)
    return log.SerializeToString(deterministic=True)


def _example(spec: tf.TensorSpec, random: Any, each: Served) -> np.ndarray:
    shape = [1, *(_DRAWS if size is None else size for size in spec.shape[1:])]
    if spec.dtype == tf.string:
        pixels = random.integers(0, 256, each.image_shape, dtype=np.uint8)
        return np.array([tf.io.encode_png(pixels).numpy()])
    if spec.dtype == tf.uint8:
        return random.integers(0, 256, shape, dtype=np.uint8)
    if spec.dtype.is_integer:
        return np.zeros(shape, spec.dtype.as_numpy_dtype)
    if spec.name == "noise":
        return random.standard_normal(shape, np.float32)
    return random.random(shape, np.float32)


@functools.cache
def _prediction_log() -> Any:
    """Returns a PredictionLog class with the fields that a request needs.

    Field numbers and types are from tensorflow_serving/apis (prediction_log.proto, predict.proto
    and model.proto); a TensorProto is declared as bytes, which has the same wire format. A separate
    descriptor pool allows tensorflow_serving to be imported too.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name="export/warmup.proto", package="tensorflow.serving", syntax="proto3"
    )

    def message(name: str, *fields: tuple[str, int, str]) -> Any:
        added = file.message_type.add(name=name)
        for field, number, kind in fields:
            _add(added, field, number, kind)
        return added

    message("ModelSpec", ("name", 1, "string"), ("signature_name", 3, "string"))
    asked = message("PredictRequest", ("model_spec", 1, "ModelSpec"))
    entry = asked.nested_type.add(name="InputsEntry")
    entry.options.map_entry = True
    _add(entry, "key", 1, "string")
    _add(entry, "value", 2, "bytes")
    _add(asked, "inputs", 2, "PredictRequest.InputsEntry", repeated=True)
    message("PredictLog", ("request", 1, "PredictRequest"))
    message("PredictionLog", ("predict_log", 6, "PredictLog"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName("tensorflow.serving.PredictionLog")
    return message_factory.GetMessageClass(found)


def _add(message: Any, name: str, number: int, kind: str, repeated: bool = False) -> None:
    scalars = {"string": _FIELD.TYPE_STRING, "bytes": _FIELD.TYPE_BYTES}
    message.field.add(
        name=name,
        number=number,
        label=_FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL,
        type=scalars.get(kind, _FIELD.TYPE_MESSAGE),
        type_name=None if kind in scalars else f".tensorflow.serving.{kind}",
    )
