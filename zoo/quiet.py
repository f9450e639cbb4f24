"""Suppresses the start-up messages of TensorFlow's C++ code."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from zoo.errors import InputError


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppresses stderr, and prints the suppressed text if the block fails.

    An InputError does not count as a failure: its sentence is enough.
    """
    # TensorFlow prints many lines when one of several workers ends.
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
