"""Serves exported models over TensorFlow Serving's REST interface, on a laptop without Docker.

    python -m export.serve --models=exports/alice
    curl localhost:8501/v1/models/model

http://localhost:8501/ is a page to try the model in a browser. After Ctrl-C or SIGTERM the server
answers the requests it has accepted, and then ends.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
from pathlib import Path

from absl import flags

from train import command
from zoo.errors import InputError

NEEDED = ("starlette", "uvicorn", "orjson")
_CLOSING = 30  # seconds after a signal to answer accepted requests


def bound(host: str, port: int) -> socket.socket:
    """Returns a socket bound to an address, not yet listening.

    Raises:
      InputError: the address is not available.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(
            f"--host={host} --port={port} is not available ({reason}): name another."
        ) from None
    return listener


def main() -> int:
    given = flags.FLAGS
    if not given.models:
        raise InputError("--models is missing: name the folder that export.run wrote.")
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise InputError(f"The server needs {', '.join(missing)}: pip install -e '.[serve]'")

    from export.server import models

    found = models.found(Path(given.models), given.all_versions)
    listener = bound(given.host, given.port)
    command.import_tensorflow()

    import uvicorn

    from export.server.api import Limits, application

    loaded = {
        name: {version: models.load(name, version, path) for version, path in versions.items()}
        for name, versions in found.items()
    }
    limits = Limits(given.max_body, given.max_batch, given.workers, given.max_waiting)
    host, number = listener.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{number}"

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            print(address, *_served(found), flush=True)

    server = Server(
        uvicorn.Config(
            application(loaded, limits),
            log_level="warning",
            timeout_graceful_shutdown=_CLOSING,
            server_header=False,
        )
    )
    # uvicorn closes on a signal and raises it again: ignore it, so that the exit code stays 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listener])
    return command.DONE if server.started else command.FAILED


def _served(found: dict[str, dict[int, Path]]) -> list[str]:
    return [f"{name}/{version}" for name, versions in found.items() for version in versions]


if __name__ == "__main__":
    flags.DEFINE_string(
        "models", None, "The folder that export.run wrote, with NAME/VERSION inside."
    )
    flags.DEFINE_string("host", "127.0.0.1", "The address to listen on; 0.0.0.0 for all addresses.")
    flags.DEFINE_integer("port", 8501, "The port to listen on; 0 for a free one.", 0, 65535)
    flags.DEFINE_bool("all_versions", False, "Serve every version, not only the newest.")
    flags.DEFINE_integer("workers", os.cpu_count() or 1, "Requests computed at once.", 1)
    flags.DEFINE_integer("max_waiting", 64, "Requests that may wait; others are answered 503.", 0)
    flags.DEFINE_integer("max_batch", 1024, "The most rows of a request.", 1)
    flags.DEFINE_integer("max_body", 32 << 20, "The most bytes of a request's body.", 1)
    command.run(main, __doc__)
