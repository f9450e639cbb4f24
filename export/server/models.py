"""Finds SavedModels in OUT/NAME/VERSION, and loads them with their signatures' tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from export.server.errors import InvalidError, NotFoundError
from export.tensors import Signature
from zoo.errors import InputError

PROTO = "saved_model.pb"

# Parts of TensorFlow's messages: names of nodes and operations, and lines that only give a place.
_PLACE = re.compile(r"\s*\[\[?\{\{.*|\s*\[Op:.*")
_TRACE = re.compile(r"Graph execution error|Detected at|File |\(\d+\)|\d+ (root|derived)|<.*>$")


def found(folder: Path, every: bool = False) -> dict[str, dict[int, Path]]:
    """Returns name -> version -> folder, with the newest version of each model in `folder`, or all.

    Raises:
      InputError: there is no such folder, or no SavedModel in it.
    """
    if not folder.is_dir():
        raise InputError(f"--models={folder} is not a folder: name the one export.run wrote.")
    models = {}
    for path in sorted(folder.iterdir()):
        versions = _versions(path)
        if versions:
            models[path.name] = versions if every else {max(versions): versions[max(versions)]}
    if models:
        return models
    if _versions(folder):
        raise InputError(
            f"--models={folder} is one model: name the folder above it, --models={folder.parent}."
        )
    raise InputError(
        f"--models={folder} has no NAME/VERSION/{PROTO}: name the folder that export.run wrote."
    )


def _versions(path: Path) -> dict[int, Path]:
    if path.name.startswith(".") or not path.is_dir():
        return {}
    numbered = [p for p in path.iterdir() if p.name.isascii() and p.name.isdecimal()]
    versions = {int(p.name): p for p in numbered if (p / PROTO).is_file()}
    return dict(sorted(versions.items()))


@dataclass(frozen=True)
class Servable:
    """One version of a model, in memory.

    Attributes:
      definitions: signature -> SignatureDef in JSON, as in TensorFlow Serving's metadata.
    """

    name: str
    version: int
    definitions: Mapping[str, Any]
    signatures: Mapping[str, Signature]
    functions: Mapping[str, Callable[..., Mapping[str, Any]]] = field(repr=False)

    def signature(self, name: str) -> Signature:
        """Returns the signature called `name`.

        Raises:
          NotFoundError: there is no such signature.
        """
        if name not in self.signatures:
            raise NotFoundError(
                f"{self.name} has no signature {name!r}: use {', '.join(sorted(self.signatures))}."
            )
        return self.signatures[name]

    def predict(self, name: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the signature's outputs.

        Raises:
          InvalidError: the graph rejects the inputs.
        """
        import tensorflow as tf

        try:
            tensors = {
                key: tf.constant(value, tf.string if value.dtype == object else None)
                for key, value in inputs.items()
            }
            outputs = self.functions[name](**tensors)
        except tf.errors.InvalidArgumentError as error:
            raise InvalidError(refusal(error.message)) from None
        return {key: np.ascontiguousarray(outputs[key].numpy()) for key in sorted(outputs)}


def refusal(message: str) -> str:
    """Returns the message of an InvalidArgumentError, without places in the graph and files."""
    asserted = re.search(r"assertion failed: \[([^\]]*)\]", message)
    if asserted:
        return " ".join(asserted[1].split())
    lines = [_PLACE.sub("", line).strip(" \t:\"'") for line in message.split("\n")]
    said = [line for line in lines if line and not _TRACE.match(line)]
    return said[-1] if said else "The model rejects these inputs."


def load(name: str, version: int, folder: Path) -> Servable:
    """Loads a SavedModel.

    Raises:
      InputError: it is damaged, or has no signatures.
    """
    import tensorflow as tf
    from google.protobuf.json_format import MessageToDict
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        stored = saved_model_pb2.SavedModel.FromString((folder / PROTO).read_bytes())
        functions = dict(tf.saved_model.load(str(folder)).signatures)
    except (OSError, DecodeError, tf.errors.OpError, ValueError, KeyError, IndexError) as error:
        first = str(error).strip().split("\n")[0]
        raise InputError(f"{folder} cannot be loaded ({first}): export it again.") from error
    if not functions:
        raise InputError(f"{folder} has no signatures: export it with export.run.")
    graph = next(g for g in stored.meta_graphs if tf.saved_model.SERVING in g.meta_info_def.tags)
    definitions = {
        key: MessageToDict(
            definition, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        for key, definition in graph.signature_def.items()
    }
    try:
        signatures = {key: Signature.of(definitions[key]) for key in functions}
    except ValueError as error:
        raise InputError(f"{folder} cannot be served ({error}): export it again.") from None
    return Servable(name, version, definitions, signatures, functions)
