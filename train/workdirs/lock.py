"""One run at a time in a folder."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import filelock

from zoo.errors import InputError

# What file systems without locks say.
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Lock:
    """A lock on a file, which names the process that holds it.

    The kernel releases it when that process ends, however it ends: it is never stale. The file
    stays, since removing it could let two processes hold one lock each.
    """

    def __init__(self, path: Path):
        self.path = path
        self.held = False
        self._lock = filelock.FileLock(path, thread_local=False, fallback_to_soft=False)

    def acquire(self) -> None:
        """Takes the lock, if it is not held already.

        Raises:
          InputError: another process holds it, or the file cannot be opened.
          OSError: there is no space left.
        """
        if self.held:
            return
        try:
            os.stat(self.path.parent)  # which filelock would make
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
