"""Two image spaces: unpaired images x and z for training, and pairs for evaluation.

dataset = load_pair("mnist", "rotated")
for x, z in dataset.batches("train", batch_size=32, seed=0):   # two times [32, 28, 28, 1]
    ...
"""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from train.data import cycle_gan, embedded, loading, partners
from train.data.dataset import Dataset
from train.data.splits import Split, fixed_permutation
from zoo.errors import InputError, unknown

if TYPE_CHECKING:
    import tensorflow as tf

    from train.data.pipeline import Plan
    from train.data.resident import Resident


@dataclasses.dataclass(frozen=True, eq=False)
class PairSplit:
    """Images of both spaces. Outside training they are aligned, one z for each x."""

    x: Split
    z: Split

    @property
    def size(self) -> int:
        """The number of pairs in one pass: the size of the smaller set."""
        return min(self.x.size, self.z.size)

    @property
    def labels(self) -> np.ndarray | None:
        """The labels of x."""
        return self.x.labels


@dataclasses.dataclass(frozen=True, eq=False)
class PairedDataset:
    """Images of two spaces, x and z, in three separate splits; never binarized.

    In training there are no pairs to learn from: x and z are shuffled independently, and if z is
    made from x, they come from different source images. In validation and test the i-th z is the
    partner of the i-th x if `true_partners`; otherwise, as for two sets of photographs, the
    pairing has no meaning.

    image_shape, latent_shape: (H, W, C) of x and of z.
    splits: "train", "validation", "test".
    true_partners: whether the pairing of the held-out splits is the true one.
    skipped: the number of unreadable image files skipped because of skip_bad.
    """

    name: str
    image_shape: tuple[int, ...]
    latent_shape: tuple[int, ...]
    splits: Mapping[str, PairSplit] = dataclasses.field(repr=False)
    true_partners: bool
    skipped: int = 0

    binarization = "none"
    resident = True
    condition = classes = None

    def split(self, name: str) -> PairSplit:
        """Returns the split called `name`; raises InputError if there is none."""
        if name not in self.splits:
            raise unknown("split", name, self.splits)
        return self.splits[name]

    def resolved(self, likelihood: str) -> PairedDataset:
        """Returns this dataset: pairs are not binarized, whatever the likelihood."""
        return self

    def steps_per_epoch(
        self, batch_size: int, split: str = "train", drop_remainder: bool = True
    ) -> int:
        """Returns the number of batches in one pass over the smaller set of a split.

        Raises:
          InputError: batch_size is below 1, or larger than a set that must fill a batch.
        """
        return self._smaller(split).steps_per_epoch(batch_size, split, drop_remainder)

    def batches(
        self,
        split: str,
        batch_size: int,
        seed: int,
        start_step: int = 0,
        drop_remainder: bool = True,
        repeat: bool = True,
        shuffle: bool = True,
        part: tuple[int, int] = (0, 1),
    ) -> tf.data.Dataset:
        """Returns batches (x, z) of float32 images in [0, 1], [B, H, W, C] each.

        Batch number `step` is a pure function of (seed, step), and `part` is as in
        `Dataset.batches`. An epoch ends with the smaller set. The larger set goes on through
        permutations independent of it, or ends there too if drop_remainder is false.

        Raises:
          InputError: unknown split or impossible batch_size.
        """
        import tensorflow as tf

        from train.data import pipeline

        sets = self.split(split)
        plans = self._plans(split, batch_size, seed, drop_remainder, shuffle)
        x, z = (
            pipeline.batches(
                one,
                one.image_shape,
                self.binarization,
                dataclasses.replace(plan, part=part),
                start_step,
                repeat,
            )
            for one, plan in zip((sets.x, sets.z), plans, strict=True)
        )
        return tf.data.Dataset.zip((x, z))

    def resident_batches(self, split: str, batch_size: int, seed: int) -> ResidentPairs:
        """Returns a `ResidentPairs`, which makes the batches of a split inside the training step.

        Raises:
          InputError: as `batches`.
        """
        from train.data.resident import Resident

        parts = self.split(split)
        x, z = self._plans(split, batch_size, seed, drop_remainder=True, shuffle=True)
        return ResidentPairs(
            Resident(parts.x.images, self.binarization, x),
            Resident(parts.z.images, self.binarization, z),
        )

    def _plans(
        self, split: str, batch_size: int, seed: int, drop_remainder: bool, shuffle: bool
    ) -> tuple[Plan, Plan]:
        self.steps_per_epoch(batch_size, split, drop_remainder)
        from train.data.pipeline import Plan

        parts, index = self.split(split), list(self.splits).index(split)

        def plan(part: Split, stream: int) -> Plan:
            size = part.size if drop_remainder else parts.size
            steps = size // batch_size if drop_remainder else -(-size // batch_size)
            return Plan(size, batch_size, steps, seed, stream, shuffle)

        # Two random streams in training; the same for x and z outside it, to keep pairs together.
        return plan(parts.x, 2 * index), plan(parts.z, 2 * index + (split == "train"))

    def _smaller(self, split: str) -> Dataset:
        parts = self.split(split)
        smaller = parts.x if parts.x.size <= parts.z.size else parts.z
        return Dataset(self.name, smaller.image_shape, {split: smaller}, self.binarization)


