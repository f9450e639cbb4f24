"""The interface of a server to the client, for REST and gRPC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from export.tensors import Signature


class RefusedError(Exception):
    """The server rejected the request; the message is the server's."""


class Server(Protocol):
    """A model on a server."""

    def signatures(self) -> Mapping[str, Signature]:
        """Returns the model's signatures by name.

        Raises:
          RefusedError: there is no such model.
          RunError: the server does not answer.
        """

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns a signature's outputs.

        Raises:
          RefusedError: the inputs are invalid.
          RunError: the server does not answer, or fails.
        """
