"""Loads a dataset by name."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from train.data import arrays, embedded, folder, tfds_source, toys
from train.data.dataset import BINARIZATIONS, Dataset
from train.data.splits import Split, StreamedSplit, with_held_out
from zoo.errors import InputError, unknown

MEMORY_LIMIT = 4 * 2**30
ARRAY_EXTENSIONS = (".npz", ".npy")
_BUILT_IN = {embedded.NAME: embedded.load, toys.NAME: toys.load}


def check_name(name: str, data_dir: str | os.PathLike[str] | None = None) -> str:
    """Returns the kind of source: "built_in", "array", "folder" or "tfds"; reads no images.

    `mnist_5k` and `four_points` are built in. A name that ends in .npz or .npy, contains a path
    separator or is an existing directory is the user's own data. Every other name is a TFDS
    dataset, and so is a TFDS name with a configuration ("mnist_corrupted/fog") if no such path
    exists.

    Raises:
      InputError: there is no such path or TFDS dataset; the sentence offers the nearest names.
    """
    if name in _BUILT_IN:
        return "built_in"
    if name.endswith(ARRAY_EXTENSIONS):
        if not os.path.isfile(_path(name)):
            raise InputError(f"There is no file {name}: check the path of the dataset.")
        return "array"
    if name and os.path.isdir(_path(name)):
        return "folder"
    known = tfds_source.known_names(data_dir)
    base = re.split("[:/]", name)[0]
    if base in known:
        return "tfds"
    if "/" in name or os.sep in name:
        raise InputError(
            f"There is no folder {name}: a dataset is {embedded.NAME}, a TFDS name, a folder of "
            "images, or a .npz or .npy file."
        )
    options = [*_BUILT_IN, *known]
    if not difflib.get_close_matches(name, options, cutoff=0.5):
        raise InputError(
            f"Unknown dataset {name!r}: it is neither {embedded.NAME}, one of the {len(known)} "
            "datasets of TFDS (mnist, cifar10, ...), a folder of images, nor a .npz or .npy file."
        )
    raise unknown("dataset", name, options)


def load(
    name: str = embedded.NAME,
    data_dir: str | os.PathLike[str] | None = None,
    binarization: str = "auto",
    skip_bad: bool = False,
    memory_limit: int = MEMORY_LIMIT,
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

    Raises:
      InputError: unknown name, or data that is missing, damaged or not images of one shape.
    """
    if binarization not in BINARIZATIONS:
        raise unknown("binarization", binarization, BINARIZATIONS)
    kind = check_name(name, data_dir)
    splits: Mapping[str, Split] | Mapping[str, StreamedSplit]
    skipped = 0
    if kind == "tfds":
        splits = tfds_source.load(name, data_dir, memory_limit)
    elif kind == "built_in":
        splits = _BUILT_IN[name]()
    elif kind == "array":
        splits = with_held_out(arrays.load(_path(name)), name)
    else:
        given, skipped = folder.load(_path(name), skip_bad)
        splits = with_held_out(given, name)
    if binarization == "auto" and all(split.binary for split in splits.values()):
        binarization = "static"
    return Dataset(name, splits["train"].image_shape, splits, binarization, skipped)


def _path(name: str) -> Path:
    try:
        return Path(os.path.expanduser(name))
    except ValueError as error:
        raise InputError(f"{name!r} is not a path ({error}): name another dataset.") from None
