"""A checkpoint's archive as data: what it may hold when it comes from a stranger.

A checkpoint is numbers. No class is named in it that would be built: the model is rebuilt from the
run's config.json, and given the numbers if each has the shape it needs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import math
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired

from typing_extensions import TypedDict

from train.workdirs import documents
from zoo.errors import InputError
from zoo.tables import Table

if TYPE_CHECKING:
    from zoo.model.lagrangian_model import LagrangianModel

BUILD, WEIGHTS, MEANS = "build.json", "model.weights.h5", "means.json"
PARTS = frozenset({BUILD, WEIGHTS})
# Up to version 0.1.0 a checkpoint was an archive of Keras: numbers alone are read of its config.
CONFIG = "config.json"
_KERAS = frozenset({"metadata.json", CONFIG, WEIGHTS})
_MOST_TEXT = 2**24  # bytes of a part other than the weights; those of large networks have 2**17
_MOST_ELEMENTS = 2**27  # of one image
_SLACK = 2**20  # bytes of variables that weights do not hold, such as the means of a record
_PRECISION = ("float32", "bfloat16")


class _Column(TypedDict):
    name: str
    mean: list[float]
    stddev: list[float]
    categories: list[str] | list[bool] | list[int]
    vector: bool


class _Build(TypedDict):
    image_shape: list[int]
    latent_shape: list[int] | None
    precision: str
    rate: float
    classes: NotRequired[int | None]
    horizon: NotRequired[int | None]
    table: NotRequired[list[_Column] | None]


class _Shaped(TypedDict):
    event_shape: list[int]


class _Rated(TypedDict):
    rate: float


class _Part(TypedDict):
    config: _Shaped


class _Rule(TypedDict):
    config: _Rated


class _Parts(TypedDict):
    encoder: _Part
    decoder: _Part
    prior: dict[str, Any]
    multiplier_rule: _Rule


class _Keras(TypedDict):
    config: _Parts


@dataclasses.dataclass(frozen=True)
class Build:
    """What a model was built from beside its run's configuration.

    Attributes:
      image_shape: [H, W, C] of the data.
      latent_shape: of the second data set, where z is images.
      precision: what "auto" was on the machine that built it.
      rate: of the multipliers' rule, which depends on the first length of the run.
      classes: of the condition; None without one.
      horizon: the first length of the run, in steps; None of runs up to version 0.1.0.
      table: the columns of x with their statistics, where x is rows of a table.
    """

    image_shape: tuple[int, ...]
    latent_shape: tuple[int, ...] | None
    precision: str
    rate: float
    classes: int | None = None
    horizon: int | None = None
    table: Table | None = None

    @classmethod
    def of(cls, model: LagrangianModel) -> Build:
        """Returns what `model` was built from."""
        from zoo import priors

        paired = isinstance(model.prior, priors.Empirical)
        latent_shape = tuple(model.encoder.event_shape) if paired else None
        image_shape = tuple(model.decoder.event_shape)
        classes = None if model.condition is None else model.condition.classes
        rule = model.multipliers
        shapes = image_shape, latent_shape
        return cls(*shapes, model.precision, rule.rate, classes, rule.horizon, model.table)

    def to_json(self) -> str:
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        found["table"] = self.table and self.table.to_config()
        optional = {name for name in ("classes", "horizon", "table") if found[name] is None}
        return json.dumps({name: v for name, v in found.items() if name not in optional})

    @classmethod
    def from_json(cls, text: bytes) -> Build:
        """Reads `to_json`; raises ValueError for anything else."""
        found = documents.parsed(text)
        documents.require(found, _Build)
        classes, horizon = found.get("classes"), found.get("horizon")
        if classes is not None and not 1 < classes < 2**31:
            raise ValueError(f"{str(classes)[:100]} is no number of classes")
        if horizon is not None and not 0 < horizon < 2**31:
            raise ValueError(f"{str(horizon)[:100]} is no number of steps")
        parts = (found[name] for name in ("image_shape", "latent_shape", "precision", "rate"))
        build = dataclasses.replace(cls._checked(*parts), classes=classes, horizon=horizon)
        columns = found.get("table")
        if columns is None:
            return build
        try:
            return dataclasses.replace(build, table=Table.from_config(columns))
        except InputError as error:
            raise ValueError(str(error)) from None

    @classmethod
    def from_keras(cls, text: bytes) -> Build:
        """Reads it off the config of an archive of Keras; raises ValueError if it is not there."""
        whole = documents.parsed(text)
        documents.require(whole, _Keras)
        config = whole["config"]
        encoded, decoded = (
            config[name]["config"]["event_shape"] for name in ("encoder", "decoder")
        )
        paired = config["prior"].get("class_name") == "zoo.Empirical"
        modules = [part.get("module") for part in documents.dicts(whole)]
        rounded = "zoo.networks.precision" in modules
        rate = config["multiplier_rule"]["config"]["rate"]
        return cls._checked(decoded, encoded if paired else None, _PRECISION[int(rounded)], rate)

    @classmethod
    def _checked(cls, image: list[int], latent: list[int] | None, name: str, rate: float) -> Build:
        for shape in (image, latent):
            if shape is not None and not (shape and all(0 < size < 2**31 for size in shape)):
                raise ValueError(f"{str(shape)[:100]} is no shape")
            if math.prod(shape or ()) > _MOST_ELEMENTS:
                raise ValueError(f"images of shape {str(shape)[:100]} are too large")
        if name not in _PRECISION:
            raise ValueError(f"{name[:100]!r} is no precision")
        return cls(tuple(image), None if latent is None else tuple(latent), name, float(rate))


class H5(io.BytesIO):
    """An HDF5 file in memory, for `save_weights` and `load_weights`.

    Of a path Keras asks for its suffix; it reads and writes what else h5py can.
    """

    def __str__(self) -> str:
        return WEIGHTS


def damage(path: Path) -> str | None:
    """Returns what is wrong with an archive and its checksums, None if nothing is.

    The parts of an archive are stored as they are: one that unpacks into more than its own size
    is none of ours.
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
    parts = _KERAS if CONFIG in names else PARTS
    if missing := parts - set(names):
        return f"it has no {min(missing)}"
    for info in archive.infolist():
        name = info.filename
        if name not in parts | {MEANS}:
            return f"it holds {name!r}"
        if names.count(name) > 1:
            return f"it holds {name} twice"
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            return f"its {name} is packed"
        if name != WEIGHTS and info.file_size > _MOST_TEXT:
            return f"its {name} has {info.file_size} bytes"
    return None


