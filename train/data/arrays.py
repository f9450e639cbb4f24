"""Images in `.npz` and `.npy` files.

`.npy`: one array of images. `.npz`: arrays under these names, the first of each row that exists:

    train         x_train, train_images, images, x   (or the only array, whatever its name)
    validation    x_validation, x_val, validation_images, val_images
    test          x_test, test_images
    their labels  y_train, train_labels, labels, y; y_validation, ...; y_test, test_labels
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from train.data.splits import Split, stretched
from zoo.errors import InputError

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
    """Returns the splits in a file; "train" is always among them.

    Images are [N, H, W] or [N, H, W, C], uint8 in 0..255 or floating point in [0, 1]; labels
    are integers [N]. Pickled objects are never loaded.

    Raises:
      InputError: no such file, not readable, or images or labels that are not as above.
    """
    arrays = _read(path)
    splits = {}
    for split, keys in _IMAGE_KEYS.items():
        key = next((key for key in keys if key in arrays), None)
        if key is None and split == "train" and len(arrays) == 1:
            key = next(iter(arrays))
        if key is not None:
            images = checked_images(arrays[key], f"{path} [{key}]")
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
    return stretched(splits)


def _read(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise InputError(f"There is no file {path}: check the path of the dataset.")
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"images": loaded}
        with loaded:
            return {key: loaded[key] for key in loaded.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        if "allow_pickle" in str(error):
            raise InputError(
                f"{path} holds Python objects, which are never loaded: save one numeric array of "
                "images [N, H, W, C], uint8 or floating point."
            ) from error
        raise InputError(
            f"{path} cannot be read as a NumPy file: it is damaged or something else; save it "
            "again with np.save or np.savez."
        ) from error


def checked_images(images: np.ndarray, where: str) -> np.ndarray:
    """Returns images as [N, H, W, C], uint8 or float32, having checked shape, dtype and range.

    Raises:
      InputError: naming `where` the array came from and the offending shape, dtype or value.
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
            f"{where} has shape {list(images.shape)}: images must be [N, H, W] or [N, H, W, C]."
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
            f"labels must be {count} integers, one an image."
        )
    return labels.reshape(count).astype(np.int64)
