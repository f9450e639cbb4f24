"""The unpaired photographs of CycleGAN in TFDS, such as `cycle_gan/horse2zebra`."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from train.data import tfds_source
from train.data.splits import Split, with_held_out
from zoo.errors import InputError

PREFIX = "cycle_gan/"
_SIDES = ("A", "B")


def load(
    name: str, data_dir: str | os.PathLike[str] | None, memory_limit: int
) -> tuple[dict[str, Split], dict[str, Split]]:
    """Returns the three splits of sides A and B, after preparing the dataset if necessary.

    Test images are the source's; validation images are a fixed tenth of its training images.

    Raises:
      InputError: as `tfds_source.load`, or the images need more than memory_limit bytes.
    """
    builder = tfds_source.prepared(name, data_dir, of_one_size=False)
    with tfds_source.readable(builder.data_path):
        splits = {
            f"{split}{side}": _images(builder, f"{split}{side}", name, memory_limit)
            for split in ("train", "test")
            for side in _SIDES
        }
    a, b = (
        with_held_out(
            {"train": splits[f"train{side}"], "test": splits[f"test{side}"]}, f"{name} {side}"
        )
        for side in _SIDES
    )
    return a, b


def _images(builder: Any, split: str, name: str, memory_limit: int) -> Split:
    size = builder.info.splits[split].num_examples
    with tfds_source.quiet():
        examples = builder.as_dataset(split=split, shuffle_files=False)
    images: np.ndarray | None = None
    filled = 0
    for example in examples.as_numpy_iterator():
        image = example["image"]
        if images is None:
            # All four splits, which are kept in memory together.
            total = image.size * sum(part.num_examples for part in builder.info.splits.values())
            if total > memory_limit:
                raise InputError(
                    f"The images of {name!r} need {total} bytes, and pairs are kept in memory: "
                    f"raise memory_limit, which is {memory_limit}."
                )
            images = np.empty((size, *image.shape), np.uint8)
        if image.shape != images.shape[1:]:
            raise InputError(
                f"Images of {name!r} have different sizes, {images.shape[1:]} and {image.shape}: "
                "resize them into two folders and use those."
            )
        images[filled] = image
        filled += 1
    if images is None or filled != size:
        raise OSError(f"{filled} of {size} examples found")
    return Split(images)
