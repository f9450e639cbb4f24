"""Exports a run's newest checkpoint as a SavedModel, OUT/model/1.

    python -m export.run --workdir=runs/alice --out=exports/alice

Run again, it writes the next version beside the last. --part=encoder and --part=decoder write one
half, OUT/encoder/1 or OUT/decoder/1; --tflite and --onnx the encoder in those formats beside it.
"""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags
from typing_extensions import TypedDict

from export import table, versions
from train import command
from train.workdirs import documents
from train.workdirs.workdir import Workdir, unwritable
from zoo.errors import InputError, unknown

FORMATS = {"tflite": "tflite/model.tflite", "onnx": "onnx/model.onnx"}


class _Certified(TypedDict):
    verdict: str


_CERTIFICATE = ("certificate.json", "certificate.md")
_PACKAGES = ("tf2onnx", "onnxruntime")
# What the card says of how a run was trained.
_TRAINING = (
    "dataset",
    "pair",
    "condition",
    "binarization",
    "network",
    "latent_dim",
    "latents",
    "prior",
    "likelihood",
    "likelihood_scale",
    "batch_size",
    "seed",
    "ema",
)


def export_newest(
    workdir: str, out: str, part: str = "both", formats: tuple[str, ...] = ()
) -> dict[str, Path]:
    """Exports the newest checkpoint of `workdir` to `out`, as `saved_models.export_model` does.

    TensorFlow is imported only when the paths are in order.

    Args:
      part: "both", "encoder" or "decoder".
      formats: "tflite", "onnx": the encoder in these too.

    Raises:
      InputError: there is no such folder, checkpoint, part or place to write, or a format cannot
        hold the encoder; nothing is written then.
      RunError: writing failed, for want of space say.
    """
    if part not in table.NAMES:
        raise unknown("part", part, table.NAMES)
    if part == "decoder" and formats:
        raise InputError(f"--{formats[0]} is the encoder's: leave it or --part=decoder out.")
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if "onnx" in formats and missing:
        raise InputError(
            f"--onnx needs {' and '.join(missing)}: run pip install 'lagrangian-zoo[onnx]'."
        )
    if not os.path.isdir(workdir):
        raise InputError(f"--workdir={workdir} is no folder: name the one that train.run made.")
    Workdir(workdir).config()  # which says what is missing to load its checkpoints
    checkpoint = Workdir(workdir).latest_checkpoint()
    if checkpoint is None:
        raise InputError(f"--workdir={workdir} has no checkpoint yet: train it with train.run.")
    versions.check_writable(Path(out), (table.NAMES[part], *formats))

    command.import_tensorflow()
    import tensorflow as tf

    from export.saved_models import export_model
    from train.loop import restoring

    model = restoring.load(Workdir(workdir), checkpoint, compiled=False)
    card, files = _run(Path(workdir), checkpoint, model.decoder.kind)
    try:
        converters = {FORMATS[name]: _converter(name) for name in formats}
        return export_model(model, out, part, card=card, files=files, formats=converters)
    except (OSError, tf.errors.OpError) as error:
        reason = unwritable(error) or error
        raise command.RunError(f"The export failed ({reason}); {out} is as it was.") from error


def _converter(name: str) -> Any:
    if name == "onnx":
        from export.onnx import convert
    else:
        from export.tflite import convert
    return convert


def _run(
    workdir: Path, checkpoint: Path, likelihood: str
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Returns what a card says of the run, and the files of it that go along."""
    card: dict[str, Any] = {"checkpoint": checkpoint.name}
    run = Workdir(workdir)
    config = run.config() if (workdir / "config.json").exists() else None
    if config is not None:
        card["training"] = {name: getattr(config, name) for name in _TRAINING}
        card["training"]["network"] = config.network_name
        card["training"]["likelihood"] = likelihood
    validation = [row for row in run.records() if row.get("split") == "validation"]
    if validation:
        card["validation"] = _finite(validation[-1])
    found = {name: workdir / name for name in _CERTIFICATE}
    files = {name: documents.content(path) for name, path in found.items() if path.is_file()}
    if _CERTIFICATE[0] in files:
        fix = "run train.certify again"
        card["certificate"] = documents.read(found[_CERTIFICATE[0]], fix, _Certified)
    return card, files


def _finite(value: Any) -> Any:
    """Returns plain data with null for numbers that are not finite, as JSON has none."""
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main() -> int:
    given = flags.FLAGS
    if not given.workdir:
        raise InputError("--workdir is missing: name the run's folder, like runs/alice.")
    if not given.out:
        raise InputError("--out is missing: name the folder to write to, like exports/alice.")
    formats = tuple(name for name in FORMATS if given[name].value)
    for part, folder in export_newest(given.workdir, given.out, given.part, formats).items():
        print(f"{part}  {folder}")
    return command.DONE


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "The run's folder, as train.run made it.")
    flags.DEFINE_multi_string("import", [], command.IMPORT)
    flags.DEFINE_string("out", None, "The folder to write to.")
    flags.DEFINE_string("part", "both", "What to export: both, encoder or decoder.")
    flags.DEFINE_bool("tflite", False, "The encoder as OUT/tflite/VERSION/model.tflite too.")
    flags.DEFINE_bool("onnx", False, "The encoder as OUT/onnx/VERSION/model.onnx too.")
    command.run(main, __doc__)
