"""Images, or vectors [N, D], in `.npz` and `.npy` files.

`.npy`: one array. `.npz`: arrays with these names; in each row the first that exists:

    train         x_train, train_images, images, x   (or the only array, whatever its name)
    validation    x_validation, x_val, validation_images, val_images
    test          x_test, test_images
    their labels  y_train, train_labels, labels, y; y_validation, ...; y_test, test_labels
"""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from train.data.splits import Split, stretched
from zoo.errors import InputError

_MOST = 2**32  # bytes; a larger array may be at most _EXPANSION times the size of its file
_EXPANSION = 100
_IMAGE_KEYS = {
    "train": ("x_train", "train_images", "images", "x"),
    "validation": ("x_validation", "x_val", "validation_images", "val_images"),
    "test": ("x_test", "test_images"),
}
_LABEL_KEYS = {
    "train": ("y_train", "train_labels", "labels", "y"),
    "validation": ("y_validation", "y_val", "validation_labels", "val_labels"),
    "test": ("y_test", "test_labels"),
}


def load(path: Path) -> dict[str, Split]:
    """Returns the splits in a file, always including "train".

    Images are [N, H, W] or [N, H, W, C], uint8 in 0..255 or floating point in [0, 1]; vectors
    [N, D] are any finite numbers. Labels are integers [N]. Pickled objects are never loaded.

    Raises:
      InputError: the file is missing or unreadable, or images or labels are not as above.
    """
    arrays = _read(path)
    splits = {}
    for split, keys in _IMAGE_KEYS.items():
        key = next((key for key in keys if key in arrays), None)
        if key is None and split == "train" and len(arrays) == 1:
            key = next(iter(arrays))
        if key is not None:
            checked = checked_vectors if arrays[key].ndim == 2 else checked_images
            images = checked(arrays[key], f"{path} [{key}]")
            label_key = next((key for key in _LABEL_KEYS[split] if key in arrays), None)
            labels = None
            if label_key is not None:
                labels = _checked_labels(arrays[label_key], len(images), f"{path} [{label_key}]")
            splits[split] = Split(images, labels)
    if "train" not in splits:
        raise InputError(
            f"{path} holds the arrays {', '.join(arrays) or '(none)'}: name the training images "
            f"{', '.join(_IMAGE_KEYS['train'][:-1])} or {_IMAGE_KEYS['train'][-1]}."
        )
    shapes = {split: part.images.shape[1:] for split, part in splits.items()}
    if len(set(shapes.values())) > 1:
        raise InputError(f"{path} has splits of different image shapes {shapes}: make them equal.")
    return splits if len(shapes["train"]) == 1 else stretched(splits)


def _read(path: Path) -> dict[str, np.ndarray]:
    if not os.path.isfile(path):
        raise InputError(f"There is no file {path}: check the path of the dataset.")
    try:
        if zipfile.is_zipfile(path):
            return _arrays(path)
        with path.open("rb") as file:
            return {"images": _array(file, path.stat().st_size)}
    except Exception as error:  # NumPy and zipfile raise many types of error on damaged files
        if "allow_pickle" in str(error):
            raise InputError(
                f"{path} holds Python objects, which are never loaded: save one numeric array of "
                "images [N, H, W, C], uint8 or floating point."
            ) from error
        raise InputError(
            f"{path} cannot be read as a NumPy file: it is damaged or has another format; save it "
            "again with np.save or np.savez."
        ) from error


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays in a .npz file; raises if they are far larger than the file."""
    with zipfile.ZipFile(path) as archive:
        sizes = [(info.file_size, info.compress_size) for info in archive.infolist()]
        if any(size > max(_MOST, _EXPANSION * packed) for size, packed in sizes):
            raise ValueError("a bomb")
        found = {}
        for info in archive.infolist():
            with archive.open(info) as file:
                found[info.filename.removesuffix(".npy")] = _array(file, info.file_size)
    return found


def _array(file: IO[bytes], size: int) -> np.ndarray:
    """Returns the array in a .npy file of `size` bytes; raises if its header declares more."""
    version = np.lib.format.read_magic(file)
    header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, _, dtype = header[version](file)
    if not dtype.hasobject and math.prod(shape) * dtype.itemsize > size:
        raise ValueError("it declares more than it holds")
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def checked_vectors(vectors: np.ndarray, where: str) -> np.ndarray:
    """Returns vectors [N, D] as float64, having checked that they are finite numbers.

    Raises:
      InputError: naming `where` the array came from and the offending dtype or value.
    """
    if vectors.dtype.kind not in "fiub":
        raise InputError(f"{where} has dtype {vectors.dtype}: vectors must be numbers.")
    if vectors.size == 0:
        raise InputError(f"{where} has shape {list(vectors.shape)}, which holds no numbers.")
    vectors = vectors.astype(np.float64)
    finite = np.isfinite(vectors)
    if not finite.all():
        row, element = (int(i) for i in np.unravel_index(np.argmin(finite), vectors.shape))
        raise InputError(
            f"{where} at index [{row}, {element}] is {vectors[row, element]}: correct it, or leave "
            "out that row."
        )
    return vectors


def checked_images(images: np.ndarray, where: str) -> np.ndarray:
    """Returns images as [N, H, W, C], uint8 or float32, after checking shape, dtype and range.

    Raises:
      InputError: the shape, dtype or a value is wrong; `where` names the array's source.
    """
    if images.dtype == bool:
        images = images.astype(np.uint8)
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise InputError(
            f"{where} has dtype {images.dtype}: images must be uint8 in 0..255 or floating point "
            "in [0, 1]."
        )
    if images.ndim not in (3, 4):
        raise InputError(
            f"{where} has shape {list(images.shape)}: images must be [N, H, W] or [N, H, W, C], "
            "vectors [N, D]."
        )
    if images.size == 0:
        raise InputError(f"{where} has shape {list(images.shape)}, which holds no pixels.")
    if images.dtype != np.uint8:
        # NaN fails both comparisons.
        inside = (images >= 0) & (images <= 1)
        if not inside.all():
            index = [int(i) for i in np.unravel_index(np.argmin(inside), images.shape)]
            raise InputError(
                f"{where} at index {index} is {images[tuple(index)]}: floating point images must "
                "lie in [0, 1] (for 0..255, save them as uint8)."
            )
        images = images.astype(np.float32, copy=False)
    return images if images.ndim == 4 else images[..., np.newaxis]


def _checked_labels(labels: np.ndarray, count: int, where: str) -> np.ndarray:
    if labels.shape not in ((count,), (count, 1)) or labels.dtype.kind not in "iu":
        raise InputError(
            f"{where} has shape {list(labels.shape)} and dtype {labels.dtype}: "
            f"labels must be {count} integers, one for each image."
        )
    return labels.reshape(count).astype(np.int64)
