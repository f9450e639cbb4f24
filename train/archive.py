"""A checkpoint's archive as data: what it may hold, and build, when it comes from a stranger.

`keras.saving.load_model` imports any Keras class a config names, among them some that read files
or load programs, and follows what shapes a config declares. Before it does, `check` reads the
archive itself; while it does, `bounded` counts.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from train.documents import dicts, parsed
from zoo import imports
from zoo.errors import InputError

CONFIG, WEIGHTS, MEANS = "config.json", "model.weights.h5", "means.json"
PARTS = frozenset({"metadata.json", CONFIG, WEIGHTS})
_MOST_TEXT = 2**24  # bytes of a part other than the weights; those of large networks have 2**17
_SLACK = 2**20  # bytes of variables that weights do not hold, such as the means of a record

_KERAS = {
    "keras": {"DTypePolicy"},
    "keras.initializers": {
        "Constant",
        "GlorotNormal",
        "GlorotUniform",
        "HeNormal",
        "HeUniform",
        "Ones",
        "RandomNormal",
        "RandomUniform",
        "Zeros",
    },
    "keras.layers": {
        "Activation",
        "Add",
        "Concatenate",
        "Conv2D",
        "Conv2DTranspose",
        "Cropping2D",
        "Dense",
        "Flatten",
        "GroupNormalization",
        "InputLayer",
        "Multiply",
        "Reshape",
        "SpectralNormalization",
    },
    "keras.optimizers": {"Adam"},
    "keras.src.models.functional": {"Functional"},
}
_MODEL = ("zoo", "LagrangianModel")


def damage(path: Path) -> str | None:
    """Returns what is wrong with an archive and its checksums, None if nothing is.

    Keras stores the parts of an archive as they are: one that unpacks into more than its own size
    is none of Keras'.
    """
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return "it is no file"
        with zipfile.ZipFile(path) as archive:
            reason = _foreign(archive)
            broken = None if reason else archive.testzip()
    except Exception as error:  # zipfile raises many kinds on damaged archives
        return (str(error).splitlines() or [type(error).__name__])[0]
    return f"the checksum of {broken} is wrong" if broken else reason


def _foreign(archive: zipfile.ZipFile) -> str | None:
    names = archive.namelist()
    if missing := PARTS - set(names):
        return f"it has no {min(missing)}"
    for info in archive.infolist():
        name = info.filename
        if name not in PARTS | {MEANS}:
            return f"it holds {name!r}"
        if names.count(name) > 1:
            return f"it holds {name} twice"
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            return f"its {name} is packed"
        if name != WEIGHTS and info.file_size > _MOST_TEXT:
            return f"its {name} has {info.file_size} bytes"
    return None


def check(path: Path) -> None:
    """Reads an archive, whole by `damage`, and builds nothing.

    Raises:
      InputError: its config names another class than those of zoo's models, or its weights are
        more than arrays of numbers in their own file.
      ValueError: its config is no JSON.
    """
    with zipfile.ZipFile(path) as archive:
        config = parsed(archive.read(CONFIG))
        weights = archive.read(WEIGHTS)
    if not isinstance(config, dict) or _class_of(config) != _MODEL:
        raise InputError(f"Checkpoint {path} is no model of zoo: delete it.")
    for part in dicts(config):
        if "class_name" in part and not _known(part):
            raise InputError(
                f"Checkpoint {path} asks for {_named(part)}, which no model of zoo is made of: "
                "nothing of it was built; delete it."
            )
    if reason := _foreign_weights(weights):
        raise InputError(
            f"Checkpoint {path} holds {reason}, which is not how weights are written: "
            "nothing of it was read; delete it."
        )


@contextlib.contextmanager
def bounded(path: Path) -> Iterator[None]:
    """Lets variables be made up to the size of the archive's weights, which hold them all.

    Raises:
      InputError: a config declares more; the variable is not made.
    """
    import tensorflow as tf

    with zipfile.ZipFile(path) as archive:
        left = archive.getinfo(WEIGHTS).file_size + _SLACK

    def counted(make: Callable[..., Any], **options: Any) -> Any:
        nonlocal left
        left -= _bytes(options["initial_value"], options.get("dtype"))
        if left < 0:
            raise MemoryError
        return make(**options)

    try:
        with tf.variable_creator_scope(counted):
            yield
    except Exception:  # Keras has other words around it
        if left >= 0:
            raise
        raise InputError(
            f"Checkpoint {path} declares more weights than it holds: none of them were made; "
            "delete it."
        ) from None


def _bytes(value: Any, dtype: Any) -> int:
    """Returns the size of a variable from its first value, without making that."""
    import tensorflow as tf

    if callable(value):
        with tf.Graph().as_default():
            value = value()
    value = tf.convert_to_tensor(value, dtype) if not hasattr(value, "shape") else value
    return math.prod(value.shape) * tf.as_dtype(value.dtype).size


def _known(part: dict[str, Any]) -> bool:
    """Whether a dict that names a class names one that zoo's models are made of."""
    if part["class_name"] == "__keras_tensor__":
        return set(part) == {"class_name", "config"}
    if set(part) == {"class_name", "parameters"}:  # of a prior, which zoo.priors reads
        return True
    package, name = _class_of(part)
    if _imported(part):
        return True
    return name in (_registered() if package == "zoo" else _KERAS.get(package, ()))


