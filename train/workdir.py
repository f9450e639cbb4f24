"""A run's folder: config.json, metrics.jsonl, checkpoints/, tensorboard/, plots/."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.config import RunConfig
from zoo.errors import InputError

if TYPE_CHECKING:
    from zoo.model import LagrangianModel

_CHECKPOINT = re.compile(r"step-(\d{8,})\.keras")


class Workdir:
    """The files of one run. Nothing is written before `create`; every write is atomic."""

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.plots = self.path / "plots"
        self.tensorboard = self.path / "tensorboard"
        self._config = self.path / "config.json"
        self._metrics = self.path / "metrics.jsonl"

    def config(self) -> RunConfig | None:
        """Returns the configuration of the run that lives here, or None if none does.

        Raises:
          InputError: config.json cannot be read.
        """
        if not self._config.exists():
            return None
        try:
            text = self._config.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self._config} cannot be read ({error}).") from None
        return RunConfig.from_json(text, str(self._config))

    def check(self, config: RunConfig) -> None:
        """Raises InputError unless `config` may start here or continue what is here."""
        there = self.config()
        if there is None:
            if self.path.exists() and not self.path.is_dir():
                raise InputError(f"--workdir={self.path} is a file: name a folder.")
            if self.path.is_dir() and any(self.path.iterdir()):
                raise InputError(
                    f"--workdir={self.path} is not empty and holds no run: name a new folder."
                )
            return
        differences = config.differences(there)
        if differences:
            raise InputError(
                f"--workdir={self.path} was made by another configuration "
                f"({'; '.join(differences)}): use another --workdir, or the same flags."
            )

    def create(self, config: RunConfig) -> None:
        """Makes the folders and writes config.json.

        Raises:
          InputError: the folder cannot be written.
        """
        try:
            for folder in (self.checkpoints, self.plots, self.tensorboard):
                folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._config, config.to_json().encode())
        except OSError as error:
            raise InputError(
                f"--workdir={self.path} cannot be written ({error.strerror}): name another folder."
            ) from None

    def latest_checkpoint(self) -> Path | None:
        """Returns the newest checkpoint, or None."""
        found = self.checkpoints.glob("step-*.keras") if self.checkpoints.is_dir() else ()
        steps = {int(m[1]): path for path in found if (m := _CHECKPOINT.fullmatch(path.name))}
        return steps[max(steps)] if steps else None

    def save(self, model: LagrangianModel, keep: int = 2) -> Path:
        """Writes the whole model, its optimizers and multipliers; keeps the newest `keep`."""
        path = self.checkpoints / f"step-{int(model.step):08d}.keras"
        partial = path.with_name(f".{path.stem}.partial.keras")
        model.save(partial)
        os.replace(partial, path)
        for old in sorted(self.checkpoints.glob("step-*.keras"))[:-keep]:
            old.unlink()
        return path

    def load(self, path: Path, compiled: bool = True) -> LagrangianModel:
        """Loads a checkpoint as it was saved, ready to continue; without optimizers if asked.

        Raises:
          InputError: the file is not a readable checkpoint.
        """
        import keras

        import zoo.model

        try:
            model = keras.saving.load_model(path, compile=compiled)
        except Exception as error:  # Keras raises whatever the broken part raises
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"Checkpoint {path} cannot be read ({reason}): delete it, and the one before "
                "is used."
            ) from None
        if not isinstance(model, zoo.model.LagrangianModel):
            raise InputError(f"Checkpoint {path} is a {type(model).__name__}, not a model of zoo.")
        return model

    def record(self, row: Mapping[str, Any]) -> None:
        """Appends one line to metrics.jsonl."""
        with self._metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def records(self) -> list[dict[str, Any]]:
        """Returns the lines of metrics.jsonl; a last line cut short is left out."""
        if not self._metrics.exists():
            return []
        rows = []
        for line in self._metrics.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return rows

    def forget_after(self, step: int) -> None:
        """Drops the records that a continuation from `step` will write again."""
        kept = [row for row in self.records() if row["step"] <= step and row["split"] != "test"]
        write_atomically(self._metrics, "".join(json.dumps(row) + "\n" for row in kept).encode())


def write_atomically(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)
