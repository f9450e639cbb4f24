"""Reads JSON files safely, because configurations, records and certificates may be a stranger's."""

from __future__ import annotations

import functools
import json
import math
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pydantic

from zoo.errors import InputError

MOST = 2**26  # bytes of a file that is read whole; a certificate has about 2**13
DEEPEST = 100  # levels of nesting; a network's config has about a dozen


def content(path: Path, most: int = MOST) -> bytes:
    """Returns the bytes of a regular file.

    Raises:
      InputError: it is a link or not a file, cannot be read, or has more than `most` bytes.
    """
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{path} is not a file: delete it.")
        if found.st_size > most:
            raise InputError(f"{path} has {found.st_size} bytes, more than {most}: delete it.")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from None


def read(path: Path, fix: str, form: Any = Any) -> Any:
    """Returns the JSON value in a file, after checking its form as `require` does.

    Raises:
      InputError: it cannot be read or has another form; the sentence ends with `fix`.
    """
    text = content(path)
    try:
        value = parsed(text)
        require(value, form)
    except ValueError as error:
        raise InputError(f"{path} cannot be read ({error}): {fix}.") from None
    return value


def parsed(text: bytes | str, finite: bool = True) -> Any:
    """Returns the JSON value of a text.

    Args:
      finite: whether to refuse NaN and Infinity, which Python writes although JSON has none.

    Raises:
      ValueError: it is not JSON in UTF-8, is nested too deeply, has a key twice, or has a number
        that is too large or refused.
    """
    try:
        value = json.loads(
            text if isinstance(text, str) else text.decode("utf-8"),
            object_pairs_hook=_without_repetition,
            parse_constant=_not_a_number if finite else None,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if finite:
        _check(value)
    return value


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {repeated!r} occurs twice")
    return found


def _not_a_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


def _check(value: Any) -> None:
    """Raises ValueError if a value is nested too deeply or a number overflowed."""
    waiting = [(value, 0)]
    while waiting:
        found, depth = waiting.pop()
        if depth > DEEPEST:
            raise ValueError("it is nested too deeply")
        if isinstance(found, dict | list):
            inside = found.values() if isinstance(found, dict) else found
            waiting += [(item, depth + 1) for item in inside]
        elif isinstance(found, float) and not math.isfinite(found):
            raise ValueError("a number in it is too large")


def dicts(value: Any) -> Iterator[dict[str, Any]]:
    """Yields every dict in a JSON value."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield found
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found


def require(value: Any, form: Any, name: str = "it") -> None:
    """Raises ValueError, naming the part at fault, unless a JSON value has a form.

    A form is a type: `dict[str, float]`, `list[int] | None`, or a `TypedDict`, which allows extra
    keys. Nothing is converted, but an integer is accepted as a float.
    """
    try:
        _adapter(form).validate_python(value, strict=True)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise ValueError(_sentence(value, first["loc"], first["type"], name)) from None


def fits(value: Any, form: Any) -> bool:
    """Whether `require` accepts a JSON value."""
    try:
        require(value, form)
        return True
    except ValueError:
        return False


@functools.cache
def _adapter(form: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(form)


def _sentence(value: Any, place: Sequence[int | str], kind: str, name: str) -> str:
    """Returns what is wrong at a place in the value; the place also names members of unions."""
    for step in place[:-1] if kind == "missing" else place:
        inside: Any = value
        if step in inside if isinstance(inside, dict) else isinstance(step, int):
            value, name = inside[step], f"{name}[{step!r}]"
    return f"{name} has no {place[-1]!r}" if kind == "missing" else f"{name} is {_short(value)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 100 else f"{text[:90]} ..."
