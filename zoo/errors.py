"""Errors that a user can fix: one sentence that names the value and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST = 1000  # characters of a sentence; a longer one loses its middle


class InputError(ValueError):
    """A command, declaration or input file is wrong; the message is one sentence with the fix.

    The names and values that it quotes may be untrusted: the message is always one line, with
    control characters escaped. Commands print it on stderr and exit with code 2, before they write
    anything.
    """

    def __init__(self, message: str):
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """Returns a text as one line of about a thousand printable characters at most."""
    if not text.isprintable():
        text = " ".join(
            "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line).strip()
            for line in text.splitlines()
        ).strip()
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
    return text


def unknown(kind: str, name: str, options: Iterable[str]) -> InputError:
    """Returns the error for an unknown `name`, which suggests the nearest of `options`."""
    options = sorted(options)
    near = difflib.get_close_matches(name, options, n=3, cutoff=0.5)
    if near:
        hint = "did you mean " + " or ".join(repr(option) for option in near) + "?"
    else:
        hint = "choose one of " + ", ".join(options) + "."
    return InputError(f"Unknown {kind} {name!r}: {hint}")
