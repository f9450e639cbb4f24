"""A run's checkpoints: whole models, verified before they are used; a few of them are kept."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train import archive, documents
from train.archive import damage
from zoo.errors import InputError

if TYPE_CHECKING:
    from zoo.model import LagrangianModel

_NAME = re.compile(r"step-(\d{8,})\.keras")


class Checkpoints:
    """The files step-*.keras of a folder, each written whole or not at all."""

    def __init__(self, folder: Path):
        self.folder = folder

    def by_step(self) -> dict[int, Path]:
        """Returns the checkpoints, oldest first."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        steps = {int(m[1]): path for path in found if (m := _NAME.fullmatch(path.name))}
        return dict(sorted(steps.items()))

    def newest(self) -> Path | None:
        """Returns the newest that is whole, None if there are none; names damaged ones on stderr.

        Raises:
          InputError: all of them are damaged.
        """
        damaged: list[tuple[Path, str]] = []
        for path in reversed(self.by_step().values()):
            reason = damage(path)
            if reason is None:
                for broken, why in damaged:
                    print(
                        f"Checkpoint {broken} is damaged ({why}): {path.name} is used instead.",
                        file=sys.stderr,
                    )
                return path
            damaged.append((path, reason))
        if damaged:
            path, reason = damaged[0]
            raise InputError(
                f"Checkpoint {path} is damaged ({reason}), and none before it is whole: delete "
                f"{self.folder} to start anew."
            )
        return None

    def save(
        self, model: LagrangianModel, keep: int, best: int | None, means: Sequence[float] | None
    ) -> Path:
        """Writes the whole model; keeps the newest `keep` and that of the step `best`.

        `means` are the model's metrics where a record is under way, None between records.

        Raises:
          OSError: it cannot be written; those there are stay.
        """
        path = self.folder / f"step-{int(model.step.numpy()):08d}.keras"
        partial = path.with_name(f".{path.stem}.partial.keras")
        try:
            model.save(partial)
            if means is not None:
                with zipfile.ZipFile(partial, "a") as opened:
                    opened.writestr(archive.MEANS, json.dumps([float(value) for value in means]))
            os.replace(partial, path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        steps = self.by_step()
        for step in list(steps)[:-keep]:
            if step != best:
                steps[step].unlink()
        return path

    def forget_after(self, step: int) -> None:
        """Removes what a continuation from `step` will write again, and what was not finished."""
        for later, path in self.by_step().items():
            if later > step:
                path.unlink()
        for path in self.folder.glob(".step-*.partial.keras"):
            path.unlink()


def means(path: Path) -> list[float] | None:
    """Returns the metrics of the record that was under way when a checkpoint was written.

    Raises:
      InputError: they are no numbers.
    """
    with zipfile.ZipFile(path) as opened:
        if archive.MEANS not in opened.namelist():
            return None
        text = opened.read(archive.MEANS)
    try:
        found = documents.parsed(text, finite=False)
        documents.require(found, [float])
    except ValueError as error:
        raise _unreadable(path, error) from None
    return found


def load(path: Path, compiled: bool = True) -> LagrangianModel:
    """Loads a checkpoint as it was saved, ready to continue; without optimizers if asked.

    It may come from a stranger: only classes of zoo's models are built, and only from numbers
    that are in it; see `train.archive`.

    Raises:
      InputError: the file is not a readable checkpoint of such a model.
    """
    import keras

    import zoo.model

    try:
        archive.check(path)
        with archive.bounded(path):
            model = keras.saving.load_model(path, compile=compiled, safe_mode=True)
    except InputError as error:
        if str(path) in str(error):
            raise
        raise _unreadable(path, error) from None
    except Exception as error:  # Keras raises whatever the broken part raises
        raise _unreadable(path, error) from None
    if not isinstance(model, zoo.model.LagrangianModel):
        raise InputError(f"Checkpoint {path} is a {type(model).__name__}, not a model of zoo.")
    return model


def _unreadable(path: Path, error: BaseException) -> InputError:
    # What Keras says of it names none of the values.
    while error.__context__ is not None and not isinstance(error, InputError):
        error = error.__context__
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(
        f"Checkpoint {path} cannot be read ({reason}): delete it, and the one before is used."
    )


def best_step(
    rows: Iterable[Mapping[str, Any]], tolerances: Mapping[str, float], adversarial: bool
) -> int | None:
    """Returns the step of the best model by its records on validation data, None if none is.

    Fixed multipliers: the least loss. Learned ones: the newest that met every tolerance, because
    the loss moves with the multipliers. Fixed ones with critics: none, because the loss is as
    small as the critics are weak.

    Args:
      rows: of metrics.jsonl.
      tolerances: eps of each learned constraint.
      adversarial: whether there are critics.
    """
    validation = [row for row in rows if row["split"] == "validation"]
    if tolerances:
        met = [
            row["step"]
            for row in validation
            if all(row["constraints"].get(name, math.inf) <= e for name, e in tolerances.items())
        ]
        return max(met, default=None)
    losses = {row["loss"]: row["step"] for row in validation if math.isfinite(row["loss"])}
    return losses[min(losses)] if losses and not adversarial else None
