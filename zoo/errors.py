"""Errors a user can mend: one sentence that names the value and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A command, declaration or input file is wrong; the message is one sentence with the fix.

    Command lines print it on stderr and exit with code 2, before anything is written.
    """


def unknown(kind: str, name: str, options: Iterable[str]) -> InputError:
    """Returns the error for an unknown `name`, offering the nearest of `options`."""
    options = sorted(options)
    near = difflib.get_close_matches(name, options, n=3, cutoff=0.5)
    if near:
        hint = "did you mean " + " or ".join(repr(option) for option in near) + "?"
    else:
        hint = "choose one of " + ", ".join(options) + "."
    return InputError(f"Unknown {kind} {name!r}: {hint}")
