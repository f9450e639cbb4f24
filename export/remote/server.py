"""What the client asks of a server, however it is reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from export.tensors import Signature


class RefusedError(Exception):
    """The server found the request wrong; the message is its own."""


class Server(Protocol):
    """A model behind a server."""

    def signatures(self) -> Mapping[str, Signature]:
        """Returns the model's signatures by name.

        Raises:
          RefusedError: there is no such model.
          RunError: the server does not answer.
        """

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns a signature's outputs.

        Raises:
          RefusedError: the inputs are wrong.
          RunError: the server does not answer, or fails.
        """
