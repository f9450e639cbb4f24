"""Loads a dataset by name."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from train.data import arrays, embedded, folder, tables, tfds_source, toys
from train.data.dataset import BINARIZATIONS, Dataset
from train.data.splits import SPLITS, Split, StreamedSplit, with_held_out
from zoo.errors import InputError, unknown
from zoo.tables import Table

MEMORY_LIMIT = 4 * 2**30
ARRAY_EXTENSIONS = (".npz", ".npy")
_ALL_COLUMNS = tables.Options()
_BUILT_IN = {embedded.NAME: embedded.load, toys.NAME: toys.load}


def check_name(name: str, data_dir: str | os.PathLike[str] | None = None) -> str:
    """Returns the source: "built_in", "array", "table", "folder" or "tfds"; reads no data.

    `mnist_5k` and `four_points` are built in. A name that ends in .npz, .npy, .csv or .parquet,
    contains a path separator or is an existing directory is the user's own data. Every other name
    is a TFDS dataset, and so is a TFDS name with a configuration ("mnist_corrupted/fog") if no such
    path exists.

    Raises:
      InputError: there is no such path or TFDS dataset; the sentence offers the nearest names.
    """
    if name in _BUILT_IN:
        return "built_in"
    for kind, extensions in (("array", ARRAY_EXTENSIONS), ("table", tables.EXTENSIONS)):
        if name.endswith(extensions):
            if not os.path.isfile(_path(name)):
                raise InputError(f"There is no file {name}: check the path of the dataset.")
            return kind
    if name and os.path.isdir(_path(name)):
        return "folder"
    known = tfds_source.known_names(data_dir)
    base = re.split("[:/]", name)[0]
    if base in known:
        return "tfds"
    if "/" in name or os.sep in name:
        raise InputError(
            f"There is no folder {name}: a dataset is {embedded.NAME}, a TFDS name, a folder of "
            "images, or a .npz, .npy, .csv or .parquet file."
        )
    options = [*_BUILT_IN, *known]
    if not difflib.get_close_matches(name, options, cutoff=0.5):
        raise InputError(
            f"Unknown dataset {name!r}: it is neither {embedded.NAME}, one of the {len(known)} "
            "datasets of TFDS (mnist, cifar10, ...), a folder of images, nor a .npz, .npy, .csv or "
            ".parquet file."
        )
    raise unknown("dataset", name, options)


def load(
    name: str = embedded.NAME,
    data_dir: str | os.PathLike[str] | None = None,
    binarization: str = "auto",
    skip_bad: bool = False,
    memory_limit: int = MEMORY_LIMIT,
    columns: tables.Options = _ALL_COLUMNS,
    standardise: bool = True,
) -> Dataset:
    """Loads a dataset; `check_name` says how names are resolved.

    Held-out data is always separate: the source's validation and test splits, or else a fixed
    tenth (at most 5000) of its images each, the same in every run.

    data_dir: the folder of prepared TFDS datasets; $TFDS_DATA_DIR if None, and TFDS's default if
      that is not set. Prepared data is never downloaded again.
    binarization: "dynamic", "static", "none", or "auto", which is "static" for images that are
      already binary and is otherwise decided by `Dataset.resolved`.
    skip_bad: skip (and count) unreadable files in a folder instead of raising an error.
    memory_limit: bytes above which a TFDS dataset is streamed from disk.
    columns: how those of a table are read.
    standardise: whether vectors are standardised; a table's numbers always are.

    Raises:
      InputError: unknown name, or data that is missing, damaged or not examples of one shape.
    """
    if binarization not in BINARIZATIONS:
        raise unknown("binarization", binarization, BINARIZATIONS)
    kind = check_name(name, data_dir)
    if kind != "table" and columns.given:
        raise InputError(
            f"--{columns.given} is for the columns of a .csv or .parquet file, and {name} is none: "
            "leave it out."
        )
    if kind == "table":
        rows, table, labels = tables.load(_path(name), columns)
        return dataclasses.replace(_of_rows(name, rows, table, binarization), labels=labels)
    splits: Mapping[str, Split] | Mapping[str, StreamedSplit]
    skipped = 0
    if kind == "tfds":
        splits = tfds_source.load(name, data_dir, memory_limit)
    elif kind == "built_in":
        splits = _BUILT_IN[name]()
    elif kind == "array":
        found = with_held_out(arrays.load(_path(name)), name)
        if len(found["train"].image_shape) == 1:
            return _of_vectors(name, found, binarization, standardise)
        splits = found
    else:
        given, skipped = folder.load(_path(name), skip_bad)
        splits = with_held_out(given, name)
    if binarization == "auto" and all(split.binary for split in splits.values()):
        binarization = "static"
    return Dataset(name, splits["train"].image_shape, splits, binarization, skipped)


def _of_vectors(
    name: str, splits: Mapping[str, Split], binarization: str, standardise: bool
) -> Dataset:
    if standardise:
        return _of_rows(name, *tables.vectors(splits, name), binarization)
    splits = {
        key: dataclasses.replace(split, images=split.images.astype("float32"))
        for key, split in splits.items()
    }
    return _of_rows(name, splits, None, binarization)


def _of_rows(
    name: str, splits: Mapping[str, Split], table: Table | None, binarization: str
) -> Dataset:
    """Returns a dataset of vectors, which nothing binarizes."""
    if binarization not in ("auto", "none"):
        raise InputError(
            f"--binarization={binarization} is for images, and {name} holds rows of numbers: leave "
            "it out."
        )
    ordered = {key: splits[key] for key in SPLITS}
    return Dataset(name, ordered["train"].image_shape, ordered, "none", table=table)


def _path(name: str) -> Path:
    try:
        return Path(os.path.expanduser(name))
    except ValueError as error:
        raise InputError(f"{name!r} is not a path ({error}): name another dataset.") from None
