"""Batches of images from arrays or from batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

BLOCK = 256  # examples per batch


def in_batches(images: Any, size: int = BLOCK) -> Iterable[Any]:
    """Returns batches of images: `images` if they are batches, else slices of the array."""
    if not hasattr(images, "shape"):
        return images
    return (images[start : start + size] for start in range(0, len(images), size))


def in_full_batches(images: Any, size: int) -> Iterator[tuple[Any, int]]:
    """Yields float32 batches of exactly `size` images, and the number of true images in each.

    The last batch is padded with copies of its last image, so that all batches have one shape and
    need one compiled program.
    """
    for batch in in_batches(images, size):
        batch = np.asarray(batch, np.float32)
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            count = len(part)
            yield np.concatenate([part, np.repeat(part[-1:], size - count, axis=0)]), count
