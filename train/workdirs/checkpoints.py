"""A run's checkpoints, with weights, optimizers and step: saved, verified and pruned."""

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

from train.workdirs import archive, documents
from train.workdirs.archive import damage
from zoo.errors import InputError

if TYPE_CHECKING:
    from zoo.model.lagrangian_model import LagrangianModel

_NAME = re.compile(r"step-(\d{8,})\.(?:zip|keras)")  # .keras up to version 0.1.0


class Checkpoints:
    """The files step-*.zip of a folder, each written whole or not at all."""

    def __init__(self, folder: Path):
        self.folder = folder

    def by_step(self) -> dict[int, Path]:
        """Returns the checkpoints by step, the oldest first."""
        found = sorted(self.folder.iterdir()) if self.folder.is_dir() else ()
        steps = {int(m[1]): path for path in found if (m := _NAME.fullmatch(path.name))}
        return dict(sorted(steps.items()))

    def newest(self) -> Path | None:
        """Returns the newest undamaged checkpoint, or None; names damaged ones on stderr.

        Raises:
          InputError: all checkpoints are damaged.
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
                f"Checkpoint {path} is damaged ({reason}), and so are all before it: delete "
                f"{self.folder} to start again."
            )
        return None

    def save(
        self, model: LagrangianModel, keep: int, best: int | None, means: Sequence[float] | None
    ) -> Path:
        """Writes a checkpoint; keeps the newest `keep` and the one of step `best`.

        `means` are the model's running metrics within a record, None between records.

        Raises:
          OSError: it cannot be written; existing checkpoints stay.
        """
        path = self.folder / f"step-{int(model.step.numpy()):08d}.zip"
        weights = archive.H5()
        partial = path.with_name(f".{path.stem}.partial.zip")
        model.save_weights(weights)
        try:
            with zipfile.ZipFile(partial, "w") as opened:
                opened.writestr(archive.WEIGHTS, weights.getbuffer())
                opened.writestr(archive.BUILD, archive.Build.of(model).to_json())
                if means is not None:
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
        """Removes checkpoints after `step`, which a resumed run rewrites, and unfinished files."""
        for later, path in self.by_step().items():
            if later > step:
                path.unlink()
        for path in self.folder.glob(".step-*.partial.*"):
            path.unlink()


def means(path: Path) -> list[float] | None:
    """Returns the running metrics of a checkpoint's unfinished record; None between records.

    Raises:
      InputError: they are not numbers.
    """
    with zipfile.ZipFile(path) as opened:
        if archive.MEANS not in opened.namelist():
            return None
        text = opened.read(archive.MEANS)
    try:
        found = documents.parsed(text, finite=False)
        documents.require(found, list[float])
    except ValueError as error:
        raise unreadable(path, error) from None
    return found


def unreadable(path: Path, error: BaseException) -> InputError:
    """Returns the InputError for a checkpoint that cannot be read, with the reason and the fix."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(
        f"Checkpoint {path} cannot be read ({reason}): delete it to use the one before."
    )


def best_step(
    rows: Iterable[Mapping[str, Any]], tolerances: Mapping[str, float], adversarial: bool
) -> int | None:
    """Returns the step of the best checkpoint by validation records, or None.

    With fixed multipliers it is the step of the smallest loss. With learned multipliers it is the
    newest step that met every tolerance, because the loss changes with the multipliers. With fixed
    multipliers and critics it is None, because a weak critic also makes the loss small.

    Args:
      rows: the rows of metrics.jsonl.
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
