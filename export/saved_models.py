"""`export_model`: writes a model as SavedModels with named signatures."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from export import card as cards
from export import table, versions, warmup
from export.signatures import Served, Signatures, described
from zoo.errors import unknown
from zoo.model.lagrangian_model import LagrangianModel

EXTRA = "assets.extra"
CARD = Path(EXTRA, "model.json")


def export_model(
    model: LagrangianModel,
    out: str | os.PathLike[str],
    part: str = "both",
    name: str | None = None,
    card: Mapping[str, Any] | None = None,
    certificate: Any = None,
    files: Mapping[str, bytes] | None = None,
    formats: Mapping[str, Callable[[LagrangianModel], bytes]] | None = None,
) -> dict[str, Path]:
    """Writes OUT/model/VERSION, a SavedModel with the signatures of `export.table`.

    The graphs are deterministic: the caller provides the noise of a sample. `assets.extra/`
    contains a card (README.md for people, model.json for programs), warm-up requests for
    TensorFlow Serving, and `files`. The card lists objective and derivation, shapes, prior,
    training step, signatures, missing signatures with the reason, and versions. VERSION is the next
    number that no part has. Nothing is overwritten; after a failure nothing is published.

    Args:
      model: any model of the family, trained or not.
      out: the folder, created if it is missing.
      part: "both", or "encoder" or "decoder" to write OUT/encoder/VERSION or OUT/decoder/VERSION
        with the signatures and variables of that half only.
      name: the model's name in the card; the objective's name if None.
      card: further facts for the card, JSON-able.
      certificate: the result of `train.certificates.certify`; its verdict goes into the card, its
        data and page into assets.extra.
      files: further files for assets.extra, name -> content.
      formats: further folders with the same version; each path maps to a function that returns
        the file's content: {"tflite/model.tflite": ...}.

    Returns:
      {"model": folder}, and a folder for each of `formats`.

    Raises:
      InputError: `out` cannot be written, `part` is unknown, `card` is not JSON or repeats a fact
        of the card, or a format does not support the model.
    """
    if part not in table.NAMES:
        raise unknown("part", part, table.NAMES)
    target = table.NAMES[part]
    signatures = Signatures(model)
    if certificate is not None:
        card = {**(card or {}), "certificate": dict(certificate)}
        text = json.dumps(certificate, indent=2, allow_nan=False) + "\n"
        page = certificate.page()
        files = {
            **(files or {}),
            "certificate.json": text.encode(),
            "certificate.md": page.encode(),
        }
    facts = cards.facts(model, name, target, signatures, card or {})

    def write(folder: Path) -> None:
        content = {**facts, "signatures": _save(signatures.of(target), folder)}
        extra = {
            "model.json": (json.dumps(content, indent=2, allow_nan=False) + "\n").encode(),
            "README.md": cards.page(content).encode(),
            **(files or {}),
        }
        (folder / EXTRA).mkdir()
        for file, data in extra.items():
            (folder / EXTRA / file).write_bytes(data)
        warmup.write(folder / EXTRA / warmup.FILE, target, signatures.of(target))

    writers: dict[str, Callable[[Path], None]] = {target: write}
    for path, convert in (formats or {}).items():
        writers[Path(path).parent.name] = _file(model, Path(path).name, convert)
    return versions.publish(Path(out), writers)


def _save(signatures: Mapping[str, Served], folder: Path) -> dict[str, Any]:
    """Writes one SavedModel, with the first signature as default; returns its signature table."""
    module, traced, rows = tf.Module(), {}, {}
    for name, each in signatures.items():
        function = tf.function(each.function, input_signature=each.inputs, autograph=False)
        traced[name] = function.get_concrete_function()
        rows[name] = {
            "inputs": described({spec.name: spec for spec in each.inputs}),
            "outputs": described(traced[name].structured_outputs),
            "meaning": each.meaning,
        }
    # A SavedModel contains only the variables that are attributes of its module.
    found = (v for function in traced.values() for v in function.graph.variables)
    module.weights = list({id(variable): variable for variable in found}.values())
    default = next(iter(signatures))
    tf.saved_model.save(
        module, str(folder), signatures={**traced, "serving_default": traced[default]}
    )
    return {**rows, "serving_default": rows[default]}


def _file(
    model: LagrangianModel, name: str, convert: Callable[[LagrangianModel], bytes]
) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        data = convert(model)
        folder.mkdir()
        (folder / name).write_bytes(data)

    return write
