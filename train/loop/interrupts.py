"""SIGTERM and Ctrl-C: while steps are taken they wait for the next; elsewhere they act at once."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from train.command import Interrupted

_waiting = False
_received: int | None = None


def install() -> None:
    """Handles SIGTERM and SIGINT, unless the process was started to ignore them."""
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)


def received() -> int | None:
    """Returns the signal that waits for the end of a step, if one does."""
    return _received


@contextlib.contextmanager
def at_steps() -> Iterator[None]:
    """Lets the first signal wait: whoever takes the steps asks `received` between them.

    A second one does not wait.

    Raises:
      Interrupted: a signal came and nobody acted on it.
    """
    global _waiting, _received
    _waiting = True
    try:
        yield
        if _received is not None:
            raise Interrupted(_received)
    finally:
        _waiting, _received = False, None


def heeded() -> None:
    """Lets no more signals in: this one ends the process."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def _handle(number: int, frame: FrameType | None) -> None:
    global _received
    if not _waiting or _received is not None:
        raise Interrupted(number)
    _received = number
