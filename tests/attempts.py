"""Reads inputs one after another, each in a folder of its own, and counts what becomes of them."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import os
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings

from zoo.errors import InputError


@dataclasses.dataclass
class Tried:
    """What became of the inputs of one kind."""

    tried: int = 0
    refused: int = 0
    accepted: int = 0
    tracebacks: list[str] = dataclasses.field(default_factory=list)
    outside: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of input: what is tried, and what reads it, in a folder of its own."""

    inputs: Any
    read: Callable[[Any, Path], object]


def attempt(kind: Kind, value: Any, folder: Path, found: Tried) -> None:
    """Reads one input in `folder`/run, and counts what it did."""
    run = folder / "run"
    run.mkdir()
    before = snapshot(folder)
    found.tried += 1
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            kind.read(value, run)
        found.accepted += 1
    except InputError as error:
        sentence = str(error)
        if sentence.strip() and sentence.isprintable() and len(sentence) < 2000:
            found.refused += 1
        else:
            found.tracebacks.append(f"a sentence that is none: {sentence!r}")
    except Exception:
        found.tracebacks.append(f"{value!r:.2000}\n{traceback.format_exc()}")
    after = snapshot(folder)
    found.outside += sorted(
        name for name in {*before, *after} if before.get(name) != after.get(name)
    )
    for path in sorted(run.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    run.rmdir()


def snapshot(folder: Path) -> dict[str, str]:
    """Returns the files around the run's folder, with what they hold."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] != "run"
    }


@contextlib.contextmanager
def surroundings() -> Iterator[Path]:
    """A folder with a bait, in which relative paths and temporary files end."""
    before, temporary = Path.cwd(), tempfile.tempdir
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in ("outside", "here", "temporary"):
            (folder / each).mkdir()
        (folder / "outside" / "bait").write_text("bait\n")
        os.chdir(folder / "here")
        tempfile.tempdir = str(folder / "temporary")
        try:
            yield folder
        finally:
            os.chdir(before)
            tempfile.tempdir = temporary


def tried(kind: Kind, examples: int) -> Tried:
    """Tries as many inputs of a kind, the same ones each time."""
    found = Tried()

    with surroundings() as folder:

        @settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(kind.inputs)
        def each(value: Any) -> None:
            attempt(kind, value, folder, found)

        each()
    return found
