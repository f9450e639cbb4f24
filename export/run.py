"""Exports a run's newest checkpoint as two SavedModels, OUT/encoder/1 and OUT/decoder/1.

    python -m export.run --workdir=runs/alice --out=exports/alice

Run again, it writes the next version beside the last.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from absl import flags

from export import versions
from train import command, documents
from train.workdir import Workdir
from zoo.errors import InputError


def export_newest(workdir: str, out: str) -> dict[str, Path]:
    """Exports the newest checkpoint of `workdir` to `out`, as `saved_models.export_model` does.

    TensorFlow is imported only when the paths are in order.

    Raises:
      InputError: there is no such folder, checkpoint or place to write; nothing is written then.
      RunError: writing failed, for want of space say.
    """
    if not os.path.isdir(workdir):
        raise InputError(f"--workdir={workdir} is no folder: name the one that train.run made.")
    checkpoint = Workdir(workdir).latest_checkpoint()
    if checkpoint is None:
        raise InputError(f"--workdir={workdir} has no checkpoint yet: train it with train.run.")
    versions.check_writable(Path(out), ("encoder", "decoder"))

    command.import_tensorflow()
    import tensorflow as tf

    from export.saved_models import export_model

    model = Workdir(workdir).load(checkpoint, compiled=False)
    try:
        return export_model(model, out, card=_card(Path(workdir), checkpoint))
    except (OSError, tf.errors.OpError) as error:
        raise command.RunError(f"The export failed ({error}); {out} is as it was.") from error


def _card(workdir: Path, checkpoint: Path) -> dict[str, Any]:
    """Returns what the SavedModels carry of their run: its checkpoint and its certificate."""
    certificate = workdir / "certificate.json"
    card: dict[str, Any] = {"checkpoint": checkpoint.name}
    if certificate.exists():
        card["certificate"] = documents.read(certificate, "run train.certify again")
    return card


def main() -> int:
    workdir, out = flags.FLAGS.workdir, flags.FLAGS.out
    if not workdir:
        raise InputError("--workdir is missing: name the run's folder, like runs/alice.")
    if not out:
        raise InputError("--out is missing: name the folder to write to, like exports/alice.")
    for part, folder in export_newest(workdir, out).items():
        print(f"{part}  {folder}")
    return command.DONE


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "The run's folder, as train.run made it.")
    flags.DEFINE_string("out", None, "The folder to write to.")
    command.run(main, __doc__)
