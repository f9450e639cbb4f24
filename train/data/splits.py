"""The splits of a dataset, and how held-out splits are made if the source has none."""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zoo.errors import InputError

SPLITS = ("train", "validation", "test")
HELD_OUT_CAP = 5000


@dataclass(frozen=True, eq=False)
class Split:
    """Examples in memory; labels [N] or None.

    Images [N, H, W, C], uint8 0..255 or float32 in [0, 1]; or vectors [N, D], float32.
    """

    images: np.ndarray = field(repr=False)
    labels: np.ndarray | None = field(default=None, repr=False)

    @property
    def size(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return tuple(self.images.shape[1:])

    @functools.cached_property
    def binary(self) -> bool:
        """Whether every value is the smallest or largest possible, black or white."""
        white = 255 if self.images.dtype == np.uint8 else 1
        return all(((part == 0) | (part == white)).all() for part in _parts(self.images))

    def as_float(self) -> np.ndarray:
        """Returns the images as float32 in [0, 1], before any binarization."""
        if self.images.dtype == np.uint8:
            return self.images.astype(np.float32) / np.float32(255)
        return self.images

    def take(self, index: np.ndarray) -> Split:
        """Returns the examples at `index`, in that order."""
        return Split(self.images[index], None if self.labels is None else self.labels[index])


@dataclass(frozen=True, eq=False)
class StreamedSplit:
    """A split too large for memory; `open()` returns a tf.data.Dataset of uint8 [H, W, C]."""

    size: int
    image_shape: tuple[int, ...]
    binary: bool
    open: Callable[[], Any] = field(repr=False)
    labels: None = None

    @property
    def images(self) -> np.ndarray:
        raise InputError(
            f"These {self.size} images are streamed and have no array: "
            "read them with batches(), or raise memory_limit."
        )


def _parts(images: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the images a thousand at a time, so that a check can stop early and stay small."""
    for start in range(0, len(images), 1000):
        yield images[start : start + 1000]


def stretched(splits: Mapping[str, Split]) -> dict[str, Split]:
    """Returns the splits with 0 and 1 scaled to 0 and 255, if uint8 images have no other values.

    Some datasets store black and white in this way. Other splits are returned unchanged.
    """
    images = [split.images for split in splits.values()]
    if any(part.dtype != np.uint8 or part.max() > 1 for each in images for part in _parts(each)):
        return dict(splits)
    return {
        name: Split(split.images * np.uint8(255), split.labels) for name, split in splits.items()
    }


def held_out_sizes(
    size: int, given: Container[str], name: str, what: str = "image"
) -> dict[str, int]:
    """Returns the number of examples to take from `size` for each held-out split not in `given`.

    It is a tenth each, between 1 and 5000. `what` is an example, in words.

    Raises:
      InputError: there are fewer examples than splits to make.
    """
    missing = [split for split in ("validation", "test") if split not in given]
    if size <= len(missing):
        raise InputError(
            f"Dataset {name!r} has {size} {what}(s) to make {' and '.join(['train', *missing])} "
            f"from: at least {len(missing) + 1} are needed."
        )
    return {split: max(1, min(HELD_OUT_CAP, size // 10)) for split in missing}


def fixed_permutation(size: int) -> np.ndarray:
    """Returns the permutation of range(size) that makes held-out splits, whatever a run's seed.

    RandomState's streams are frozen (NEP 19), so a split is the same in every version of NumPy.
    """
    return np.random.RandomState(0).permutation(size)


def with_held_out(given: Mapping[str, Split], name: str) -> dict[str, Split]:
    """Returns train, validation and test; those not in `given` are taken from `train`."""
    train = given["train"]
    order = fixed_permutation(train.size)
    splits = dict(given)
    what = "image" if len(train.image_shape) > 1 else "row"
    for split, count in held_out_sizes(train.size, given, name, what).items():
        splits[split] = train.take(order[:count])
        order = order[count:]
    if len(order) < train.size:
        splits["train"] = train.take(order)
    return {split: splits[split] for split in SPLITS}
