"""Numbered version folders OUT/PART/VERSION, published whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from zoo.errors import InputError


def check_writable(out: Path, parts: Iterable[str]) -> None:
    """Raises InputError if OUT/PART cannot be made or written; writes nothing itself."""
    for folder in (out, *(out / part for part in parts)):
        nearest = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
        if not nearest.is_dir():
            raise InputError(
                f"{folder} cannot be written: {nearest} is not a folder; name another."
            )
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise InputError(
                f"{folder} cannot be written: {nearest} is not writable; name another."
            )


def next_version(out: Path, parts: Iterable[str]) -> int:
    """Returns the smallest positive number above every version of every part in `out`."""
    folders = [out / part for part in parts]
    names = [entry.name for folder in folders if folder.is_dir() for entry in folder.iterdir()]
    return 1 + max((int(name) for name in names if name.isdecimal()), default=0)


def publish(out: Path, writers: Mapping[str, Callable[[Path], None]]) -> dict[str, Path]:
    """Writes every part to OUT/PART/VERSION, where VERSION is the next number that no part has.

    The parts are written to a hidden folder in `out` and renamed when all are complete. So a reader
    never sees half a version, and a failure leaves `out` unchanged. Versions are never overwritten:
    if two exports run at once, the later one takes the next number.

    Args:
      out: the folder, created if it is missing.
      writers: part -> a function that creates and fills the folder it is given.

    Returns:
      part -> the published folder.

    Raises:
      InputError: `out` cannot be written.
    """
    check_writable(out, writers)
    made: list[Path] = []
    try:
        for part in writers:
            made += _make(out / part)
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=out) as staging:
            for part, write in writers.items():
                write(Path(staging, part))
            return _rename(Path(staging), out, list(writers))
    except BaseException:
        for folder in reversed(made):
            with contextlib.suppress(OSError):  # another export may already use it
                folder.rmdir()
        raise


def _make(folder: Path) -> list[Path]:
    """Creates `folder` and its parents; returns those that were missing, the outermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing[::-1]


def _rename(staging: Path, out: Path, parts: list[str]) -> dict[str, Path]:
    while True:
        version = str(next_version(out, parts))
        published: dict[str, Path] = {}
        try:
            for part in parts:
                os.rename(staging / part, out / part / version)
                published[part] = out / part / version
            return published
        except BaseException as error:
            for part, folder in published.items():
                os.rename(folder, staging / part)
            taken = not published and (out / parts[0] / version).exists()
            if not (isinstance(error, OSError) and taken):
                raise
