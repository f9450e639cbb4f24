"""A model behind TensorFlow Serving's gRPC port."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from export.remote.server import RefusedError
from export.tensors import Signature
from train.command import RunError

_AGAIN = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")
_REFUSED = ("INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "OUT_OF_RANGE")


class Grpc:
    """A model served by the PredictionService at HOST:PORT.

    If the server is unavailable, gRPC repeats a call after about 0.2, 0.4, 0.8, ... seconds.
    """

    def __init__(self, server: str, model: str, version: int | None, retries: int, timeout: float):
        import grpc
        from tensorflow_serving.apis import prediction_service_pb2_grpc

        policy = {
            "maxAttempts": min(retries + 1, 5),  # gRPC allows at most five
            "initialBackoff": "0.2s",
            "maxBackoff": "10s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": _AGAIN,
        }
        service = {"name": [{"service": "tensorflow.serving.PredictionService"}]}
        methods = [{**service, "retryPolicy": policy}] if retries else []
        self._server, self._model, self._version = server, model, version
        self._timeout = timeout
        self._errors = grpc.RpcError
        channel = grpc.insecure_channel(
            server,
            options=[
                ("grpc.service_config", json.dumps({"methodConfig": methods})),
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
            ],
        )
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def signatures(self) -> Mapping[str, Signature]:
        from google.protobuf.json_format import MessageToDict
        from tensorflow_serving.apis import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._name(request.model_spec)
        reply = self._call(self._stub.GetModelMetadata, request)
        stored = get_model_metadata_pb2.SignatureDefMap()
        reply.metadata["signature_def"].Unpack(stored)
        return {
            name: Signature.of(
                MessageToDict(
                    definition,
                    preserving_proto_field_name=True,
                    always_print_fields_with_no_presence=True,
                )
            )
            for name, definition in stored.signature_def.items()
            if not name.startswith("__")
        }

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        self._name(request.model_spec)
        request.model_spec.signature_name = signature
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
        reply = self._call(self._stub.Predict, request)
        return {name: tf.make_ndarray(tensor) for name, tensor in sorted(reply.outputs.items())}

    def _name(self, spec: Any) -> None:
        spec.name = self._model
        if self._version is not None:
            spec.version.value = self._version

    def _call(self, method: Callable[..., Any], request: Any) -> Any:
        try:
            return method(request, timeout=self._timeout)
        except self._errors as error:
            if error.code().name in _REFUSED:
                raise RefusedError(error.details()) from None
            raise RunError(
                f"{self._server} does not answer ({error.code().name}: {error.details()})."
            ) from None
