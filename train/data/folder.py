"""A folder of image files.

    folder/**/*.png                                 images; held-out splits are taken from them
    folder/<class>/**/*.png                         the same, with labels
    folder/{train,validation,test}/**/*.png         the splits as given (train at least)
    folder/{train,validation,test}/<class>/**/*.png the same, with labels

Files are read in sorted order, without hidden files. Labels number the sorted class names.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from train.data.splits import SPLITS, Split
from zoo.errors import InputError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
# Only these formats are decoded, whatever a file's name: other decoders run programs.
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "WEBP")
MOST_PIXELS = 2**24  # of an image, 4096 x 4096: a small file can declare any number
# Pillow's 8-bit modes, and the mode they are read as. Of an animation the first frame is read.
_READ_AS = {"1": "L", "L": "L", "LA": "L", "RGB": "RGB", "RGBA": "RGB", "P": "RGB", "CMYK": "RGB"}


def load(root: Path, skip_bad: bool = False) -> tuple[dict[str, Split], int]:
    """Returns the splits of a folder and the number of unreadable files skipped.

    Grey images become [N, H, W, 1], colour images [N, H, W, 3] (transparency is dropped), uint8.

    Raises:
      InputError: there are no images, they differ in size or channels, some are in `train` and
        some outside the splits, or an image is unreadable and skip_bad is false.
    """
    groups = _by_split(root, image_files(root))
    classes = sorted({name for _, names in groups.values() for name in names if name})
    labelled = all(name for _, names in groups.values() for name in names)
    first: tuple[Path, tuple[int, ...]] | None = None
    splits, skipped = {}, 0
    for split, (files, names) in groups.items():
        images, labels = [], []
        for file, name in zip(files, names, strict=True):
            image = read(file, skip_bad)
            if image is None:
                skipped += 1
                continue
            first = first or (file, image.shape)
            if image.shape != first[1]:
                raise InputError(
                    f"Images must have one size, but {first[0]} is {_size(first[1])} and {file} "
                    f"is {_size(image.shape)}: resize or remove the images that differ."
                )
            images.append(image)
            labels.append(classes.index(name) if labelled else 0)
        if not images:
            raise InputError(f"None of the images for {split} in {root} can be read.")
        splits[split] = Split(np.stack(images), np.array(labels, np.int64) if labelled else None)
    return splits, skipped


def image_files(root: Path) -> list[Path]:
    """Returns the image files in a folder and its subfolders, sorted, without hidden files.

    Raises:
      InputError: there are none.
    """
    files = sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in EXTENSIONS
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
        and path.is_file()
    )
    if not files:
        raise InputError(f"The folder {root} holds no images ({', '.join(EXTENSIONS)}).")
    return files


def _by_split(root: Path, files: list[Path]) -> dict[str, tuple[list[Path], list[str]]]:
    """Returns, for each split, its files and their class names ("" for none)."""
    parts = [path.relative_to(root).parts for path in files]
    if not any(len(part) > 1 and part[0] == "train" for part in parts):
        return {"train": (files, [part[0] if len(part) > 1 else "" for part in parts])}
    groups: dict[str, tuple[list[Path], list[str]]] = {}
    for path, part in zip(files, parts, strict=True):
        if len(part) == 1 or part[0] not in SPLITS:
            raise InputError(
                f"The folder {root} has a subfolder 'train' but also {path}: move it into train, "
                "validation or test, or rename 'train' if it is not a split."
            )
        in_split, names = groups.setdefault(part[0], ([], []))
        in_split.append(path)
        names.append(part[1] if len(part) > 2 else "")
    return {split: groups[split] for split in SPLITS if split in groups}


def read(file: Path, skip_bad: bool = False) -> np.ndarray | None:
    """Returns an image [H, W, C] of uint8, or None if it is unreadable and skip_bad is true.

    Raises:
      InputError: it has more than 8 bits a channel, or is unreadable and skip_bad is false.
    """
    try:
        # Pillow warns about many pixels, and about damage that it can still read.
        quiet = warnings.catch_warnings(action="ignore")
        with quiet, Image.open(file, formats=FORMATS) as image:
            mode, (width, height) = image.mode, image.size
            if width * height > MOST_PIXELS:
                raise ValueError(f"it has {width}x{height} pixels, more than {MOST_PIXELS}")
            pixels = np.asarray(image.convert(_READ_AS.get(mode)))
    except Exception as error:  # Pillow's decoders raise many types of error on damaged files.
        if skip_bad:
            return None
        raise InputError(
            f"The image {file} cannot be read ({_reason(error)}): repair or remove it, or use "
            "--skip_bad to leave such files out."
        ) from error
    if mode not in _READ_AS:
        raise InputError(f"The image {file} has mode {mode}: save it with 8 bits a channel.")
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]


def _reason(error: Exception) -> str:
    return "it is not an image" if isinstance(error, UnidentifiedImageError) else str(error)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]} with {shape[2]} channel(s)"
