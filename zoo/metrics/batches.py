"""Data sets as batches, whatever form they are given in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

BLOCK = 256  # examples that are looked at together


def in_batches(images: Any, size: int = BLOCK) -> Iterable[Any]:
    """Returns batches of images, given as such or as one array, of which they are slices."""
    if not hasattr(images, "shape"):
        return images
    return (images[start : start + size] for start in range(0, len(images), size))


def in_full_batches(images: Any, size: int) -> Iterator[tuple[Any, int]]:
    """Yields float32 batches of exactly `size` images, and how many of them are meant.

    The last one is filled up with copies of its last image, so that a program compiled for one
    shape serves for all.
    """
    for batch in in_batches(images, size):
        batch = np.asarray(batch, np.float32)
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            count = len(part)
            yield np.concatenate([part, np.repeat(part[-1:], size - count, axis=0)]), count
