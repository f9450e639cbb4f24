"""Errors of a request, each with one sentence and an HTTP status."""

from __future__ import annotations


class RequestError(Exception):
    """A request that cannot be answered; the message becomes {"error": ...}.

    Attributes:
      status: the HTTP status.
    """

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


class InvalidError(RequestError):
    """The request's content is invalid."""

    def __init__(self, message: str):
        super().__init__(message, 400)


class NotFoundError(RequestError):
    """There is no such model, version or signature."""

    def __init__(self, message: str):
        super().__init__(message, 404)


class TooLargeError(RequestError):
    """The body has more bytes than the limit."""

    def __init__(self, limit: int):
        super().__init__(f"The body is larger than {limit} bytes: send smaller batches.", 413)


class TooSlowError(RequestError):
    """The body did not arrive in time."""

    def __init__(self, seconds: float):
        super().__init__(f"The body did not arrive within {seconds:g} seconds: send it again.", 408)


class FailedError(RequestError):
    """The model failed on a valid request."""

    def __init__(self, error: Exception):
        super().__init__(f"The model failed: {type(error).__name__}.", 500)


class BusyError(RequestError):
    """The queue of requests is full."""

    def __init__(self) -> None:
        super().__init__("The server is busy: try again.", 503)
