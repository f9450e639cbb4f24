"""Any image dataset of TensorFlow Datasets (TFDS), kept in memory or streamed."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from train.data.splits import Split, StreamedSplit, held_out_sizes, stretched
from train.workdirs import documents
from zoo.errors import InputError, unknown

_READ_BATCH = 256


def known_names(data_dir: str | os.PathLike[str] | None = None) -> list[str]:
    """Returns TFDS's dataset names, and other datasets prepared in the data directory."""
    import tensorflow_datasets as tfds

    names = set(tfds.list_builders(with_community_datasets=False))
    folder = _data_dir(data_dir)
    if folder is not None and os.path.isdir(folder):
        names |= {path.parts[-3] for path in folder.glob("*/*/dataset_info.json")}
    return sorted(names)


def load(
    name: str, data_dir: str | os.PathLike[str] | None, memory_limit: int
) -> dict[str, Split] | dict[str, StreamedSplit]:
    """Returns the three splits of a TFDS dataset, after preparing it if necessary.

    Missing held-out splits are slices of the source's training split, which are random because
    TFDS stores examples in the order of a fixed hash. Streamed splits have no labels.

    Raises:
      InputError: unknown name, no image feature, images of different sizes, no network to
        prepare the data with, or a damaged folder.
    """
    import tensorflow_datasets as tfds

    builder = prepared(name, data_dir)
    image_key, label_key = _feature_keys(builder.info.features, name)
    shape = builder.info.features[image_key].shape

    def examples(instruction: str) -> Any:
        keys = {key: True for key in (image_key, label_key) if key}
        with quiet():
            return builder.as_dataset(
                split=instruction,
                shuffle_files=False,
                decoders=tfds.decode.PartialDecoding(keys),
                read_config=tfds.ReadConfig(try_autocache=False),
            )

    def resident(instruction: str, size: int) -> Split:
        images = np.empty((size, *shape), np.uint8)
        labels = np.empty(size, np.int64)
        filled = 0
        for batch in examples(instruction).batch(_READ_BATCH).as_numpy_iterator():
            part = slice(filled, filled + len(batch[image_key]))
            images[part] = batch[image_key]
            if label_key:
                labels[part] = batch[label_key]
            filled = part.stop
        if filled != size:
            raise OSError(f"{filled} of {size} examples found")
        return Split(images, labels if label_key else None)

    def images_of(instruction: str, scale: int) -> Any:
        return examples(instruction).map(lambda example: example[image_key] * scale)

    def streamed(instruction: str, size: int) -> StreamedSplit:
        first = next(examples(instruction).batch(_READ_BATCH).as_numpy_iterator())[image_key]
        binary = bool(first.max() <= 1)
        open_images = functools.partial(images_of, instruction, 255 if binary else 1)
        return StreamedSplit(size, shape, binary, open_images)

    with readable(builder.data_path):
        sizes = {split: info.num_examples for split, info in builder.info.splits.items()}
        ranges = _ranges(sizes, name)
        total = sum(size for _, size in ranges.values()) * int(np.prod(shape))
        if total > memory_limit:
            return {split: streamed(*part) for split, part in ranges.items()}
        return stretched({split: resident(*part) for split, part in ranges.items()})


def _data_dir(data_dir: str | os.PathLike[str] | None) -> Path | None:
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR")
    try:
        return Path(os.path.expanduser(chosen)) if chosen else None
    except ValueError as error:
        raise InputError(f"--data_dir={chosen!r} is not a path ({error}): name another.") from None


