"""A lock that allows one run at a time in a folder."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import filelock

from zoo.errors import InputError

# Errors of file systems that do not support locks.
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Lock:
    """A lock on a file, which contains the id of the process that holds it.

    The kernel releases it when that process ends in any way, so it is never stale. The file is not
    removed, because two processes could then hold a lock each.
    """

    def __init__(self, path: Path):
        self.path = path
        self.held = False
        self._lock = filelock.FileLock(path, thread_local=False, fallback_to_soft=False)

    def acquire(self) -> None:
        """Takes the lock, unless this object already holds it.

        Raises:
          InputError: another process holds it, or the file cannot be opened.
          OSError: there is no space left.
        """
        if self.held:
            return
        try:
            os.stat(self.path.parent)  # fails if it is missing; filelock would create it
            self._lock.acquire(blocking=False)
        except filelock.Timeout:
            pid = self.path.read_text(errors="replace").strip() or "unknown"
            raise InputError(
                f"Process {pid} is training in --workdir={self.path.parent}: wait for it, "
                "end it, or use another --workdir."
            ) from None
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise InputError(
                    f"{self.path} cannot be written ({error.strerror}): use another --workdir."
                ) from None
            print(f"{self.path} cannot be locked ({error.strerror}).", file=sys.stderr)
        self.path.write_text(f"{os.getpid()}\n")
        self.held = True

    def close(self) -> None:
        """Releases the lock, if it is held."""
        self._lock.release(force=True)
        self.held = False
