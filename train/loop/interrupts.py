"""SIGTERM and Ctrl-C: in training they wait for the end of a step; elsewhere they act at once."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from train.command import Interrupted

_waiting = False
_received: int | None = None


def install() -> None:
    """Installs handlers of SIGTERM and SIGINT, unless the process was started to ignore them."""
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)


def received() -> int | None:
    """Returns the signal that waits for the end of a step, or None."""
    return _received


@contextlib.contextmanager
def at_steps() -> Iterator[None]:
    """Delays the first signal; the training loop checks `received` between steps.

    A second signal acts at once.

    Raises:
      Interrupted: a signal was received and the training loop did not act on it.
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
    """Ignores further signals, because the first one is ending the process."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def _handle(number: int, frame: FrameType | None) -> None:
    global _received
    if not _waiting or _received is not None:
        raise Interrupted(number)
    _received = number
