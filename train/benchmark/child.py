"""The child process of a case, which runs bursts of steps on request."""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection

from train.benchmark.cases import Case
from zoo.errors import InputError


def serve(case: Case, connection: Connection) -> None:
    """Prepares the case, reports its settings and runs the bursts requested.

    Sends ("ready", settings), then (seconds, megabytes) after each burst; or ("refused", sentence)
    if the case cannot run, or ("failed", traceback).
    """
    with answering(connection):
        uses, train = importlib.import_module(f"train.benchmark.{case.by}").prepare(case)
        connection.send(("ready", uses))
        train(bursts(connection, case.every))


@contextlib.contextmanager
def answering(connection: Connection) -> Iterator[None]:
    """Silences this process, and sends ("refused" or "failed", reason) if something is raised."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with tempfile.TemporaryFile() as said:
        for descriptor in (1, 2):
            os.dup2(said.fileno(), descriptor)
        with contextlib.suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
            try:
                yield
            except InputError as error:
                connection.send(("refused", str(error)))
            except Exception:
                connection.send(("failed", traceback.format_exc()))


def bursts(connection: Connection, lead: int) -> Iterator[int]:
    """Yields numbers of steps to run: before each burst, `lead` steps that are not timed.

    These fill caches, and empty buffers that filled during the other cases' turns.
    """
    while steps := connection.recv():
        yield lead
        since = time.perf_counter()
        yield steps
        connection.send((time.perf_counter() - since, peak_megabytes()))


def peak_megabytes() -> float:
    """Returns the peak memory of this process so far, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
