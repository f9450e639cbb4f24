"""A model on a REST server; requests are repeated while the server is unavailable or busy."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import urllib3

from export.remote.server import RefusedError
from export.tensors import Signature
from train.command import RunError

_AGAIN = (429, 500, 502, 503, 504)


class Rest:
    """A model at SERVER/v1/models/MODEL[/versions/VERSION].

    After a failed connection or a status of 429 or 5xx, a request is repeated after 0.2, 0.4,
    0.8, ... seconds, plus a random delay of up to as much again. Repeats are safe because
    predictions change nothing.
    """

    def __init__(self, server: str, model: str, version: int | None, retries: int, timeout: float):
        self._server = server
        part = "" if version is None else f"/versions/{version}"
        self._url = f"{server.rstrip('/')}/v1/models/{model}{part}"
        self._signatures: dict[str, Signature] = {}
        self._http = urllib3.PoolManager(
            timeout=timeout,
            retries=urllib3.Retry(
                total=retries,
                backoff_factor=0.2,
                backoff_jitter=0.2,
                backoff_max=10,
                status_forcelist=_AGAIN,
                allowed_methods=None,
                raise_on_status=False,
                redirect=False,
            ),
        )

    def signatures(self) -> Mapping[str, Signature]:
        content = self._ask("GET", "/metadata")
        try:
            definitions = content["metadata"]["signature_def"]["signature_def"]
        except (KeyError, TypeError):
            raise RunError(
                f"{self._url}/metadata is not TensorFlow Serving's: check --server."
            ) from None
        for name, definition in definitions.items():
            if not name.startswith("__"):
                self._signatures[name] = Signature.of(definition)
        return self._signatures

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        body = {
            "signature_name": signature,
            "inputs": {name: _jsonable(array) for name, array in inputs.items()},
        }
        found = self._ask("POST", ":predict", body).get("outputs")
        specs = self._signatures[signature].outputs
        if len(specs) == 1:
            found = dict.fromkeys(specs, found)
        return {name: np.asarray(found[name], spec.dtype) for name, spec in specs.items()}

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        try:
            reply = self._http.request(
                method, self._url + path, body=None if body is None else json.dumps(body).encode()
            )
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise RunError(f"{self._server} does not answer ({reason}).") from None
        try:
            content = json.loads(reply.data)
        except ValueError:
            content = {"error": f"it answered {reply.status} without JSON"}
        if reply.status == 200:
            return content
        said = content.get("error", reply.status) if isinstance(content, dict) else reply.status
        if reply.status in _AGAIN:
            raise RunError(f"{self._server} failed: {said}")
        raise RefusedError(str(said))


def _jsonable(array: np.ndarray) -> Any:
    if array.dtype != object:
        return array.tolist()
    return [{"b64": base64.b64encode(content).decode()} for content in array]