def read(path: Path) -> tuple[Build, bytes]:
    """Returns what an archive, whole by `damage`, says of its model, and its weights, an HDF5 file.

    Raises:
      InputError: its weights are more than arrays of numbers in their own file.
      ValueError: it does not say what its model was built from.
    """
    with zipfile.ZipFile(path) as archive:
        old = CONFIG in archive.namelist()
        text = archive.read(CONFIG if old else BUILD)
        weights = archive.read(WEIGHTS)
    build = Build.from_keras(text) if old else Build.from_json(text)
    if reason := _foreign_weights(weights):
        raise InputError(
            f"Checkpoint {path} holds {reason}, which is not how weights are written: "
            "nothing of it was read; delete it."
        )
    return build, weights


@contextlib.contextmanager
def bounded(path: Path, size: int) -> Iterator[None]:
    """Lets variables be made up to the `size` in bytes of the archive's weights.

    Raises:
      InputError: a model has more; the variable is not made.
    """
    import tensorflow as tf

    left = size + _SLACK

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
            f"The run's config.json declares more weights than checkpoint {path} holds: none of "
            "them were read; use the config.json that it was written with."
        ) from None


def _bytes(value: Any, dtype: Any) -> int:
    """Returns the size of a variable from its first value, without making that."""
    import tensorflow as tf

    if callable(value):
        with tf.Graph().as_default():
            value = value()
    value = tf.convert_to_tensor(value, dtype) if not hasattr(value, "shape") else value
    return math.prod(value.shape) * tf.as_dtype(value.dtype).size


def misfit(weights: H5, needed: H5, ignored: tuple[str, ...]) -> str | None:
    """Returns the first difference of one HDF5 file from another in names, shapes and types.

    Args:
      ignored: groups that the first may have beside those of the second.
    """
    found, wanted = _arrays(weights), _arrays(needed)
    for name, (shape, kind) in wanted.items():
        if name not in found:
            return f"it has no {name}"
        if found[name][0] != shape:
            return f"{name} has shape {found[name][0]} where {shape} is needed"
        if found[name][1] != kind:
            return f"{name} is {found[name][1]} where {kind} is needed"
    for name in found:
        if name not in wanted and name.split("/")[0] not in ignored:
            return f"its {name} is none of the model's"
    return None


def _arrays(content: H5) -> dict[str, tuple[tuple[int, ...], str]]:
    import h5py

    arrays: dict[str, tuple[tuple[int, ...], str]] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[name] = tuple(item.shape), str(item.dtype)

    with h5py.File(content, "r") as file:
        file.visititems(visit)
    return arrays


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
        numbers = isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf"
        # h5py has no bfloat16: two bytes of no kind.
        if not numbers and not (isinstance(item, h5py.Dataset) and item.dtype.str == "|V2"):
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
