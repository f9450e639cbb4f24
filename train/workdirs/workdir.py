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

# Errors that can stop a file from being written in the middle of a run.
_FULL = (errno.ENOSPC, errno.EDQUOT)
_UNWRITABLE = (*_FULL, errno.EFBIG, errno.EROFS, errno.EIO)


class Workdir:
    """The files of one run. Nothing is written before `create`, and every write is atomic.

    The folder may come from a stranger. If it contains links it is refused, because files elsewhere
    would be read and written.

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
        """Returns the configuration of the run in this folder; None without a run.

        Raises:
          InputError: config.json cannot be read, or the folder contains links.
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
                            f"{path} is {kind}, which no run creates: replace it with a copy of "
                            "the file, or use another --workdir."
                        )

    def check(self, config: RunConfig) -> None:
        """Raises InputError unless `config` may start here or resume the run here."""
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
                f"--workdir={self.path} is not empty and contains no run: name a new folder."
            )
        above = next(p for p in (self.path, *self.path.absolute().parents) if p.exists())
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            reason = "may not be written" if above.is_dir() else "is a file"
            raise InputError(
                f"--workdir={self.path} cannot be written ({above} {reason}): name another folder."
            )

    def _begun(self, path: Path) -> bool:
        """Whether `path` was left by a run that ended before it wrote config.json."""
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
        """Returns the newest undamaged checkpoint, or None; names damaged ones on stderr.

        Raises:
          InputError: all checkpoints are damaged, or the folder contains links.
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
          OSError: it cannot be written; existing lines stay.
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
        """Returns the records in metrics.jsonl, without an incomplete last line.

        Raises:
          InputError: a line is not a record.
        """
        return records.read(self._metrics) if os.path.lexists(self._metrics) else []

    def forget_after(self, step: int) -> None:
        """Removes records and checkpoints after `step`, which a resumed run rewrites."""
        kept = [row for row in self.records() if row["step"] <= step and row["split"] != "test"]
        write_atomically(self._metrics, "".join(json.dumps(row) + "\n" for row in kept).encode())
        self._saved.forget_after(step)


class Bystander(Workdir):
    """The workdir on workers other than the chief: it reads and writes nothing."""

    def config(self) -> RunConfig | None:
        return None

    def create(self, config: RunConfig) -> None:
        pass

    def latest_checkpoint(self) -> Path | None:
        return None

    def save(
        self, model: LagrangianModel, keep: int = 3, means: Sequence[float] | None = None
    ) -> Path:
        """Collects the variables and discards them: metrics are summed over workers on saving."""
        model.save_weights(archive.H5())
        return self.checkpoints

    def record(self, row: Mapping[str, Any]) -> None:
        pass

    def records(self) -> list[dict[str, Any]]:
        return []

    def forget_after(self, step: int) -> None:
        pass


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file; if that fails, an existing file is unchanged."""
    partial = _partial(path)
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def unwritable(error: BaseException) -> str | None:
    """Returns why files cannot be written, such as "No space left on device"; else None.

    h5py and TensorFlow wrap the system's message in other text.
    """
    number = getattr(error, "errno", None)
    words = (os.strerror(code) for code in _UNWRITABLE)
    if number in _UNWRITABLE:
        return os.strerror(number)
    return next((word for word in words if word in str(error)), None)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")
