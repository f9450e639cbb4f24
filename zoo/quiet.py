"""TensorFlow without the start-up lines of its C++ side."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from zoo.errors import InputError


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps back what is written to stderr, and writes it after all if the block fails.

    An InputError, which has its own sentence, is no such failure.
    """
    # What TensorFlow says when one of several workers ends is many lines.
    level = "3" if os.environ.get("TF_CONFIG") else "2"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", level)
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as lines:
        os.dup2(lines.fileno(), 2)
        try:
            yield
        except InputError:
            raise
        except BaseException:
            lines.seek(0)
            os.write(shown, lines.read())
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)