def prepared(name: str, data_dir: str | os.PathLike[str] | None, of_one_size: bool = True) -> Any:
    """Returns the builder of a dataset, which is downloaded only if it is not on disk.

    of_one_size: refuse to download it unless TFDS declares that its images have one size.
    """
    import tensorflow_datasets as tfds

    folder = _data_dir(data_dir)
    there = (folder or Path("~/tensorflow_datasets").expanduser()) / re.split("[:/]", name)[0]
    with quiet(), readable(there):
        _check_classes(there)
        try:
            builder = tfds.builder(name, data_dir=folder)
        except tfds.core.registered.DatasetNotFoundError as error:
            raise unknown("dataset", name, known_names(data_dir)) from error
        path = Path(builder.data_path)
        if (path / "dataset_info.json").exists():
            return builder
        if path.is_dir() and any(path.iterdir()):
            raise FileNotFoundError(f"{path.name} has no dataset_info.json")
        older = [info.parent for info in path.parent.glob("*.*.*/dataset_info.json")]
        if older and ":" not in name:
            # TFDS's code has a newer version, which was never prepared here.
            return tfds.builder_from_directory(max(older, key=_version))
    if of_one_size:
        _feature_keys(builder.info.features, name)
    try:
        _check_network(builder)
        builder.download_and_prepare()
    except Exception as error:
        raise InputError(
            f"TFDS dataset {name!r} is not in {path.parent} and cannot be prepared "
            f"({_reason(error)}): check the network, set data_dir to prepared data, or use "
            "mnist_5k, which needs no download."
        ) from error
    return builder


def _check_classes(folder: Path) -> None:
    """Raises ValueError if prepared data name a class outside TFDS, which TFDS would import.

    The data may come from a stranger.
    """
    for path in folder.glob("**/features.json"):
        for part in documents.dicts(documents.parsed(documents.content(path))):
            named = [part.get("pythonClassName"), part.get("python_class_name")]
            named.append(part.get("type") if "content" in part else None)
            for name in named:
                if name is not None and not str(name).startswith("tensorflow_datasets."):
                    raise ValueError(f"{path.name} names {name!r}, which is not a class of TFDS")


def _version(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path.name)]


def _check_network(builder: Any) -> None:
    """Raises at once the error that TFDS's downloader would raise after minutes of retries."""
    import requests

    url = next((url for url in builder.url_infos or () if url.startswith("http")), None)
    if url:
        requests.head(url, timeout=20)


def _feature_keys(features: Any, name: str) -> tuple[str, str | None]:
    """Returns the keys of the image and of the class label, None if it has no label."""
    import tensorflow_datasets as tfds

    top = dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}
    images = [key for key, feature in top.items() if type(feature) is tfds.features.Image]
    if not images:
        raise InputError(
            f"TFDS dataset {name!r} has no image feature (its features are "
            f"{', '.join(top) or 'nested'}): choose an image dataset."
        )
    image = "image" if "image" in images else images[0]
    shape, dtype = top[image].shape, np.dtype(top[image].np_dtype)
    if None in shape or len(shape) != 3:
        raise InputError(
            f"TFDS dataset {name!r} has images of different sizes {shape}: resize them into a "
            "folder or a .npz file and use that."
        )
    if dtype != np.uint8:
        raise InputError(
            f"TFDS dataset {name!r} stores its images as {dtype}, but only uint8 can be read: save "
            "them as a .npz file in [0, 1] and use that."
        )
    labels = [key for key, feature in top.items() if isinstance(feature, tfds.features.ClassLabel)]
    return image, "label" if "label" in labels else next(iter(labels), None)


def _ranges(sizes: dict[str, int], name: str) -> dict[str, tuple[str, int]]:
    """Returns, for each of our splits, a TFDS slice such as "train[:900]" and its size."""
    held_out = ("validation", "test")
    others = [split for split in sizes if split not in held_out]
    pool = "train" if "train" in sizes else next(iter(others or sizes))
    given = {split for split in held_out if split in sizes and split != pool}
    ranges = {split: (split, sizes[split]) for split in given}
    end = sizes[pool]
    for split, count in held_out_sizes(end, given, name).items():
        ranges[split] = (f"{pool}[{end - count}:{end}]", count)
        end -= count
    return {"train": (f"{pool}[:{end}]", end)} | {split: ranges[split] for split in held_out}


@contextlib.contextmanager
def readable(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Turns any error that TFDS raises while reading `folder` into one sentence."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise InputError(
            f"The TFDS folder {os.fspath(folder)} cannot be read ({_reason(error)}): restore its "
            "files, or delete it to prepare it again."
        ) from error


def _reason(error: Exception) -> str:
    """Returns an error's main line."""
    text = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", str(error)).strip().rstrip(".")
    line = text.splitlines()[0] if text else ""
    gist = textwrap.shorten(line, 120, placeholder=" ...")
    return f"{type(error).__name__}: {gist}" if gist else type(error).__name__


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences TFDS's warnings: its deprecations, and problems that are then reported here."""
    from absl import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)
