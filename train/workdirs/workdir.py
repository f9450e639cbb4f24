"""A run's folder: config.json, metrics.jsonl, checkpoints/, tensorboard/, plots/."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.workdirs import archive, checkpoints, documents, records
from train.workdirs.config import RunConfig
from train.workdirs.lock import Lock
from zoo.errors import InputError

if TYPE_CHECKING:
    from zoo.model.lagrangian_model import LagrangianModel

# What keeps a file from being written in the middle of a run.
_FULL = (errno.ENOSPC, errno.EDQUOT)
_UNWRITABLE = (*_FULL, errno.EFBIG, errno.EROFS, errno.EIO)


class Workdir:
    """The files of one run. Nothing is written before `create`; every write is atomic.

    The folder may come from a stranger. Where it holds links, what is written in it would be
    written, and what is read be read, elsewhere: it is refused.

    Attributes:
      lock: held by the process that trains here.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.plots = self.path / "plots"
        self.tensorboard = self.path / "tensorboard"
        self.lock = Lock(self.path / "lock")
        self._config = self.path / "config.json"
        self._metrics = self.path / "metrics.jsonl"
        self._folders = (self.checkpoints, self.plots, self.tensorboard)
        self._saved = checkpoints.Checkpoints(self.checkpoints)

    def config(self) -> RunConfig | None:
        """Returns the configuration of the run that lives here, or None if none does.

        Raises:
          InputError: config.json cannot be read, or the folder holds links.
        """
        try:
            self._config.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise InputError(
                f"--workdir={self.path} cannot be read ({error.strerror}): name another folder."
            ) from None
        self._refuse_links()
        return RunConfig.from_json(documents.content(self._config), str(self._config))

    def _refuse_links(self) -> None:
        """Raises InputError if anything in the folder is a link, or neither file nor folder."""
        for folder, folders, files in os.walk(self.path):
            for name in (*folders, *files):
                path = Path(folder, name)
                with contextlib.suppress(FileNotFoundError):  # a run may write there meanwhile
                    mode = path.lstat().st_mode
                    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                        kind = "a link" if stat.S_ISLNK(mode) else "no file"
                        raise InputError(
                            f"{path} is {kind}, which no run makes: put a copy of what it stands "
                            "for in its place, or use another --workdir."
                        )

    def check(self, config: RunConfig) -> None:
        """Raises InputError unless `config` may start here or continue what is here."""
        there = self.config()
        if there is not None:
            differences = config.differences(there)
            if differences:
                raise InputError(
                    f"--workdir={self.path} was made by another configuration "
                    f"({'; '.join(differences)}): use another --workdir, or the same flags."
                )
        elif self.path.exists() and not self.path.is_dir():
            raise InputError(f"--workdir={self.path} is a file: name a folder.")
        elif self.path.is_dir() and not all(self._begun(p) for p in self.path.iterdir()):
            raise InputError(
                f"--workdir={self.path} is not empty and holds no run: name a new folder."
            )
        above = next(p for p in (self.path, *self.path.absolute().parents) if p.exists())
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            reason = "may not be written" if above.is_dir() else "is a file"
            raise InputError(
                f"--workdir={self.path} cannot be written ({above} {reason}): name another folder."
            )

    def _begun(self, path: Path) -> bool:
        """Whether `path` is what a run leaves that ended before its config.json was written."""
        if path.is_symlink():
            return False
        if path in self._folders:
            return path.is_dir() and not any(path.iterdir())
        return path in (self.lock.path, _partial(self._config))

    def create(self, config: RunConfig) -> None:
        """Takes the lock, makes the folders and writes config.json.

        Raises:
          InputError: the folder cannot be written, or another process trains here.
          OSError: there is no space left.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not self.lock.held:
                self.lock.acquire()
                self.check(config)
            for folder in self._folders:
                folder.mkdir(exist_ok=True)
            write_atomically(self._config, config.to_json().encode())
        except OSError as error:
            if error.errno in _FULL:
                raise
            raise InputError(
                f"--workdir={self.path} cannot be written ({error.strerror}): name another folder."
            ) from None

    def latest_checkpoint(self) -> Path | None:
        """Returns the newest checkpoint that is whole, or None; names damaged ones on stderr.

        Raises:
          InputError: all of them are damaged, or the folder holds links.
        """
        self._refuse_links()
        return self._saved.newest()

    def save(
        self, model: LagrangianModel, keep: int = 3, means: Sequence[float] | None = None
    ) -> Path:
        """Writes weights, optimizers, multipliers and step; see `Checkpoints.save`."""
        learned = [constraint.expression for constraint in model.lagrangian.learned]
        tolerances = dict(zip(learned, model.lagrangian.tolerances.tolist(), strict=True))
        best = checkpoints.best_step(self.records(), tolerances, model.adversarial)
        return self._saved.save(model, keep, best, means)

    def record(self, row: Mapping[str, Any]) -> None:
        """Appends one line to metrics.jsonl.

        Raises:
          OSError: it cannot be written; the lines there are stay.
        """
        line = (json.dumps(row) + "\n").encode()
        with self._metrics.open("ab", buffering=0) as file:
            end = file.tell()
            try:
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._metrics))
            except OSError:
                file.truncate(end)
                raise

    def records(self) -> list[dict[str, Any]]:
        """Returns the lines of metrics.jsonl; a last line cut short is left out.

        Raises:
          InputError: a line is no record.
        """
        return records.read(self._metrics) if os.path.lexists(self._metrics) else []

    def forget_after(self, step: int) -> None:
        """Drops the records and checkpoints that a continuation from `step` will write again."""
        kept = [row for row in self.records() if row["step"] <= step and row["split"] != "test"]
        write_atomically(self._metrics, "".join(json.dumps(row) + "\n" for row in kept).encode())
        self._saved.forget_after(step)


class Bystander(Workdir):
    """The workdir as workers other than the chief have it: nothing is read or written there."""

    def config(self) -> RunConfig | None:
        return None

    def create(self, config: RunConfig) -> None:
        pass

    def latest_checkpoint(self) -> Path | None:
        return None

    def save(
        self, model: LagrangianModel, keep: int = 3, means: Sequence[float] | None = None
    ) -> Path:
        """Saves to nowhere: the sums of metrics over workers are made when they are saved."""
        model.save_weights(archive.H5())
        return self.checkpoints

    def record(self, row: Mapping[str, Any]) -> None:
        pass

    def records(self) -> list[dict[str, Any]]:
        return []

    def forget_after(self, step: int) -> None:
        pass


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file, or leaves the one there is as it was."""
    partial = _partial(path)
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def unwritable(error: BaseException) -> str | None:
    """Returns why files cannot be written, "No space left on device" say, if `error` says so.

    h5py and TensorFlow say it in words of their own, around those of the system.
    """
    number = getattr(error, "errno", None)
    words = (os.strerror(code) for code in _UNWRITABLE)
    if number in _UNWRITABLE:
        return os.strerror(number)
    return next((word for word in words if word in str(error)), None)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")
