"""One run at a time in a folder."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from pathlib import Path
from typing import BinaryIO

from zoo.errors import InputError


class Lock:
    """A lock on a file, which names the process that holds it.

    The kernel releases it when that process ends, however it ends: it is never stale. The file
    stays, since removing it could let two processes hold one lock each.
    """

    def __init__(self, path: Path):
        self.path = path
        self._file: BinaryIO | None = None

    @property
    def held(self) -> bool:
        return self._file is not None

    def acquire(self) -> None:
        """Takes the lock, if it is not held already.

        Raises:
          InputError: another process holds it, or the file cannot be opened.
          OSError: there is no space left.
        """
        if self._file is not None:
            return
        try:
            file = self.path.open("a+b")
        except OSError as error:
            raise InputError(
                f"{self.path} cannot be written ({error.strerror}): use another --workdir."
            ) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                file.seek(0)
                pid = file.read().decode(errors="replace").strip() or "unknown"
                file.close()
                raise InputError(
                    f"Process {pid} is training in --workdir={self.path.parent}: wait for it, "
                    "end it, or use another --workdir."
                ) from None
            print(f"{self.path} cannot be locked ({error.strerror}).", file=sys.stderr)
        file.truncate(0)
        file.write(f"{os.getpid()}\n".encode())
        file.flush()
        self._file = file

    def close(self) -> None:
        """Releases the lock, if it is held."""
        if self._file is not None:
            self._file.close()
            self._file = None