class ResidentPairs:
    """The batches (x, z) of two plans, made on the model's device as in `Resident`."""

    def __init__(self, x: Resident, z: Resident):
        self._x, self._z = x, z

    def chunks(self, start_step: int, size: int) -> tf.data.Dataset:
        """Returns chunks of `size` steps: the results of `Resident.chunks` under "x" and "z"."""
        import tensorflow as tf

        return tf.data.Dataset.zip(
            {"x": self._x.chunks(start_step, size), "z": self._z.chunks(start_step, size)}
        )

    def __call__(self, numbers: dict[str, Any]) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the float32 images x and z of one step."""
        return self._x(numbers["x"]), self._z(numbers["z"])


def check_pair(
    dataset: str, pair: str | None, data_dir: str | os.PathLike[str] | None = None
) -> None:
    """Checks the arguments of `load_pair`; reads no images and needs no TensorFlow.

    Raises:
      InputError: there is no such dataset, the second one is missing, or there is one too many.
    """
    kind = loading.check_name(dataset, data_dir)
    own_pair = kind == "tfds" and dataset.startswith(cycle_gan.PREFIX)
    if own_pair and pair:
        raise InputError(f"{dataset!r} is already a pair: leave out --pair={pair}.")
    if not own_pair and not pair:
        raise InputError(
            f"{dataset!r} is one set of images: add --pair=rotated, edges or coloured, or the "
            "name or folder of another set."
        )
    if pair and pair not in partners.KINDS:
        try:
            loading.check_name(pair, data_dir)
        except InputError:
            if difflib.get_close_matches(pair, partners.KINDS):
                raise unknown("pair", pair, partners.KINDS) from None
            raise


def load_pair(
    dataset: str = embedded.NAME,
    pair: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    skip_bad: bool = False,
    memory_limit: int = loading.MEMORY_LIMIT,
) -> PairedDataset:
    """Loads images of two spaces.

        dataset                pair                        z
        any                    rotated, edges, coloured    made of x: `partners`
        any                    any other                   the images of another dataset
        cycle_gan/horse2zebra  None                        its side B; x is side A

    If z is made from x, one half of the training images gives x and the other half z, so that
    training contains no partners. The halves are the same in every run.

    data_dir, skip_bad: as in `load`.
    memory_limit: in bytes; larger datasets raise an error, since pairs are kept in memory.

    Raises:
      InputError: as `check_pair` and `load`, or the images cannot be paired in this way.
    """
    check_pair(dataset, pair, data_dir)
    if pair is None:
        a, b = cycle_gan.load(dataset, data_dir, memory_limit)
        return _of_two(dataset, a, b)
    x, skipped = _splits(dataset, data_dir, skip_bad, memory_limit)
    name = f"{dataset}+{pair}"
    if pair in partners.KINDS:
        return _derived(name, x, pair, skipped)
    z, skipped_too = _splits(pair, data_dir, skip_bad, memory_limit)
    return _of_two(name, x, z, skipped + skipped_too)


def _splits(
    name: str, data_dir: str | os.PathLike[str] | None, skip_bad: bool, memory_limit: int
) -> tuple[dict[str, Split], int]:
    loaded = loading.load(name, data_dir, "none", skip_bad, memory_limit)
    if len(loaded.image_shape) != 3:
        raise InputError(
            f"{name!r} holds rows of numbers, and pairs are of images: leave out --pair."
        )
    splits = {key: split for key, split in loaded.splits.items() if isinstance(split, Split)}
    if not loaded.resident:
        raise InputError(
            f"The images of {name!r} need more than {memory_limit} bytes, and pairs are kept in "
            "memory: raise memory_limit, or use a part of them."
        )
    return splits, loaded.skipped


def _derived(name: str, given: Mapping[str, Split], kind: str, skipped: int) -> PairedDataset:
    """Returns the images as x, and as z their partners of the given kind."""
    train = given["train"]
    if train.size < 2:
        raise InputError(f"{name!r} has {train.size} training image: a pair needs at least two.")
    halves = np.split(fixed_permutation(train.size), [train.size // 2])
    make = partners.get(kind)
    splits = {}
    for stream, (key, split) in enumerate(given.items()):
        x, source = (train.take(np.sort(h)) for h in halves) if key == "train" else (split, split)
        splits[key] = PairSplit(x, Split(make(source.images, stream), source.labels))
    return _dataset(name, splits, True, skipped)


def _of_two(
    name: str, x: Mapping[str, Split], z: Mapping[str, Split], skipped: int = 0
) -> PairedDataset:
    """Returns a pair of two sets of images; held-out splits are cut to the smaller set."""
    splits = {}
    for key in x:
        parts = PairSplit(x[key], z[key])
        if key != "train":
            both = np.arange(parts.size)
            parts = PairSplit(parts.x.take(both), parts.z.take(both))
        splits[key] = parts
    return _dataset(name, splits, False, skipped)


def _dataset(
    name: str, splits: Mapping[str, PairSplit], true_partners: bool, skipped: int
) -> PairedDataset:
    train = splits["train"]
    shapes = train.x.image_shape, train.z.image_shape
    return PairedDataset(name, *shapes, splits, true_partners, skipped)
