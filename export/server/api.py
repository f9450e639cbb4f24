"""TensorFlow Serving's REST paths as an ASGI application.

    GET  /v1/models/NAME[/versions/V]             the versions that are served
    GET  /v1/models/NAME[/versions/V]/metadata    the signatures
    POST /v1/models/NAME[/versions/V]:predict     the outputs of one signature
    GET  /v1/models                               all models, for the page at /
    GET  /health                                  whether the server answers

Without a version the newest is used. Every error is {"error": "one sentence"}.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from export.server import rows
from export.server.errors import (
    BusyError,
    FailedError,
    NotFoundError,
    RequestError,
    TooLargeError,
    TooSlowError,
)
from export.server.models import Servable

_LINGER = 5.0  # seconds
_log = logging.getLogger("uvicorn.error")
_PAGE_POLICY = "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; " + (
    "img-src 'self' blob: data:"
)


@dataclass(frozen=True)
class Limits:
    """The server's limits.

    Attributes:
      body: bytes of a request's body.
      batch: rows of a request.
      working: requests that TensorFlow computes at the same time.
      waiting: requests that are read or waiting; any further request is answered 503.
      seconds: time for a body to arrive.
    """

    body: int = 32 << 20
    batch: int = 1024
    working: int = 2
    waiting: int = 64
    seconds: float = 30.0


def application(models: Mapping[str, Mapping[int, Servable]], limits: Limits) -> Starlette:
    """Returns the ASGI application that serves `models`, name -> version -> model."""
    served = _Served(models, limits)
    register_url_convertor("model", _Name())
    name, version = "/v1/models/{name:model}", "/v1/models/{name:model}/versions/{version:int}"
    return Starlette(
        routes=[
            Route("/", _page),
            Route("/health", _health),
            Route("/v1/models", served.listing),
            *(
                route
                for path in (version, name)
                for route in (
                    Route(path + ":predict", served.predict, methods=["POST"]),
                    Route(path + "/metadata", served.metadata),
                    Route(path, served.status),
                )
            ),
        ],
        exception_handlers={
            RequestError: _refused,
            HTTPException: _no_such_path,
            ClientDisconnect: _gone,
        },
    )


class _Name(StringConvertor):
    """A model's name in a path, which ends at the colon before the method."""

    regex = "[^/:]+"


class _Last(Response):
    """A response sent before its request has been read; the connection then closes.

    The rest of the body is read and dropped for a few seconds: closing a connection with unread
    bytes resets it, and the client may then lose the response.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [*self.raw_headers, (b"connection", b"close")]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with anyio.move_on_after(_LINGER):
            while (await receive()).get("more_body"):
                pass
        await send({"type": "http.response.body", "body": b""})


class _Served:
    def __init__(self, models: Mapping[str, Mapping[int, Servable]], limits: Limits):
        self._models = models
        self._limits = limits
        self._present = 0

    @functools.cached_property
    def _working(self) -> anyio.CapacityLimiter:
        return anyio.CapacityLimiter(self._limits.working)

    async def listing(self, request: Request) -> Response:
        return _json(
            {
                "models": [
                    {
                        "name": name,
                        "versions": [str(version) for version in sorted(versions, reverse=True)],
                        "signatures": sorted(versions[max(versions)].signatures),
                    }
                    for name, versions in self._models.items()
                ]
            }
        )

    async def status(self, request: Request) -> Response:
        servable = self._servable(request)
        newest_first = sorted(self._models[servable.name], reverse=True)
        asked = [servable.version] if "version" in request.path_params else newest_first
        return _json(
            {
                "model_version_status": [
                    {
                        "version": str(version),
                        "state": "AVAILABLE",
                        "status": {"error_code": "OK", "error_message": ""},
                    }
                    for version in asked
                ]
            }
        )

    async def metadata(self, request: Request) -> Response:
        servable = self._servable(request)
        return _json(
            {
                "model_spec": {
                    "name": servable.name,
                    "signature_name": "",
                    "version": str(servable.version),
                },
                "metadata": {"signature_def": {"signature_def": servable.definitions}},
            }
        )

    async def predict(self, request: Request) -> Response:
        servable = self._servable(request)
        if self._present >= self._limits.working + self._limits.waiting:
            raise BusyError
        self._present += 1
        try:
            content = await self._body(request)
            answer = await anyio.to_thread.run_sync(
                self._answer, servable, content, limiter=self._working
            )
        finally:
            self._present -= 1
        return Response(answer, media_type="application/json")

    def _answer(self, servable: Servable, content: bytes) -> bytes:
        body = rows.parsed(content)
        inputs = servable.signature(body.signature).inputs
        arrays = rows.tensors(body, inputs, self._limits.batch)
        try:
            outputs = servable.predict(body.signature, arrays)
        except RequestError:
            raise
        except Exception as error:
            _log.exception("%s failed in %s", body.signature, servable.name)
            raise FailedError(error) from error
        return rows.answer(outputs, body.in_rows)

    def _servable(self, request: Request) -> Servable:
        name, version = request.path_params["name"], request.path_params.get("version")
        if name not in self._models:
            raise NotFoundError(f"There is no model {name!r}: use {', '.join(self._models)}.")
        versions = self._models[name]
        if version is not None and version not in versions:
            there = ", ".join(map(str, versions))
            raise NotFoundError(f"There is no version {version} of {name}: use {there}.")
        return versions[max(versions) if version is None else version]

    async def _body(self, request: Request) -> bytes:
        """Reads a body, and stops when it becomes too large."""
        announced = request.headers.get("content-length", "0")
        if int(announced) > self._limits.body:
            raise TooLargeError(self._limits.body)
        content = bytearray()
        try:
            with anyio.fail_after(self._limits.seconds):
                async for part in request.stream():
                    content += part
                    if len(content) > self._limits.body:
                        raise TooLargeError(self._limits.body)
        except TimeoutError:
            raise TooSlowError(self._limits.seconds) from None
        return bytes(content)


async def _page(request: Request) -> Response:
    page = importlib.resources.files("export.server").joinpath("page.html")
    return HTMLResponse(
        page.read_text(encoding="utf-8"),
        headers={"content-security-policy": _PAGE_POLICY, "x-content-type-options": "nosniff"},
    )


async def _health(request: Request) -> Response:
    return _json({"status": "ok"})


def _json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(content, indent=1), status, headers, "application/json")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    response = _json({"error": str(error)}, error.status)
    if isinstance(error, BusyError):
        response.headers["retry-after"] = "1"
    if isinstance(error, TooLargeError | TooSlowError | BusyError):
        return _Last(response.body, response.status_code, response.headers)
    return response


async def _no_such_path(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        message = f"{request.url.path} does not support {request.method}."
    else:
        message = f"There is nothing at {request.url.path}."
    return _json({"error": message}, error.status_code, error.headers)


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # the client has gone
