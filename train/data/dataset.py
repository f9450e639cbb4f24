"""What every source becomes: three splits of examples and the batches made from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from train.data.splits import Split, StreamedSplit
from zoo.errors import InputError, unknown

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from train.data.pipeline import Plan
    from train.data.resident import Resident
    from zoo.tables import Table

BINARIZATIONS = ("auto", "dynamic", "static", "none")


def resolve_binarization(binarization: str, likelihood: str, channels: int = 1) -> str:
    """Returns `binarization` with "auto" decided by the decoder's likelihood.

    "auto" is "dynamic" for a Bernoulli likelihood of 1-channel images, otherwise "none".

    Raises:
      InputError: `binarization` is not one of BINARIZATIONS.
    """
    if binarization not in BINARIZATIONS:
        raise unknown("binarization", binarization, BINARIZATIONS)
    if binarization != "auto":
        return binarization
    return "dynamic" if likelihood == "bernoulli" and channels == 1 else "none"


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Examples of one shape in three separate splits, and how images are binarized.

    image_shape: (H, W, C); (D,) of vectors and of rows of a table.
    splits: "train", "validation", "test"; resident ones hold NumPy `images` and `labels`.
    binarization: "dynamic" (each visit to an image draws x ~ Bernoulli(grey level) anew),
      "static" (x >= 0.5), "none", or "auto", which `resolved` decides.
    skipped: unreadable image files left out at the user's wish.
    labels: what the labels 0, 1, ... stand for, where they number texts or booleans of a table.
    condition: which of `conditions` batches carry, as `given` sets it; None for none.
    table: the columns of x, where it is standardised rows; None for images, and vectors as they
      are.
    """

    name: str
    image_shape: tuple[int, ...]
    splits: Mapping[str, Split] | Mapping[str, StreamedSplit] = dataclasses.field(repr=False)
    binarization: str = "auto"
    skipped: int = 0
    table: Table | None = dataclasses.field(default=None, repr=False)
    labels: tuple[Any, ...] = ()
    condition: str | None = None

    @property
    def conditions(self) -> dict[str, int]:
        """What a model can be conditioned on: name -> number of classes 0, 1, ..."""
        labels = [split.labels for split in self.splits.values()]
        if any(each is None or each.ndim != 1 or each.min() < 0 for each in labels):
            return {}
        return {"label": 1 + max(int(each.max()) for each in labels if each is not None)}

    def given(self, condition: str | None) -> Dataset:
        """Returns this dataset with batches (x, c) of the condition called `condition`.

        Raises:
          InputError: the data has no such condition.
        """
        if condition is not None and condition not in self.conditions:
            has = ", ".join(self.conditions) or "none"
            bare = [name for name, split in self.splits.items() if split.labels is None]
            why = f", as its {' and '.join(bare)} {self.examples} have no labels" if bare else ""
            if has == "none" and self.table is not None:
                why = ", as a table has one by --label_column, and an .npz file by y_train"
            why = why if self.resident else ", as its images are streamed from disk"
            raise InputError(
                f"--condition={condition}: the conditions of {self.name!r} are: {has}{why}."
            )
        if condition is not None and self.conditions[condition] < 2:
            raise InputError(
                f"--condition={condition}: all of {self.name!r} is of one class, which tells "
                "nothing: leave it out."
            )
        if condition is not None and self.conditions[condition] > self.split("train").size:
            raise InputError(
                f"--condition={condition}: {self.name!r} has labels up to "
                f"{self.conditions[condition] - 1}, and {self.split('train').size} training "
                f"{self.examples}: number its classes 0, 1, ..."
            )
        return dataclasses.replace(self, condition=condition)

    @property
    def summary(self) -> str | None:
        """What columns and labels are read as, on lines; None where there is no table."""
        if self.table is None:
            return None
        numbered = ", ".join(f"{number} {label}" for number, label in enumerate(self.labels))
        return self.table.summary() + (f"\nlabels: {numbered}" if numbered else "")

    @property
    def classes(self) -> int | None:
        """How many classes the condition has; None without one."""
        return None if self.condition is None else self.conditions[self.condition]

    def condition_of(self, split: str) -> np.ndarray | None:
        """Returns the condition of each example of a split, [N]; None without one."""
        return None if self.condition is None else self.split(split).labels

    @property
    def examples(self) -> str:
        """What examples are, in a word: images or rows."""
        return "images" if len(self.image_shape) > 1 else "rows"

    @property
    def resident(self) -> bool:
        """Whether all images are in memory; otherwise they are streamed from disk."""
        return all(isinstance(split, Split) for split in self.splits.values())

    def split(self, name: str) -> Split | StreamedSplit:
        """Returns the split called `name`; raises InputError if there is none."""
        if name not in self.splits:
            raise unknown("split", name, self.splits)
        return self.splits[name]

    def resolved(self, likelihood: str) -> Dataset:
        """Returns this dataset with "auto" binarization decided by the likelihood's name."""
        binarization = resolve_binarization(self.binarization, likelihood, self.image_shape[-1])
        return dataclasses.replace(self, binarization=binarization)

    def steps_per_epoch(
        self, batch_size: int, split: str = "train", drop_remainder: bool = True
    ) -> int:
        """Returns the number of batches in one pass over a split.

        Raises:
          InputError: batch_size is below 1, or larger than a split that must fill a batch.
        """
        size = self.split(split).size
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}: it must be at least 1.")
        if not drop_remainder:
            return -(-size // batch_size)
        if batch_size > size:
            raise InputError(
                f"batch_size {batch_size} is larger than the {size} {self.examples} of the {split} "
                f"split of {self.name!r}: use at most {size}."
            )
        return size // batch_size

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
        """Returns batches of float32 images [B, H, W, C] in [0, 1], binarized as declared, or rows.

        With a condition they are `zoo.batch.Batch` of x and c, int64 [B].

        Batch number `step` is a pure function of (seed, step): the pipeline begun at
        start_step = k gives, bit for bit, what an uninterrupted one gives from its k-th batch
        on. Each epoch has its own permutation, and drops its own remainder.

        To evaluate: shuffle=False, repeat=False, drop_remainder=False gives the split once, in
        the order of its labels; under dynamic binarization the images drawn depend on the seed
        alone, not on batch_size.

        part: (index, count), for one of `count` equal parts of every batch; images in memory are
          made for that part only.

        Raises:
          InputError: unknown split, impossible batch_size, or binarization still "auto".
        """
        from train.data import pipeline

        plan = self._plan(split, batch_size, seed, drop_remainder, shuffle, part)
        return pipeline.batches(
            self.split(split),
            self.image_shape,
            self.binarization,
            plan,
            start_step,
            repeat,
            self.condition_of(split),
        )

    def resident_batches(self, split: str, batch_size: int, seed: int) -> Resident:
        """Returns what makes the batches of a resident split inside the training step.

        Raises:
          InputError: as `batches`.
        """
        from train.data.resident import Resident

        plan = self._plan(split, batch_size, seed, drop_remainder=True, shuffle=True)
        images = self.split(split)
        assert isinstance(images, Split)
        return Resident(images.images, self.binarization, plan, self.condition_of(split))

    def _plan(
        self,
        split: str,
        batch_size: int,
        seed: int,
        drop_remainder: bool,
        shuffle: bool,
        part: tuple[int, int] = (0, 1),
    ) -> Plan:
        if self.binarization == "auto":
            raise InputError(
                f"Dataset {self.name!r} has binarization 'auto': call resolved(likelihood), or "
                "load it with 'dynamic', 'static' or 'none'."
            )
        steps = self.steps_per_epoch(batch_size, split, drop_remainder)
        # TensorFlow takes seconds to import, and names are checked before it is needed.
        from train.data.pipeline import Plan

        return Plan(
            size=self.split(split).size,
            batch_size=batch_size,
            steps_per_epoch=steps,
            seed=seed,
            stream=list(self.splits).index(split),
            shuffle=shuffle,
            part=part,
        )