def _imported(part: dict[str, Any]) -> bool:
    """Whether a class is one that a module the user named by --import registered with Keras."""
    import keras

    kind = keras.saving.get_custom_objects().get(str(part.get("registered_name")))
    module, name = str(getattr(kind, "__module__", "")), getattr(kind, "__name__", "")
    return (module, name) == (part.get("module"), part["class_name"]) and imports.belongs(module)


def _class_of(part: dict[str, Any]) -> tuple[str, str]:
    """Returns the package and name of the class Keras would build, "" for what is no text."""
    module, name = part.get("module"), part.get("class_name")
    registered = part.get("registered_name")
    if not isinstance(module, str) or not isinstance(name, str):
        return "", ""
    if registered == f"zoo>{name}" and module.startswith("zoo."):
        return "zoo", name
    return (module, name) if registered in (None, name) else ("", "")


def _registered() -> set[str]:
    """Returns the names of what zoo has registered with Keras."""
    import keras

    import zoo.model  # noqa: F401, which registers it

    known = keras.saving.get_custom_objects()
    return {
        name.removeprefix("zoo>")
        for name, kind in known.items()
        if name.startswith("zoo>") and kind.__module__.startswith("zoo.")
    }


def _named(part: dict[str, Any]) -> str:
    names = [part.get(key) for key in ("module", "class_name", "registered_name")]
    return " ".join(json.dumps(name)[:100] for name in names if name is not None)


def _foreign_weights(content: bytes) -> str | None:
    """Returns what an HDF5 file holds beside arrays of numbers stored in it, None if nothing."""
    import h5py

    found: list[str] = []
    size = 0

    def visit(name: str, link: Any) -> str | None:
        nonlocal size
        if not isinstance(link, h5py.HardLink):
            found.append(f"a link, {name!r}")
            return name
        item = file[name]
        if isinstance(item, h5py.Group):
            return None
        if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "biuf":
            found.append(f"{name!r}, which is no array of numbers")
            return name
        size += math.prod(item.shape) * item.dtype.itemsize
        elsewhere = item.external or item.is_virtual
        if elsewhere or item.chunks or item.id.get_storage_size() < item.nbytes:
            found.append(f"{name!r}, whose numbers are not in it")
        elif size > len(content):
            found.append("more numbers than bytes")
        return name if found else None

    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            file.visititems_links(visit)
    except Exception as error:  # h5py raises many kinds on damaged files
        return f"weights that cannot be read ({(str(error).splitlines() or ['no reason'])[0]})"
    return found[0] if found else None
