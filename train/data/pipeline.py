"""tf.data pipelines in which batch number `step` is a pure function of (seed, step).

The epoch of a step is step // steps_per_epoch, and its examples are consecutive offsets in that
epoch's permutation, which is evaluated at those offsets only. So a resumed run starts at any step
without replaying earlier ones, and workers share no state.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import tensorflow as tf

from train.data import noise
from train.data.splits import Split, StreamedSplit
from zoo.batch import Batch

# RandomIndexShuffle is a Feistel-like cipher. With the 4 rounds of
# tf.random.experimental.index_shuffle, permutations of 55,000 under neighbouring seeds have
# correlations up to 0.8; from 12 rounds on they are indistinguishable from 0.
_ROUNDS = 16
# A streamed epoch is permuted within blocks of at most this many images and bytes.
_BLOCK_IMAGES = 8192
_BLOCK_BYTES = 2**28
# No `if` here depends on a tensor, so AutoGraph would only cost time.
as_written = tf.autograph.experimental.do_not_convert


@dataclasses.dataclass(frozen=True)
class Plan:
    """The examples in each step, and the position of the step's noise in the random stream.

    stream: a small integer; different splits use different streams.
    part: (index, count): the plan covers one of `count` equal parts of each batch.
    """

    size: int
    batch_size: int
    steps_per_epoch: int
    seed: int
    stream: int
    shuffle: bool
    part: tuple[int, int] = (0, 1)

    def place(self, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the epoch of `step` and the offset in it of the part's first example."""
        first = step % self.steps_per_epoch * self.batch_size
        return step // self.steps_per_epoch, first + self.part[0] * self.part_size

    @property
    def part_size(self) -> int:
        """The number of examples of a full batch that are in the part."""
        return self.batch_size // self.part[1]

    def own(self, batch: tf.Tensor) -> tf.Tensor:
        """Returns the part of a batch [B, ...]."""
        if self.part[1] == 1:
            return batch
        first = self.part[0] * self.part_size
        return batch[first : first + self.part_size]

    def examples(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the indices [B] in the split of the part's examples of batch `step`."""
        epoch, first = self.place(step)
        if self.steps_per_epoch * self.batch_size <= self.size:
            offsets = first + tf.range(self.part_size, dtype=tf.int64)
        else:
            offsets = tf.range(first, tf.minimum(first + self.part_size, self.size))
        if not self.shuffle:
            return offsets
        return self.permute(offsets, tf.constant(self.size, tf.int64), epoch)

    def permute(self, offsets: tf.Tensor, size: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        """Returns permutation `number` of range(size) at `offsets`."""
        return tf.raw_ops.RandomIndexShuffle(
            index=offsets,
            seed=tf.stack([tf.constant(self.seed, tf.int64), self.stream, number]),
            max_index=size - 1,
            rounds=_ROUNDS,
        )

    def uniforms(self, step: tf.Tensor, count: tf.Tensor, pixels: int) -> tf.Tensor:
        """Returns uniform noise [count, pixels] in [0, 1) for the examples of batch `step`.

        An example's noise depends on its position in the epoch, not on its batch.
        """
        epoch, first = self.place(step)
        rows = epoch * self.size + first + tf.cast(tf.range(count), tf.int64)
        return noise.uniforms(self.seed, self.stream, rows, pixels)


def batches(
    split: Split | StreamedSplit,
    image_shape: tuple[int, ...],
    binarization: str,
    plan: Plan,
    start_step: int,
    repeat: bool,
    condition: Any = None,
) -> tf.data.Dataset:
    """Returns the float32 batches [B, H, W, C] of `plan`, or its parts of them, from `start_step`.

    They end with the epoch unless `repeat`. If the condition [N, ...] of a split in memory is
    given, each batch is a `Batch` of x and c.
    """

    if isinstance(split, StreamedSplit):
        numbered = _streamed(split, image_shape, plan, start_step, repeat)

        @as_written
        def streamed(step: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
            images = tf.ensure_shape(images, (None, *image_shape))
            return finished(step, images, binarization, plan)

        made = numbered.map(streamed, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    else:
        with tf.device("CPU:0"):
            resident = tf.constant(split.images)
            given = None if condition is None else tf.constant(condition)

        @as_written
        def gathered(step: tf.Tensor) -> Any:
            examples = plan.examples(step)
            x = finished(step, tf.gather(resident, examples), binarization, plan)
            return x if given is None else Batch(x, c=tf.gather(given, examples))

        numbers = _numbers(start_step, None if repeat else plan.steps_per_epoch)
        made = numbers.map(gathered, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    options = tf.data.Options()
    options.deterministic = True
    # There are no files to divide between the workers of a strategy.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return made.prefetch(tf.data.AUTOTUNE).with_options(options)


def finished(step: tf.Tensor, images: tf.Tensor, binarization: str, plan: Plan) -> tf.Tensor:
    """Returns the images [B, H, W, C] of batch `step` as float32 in [0, 1], binarized."""
    if images.dtype == tf.uint8:
        images = tf.cast(images, tf.float32) / 255.0
    if binarization == "static":
        return tf.cast(images >= 0.5, tf.float32)
    if binarization == "dynamic":
        u = plan.uniforms(step, tf.shape(images)[0], math.prod(images.shape[1:]))
        # x ~ Bernoulli(g): x = 1[u < g], u ~ U[0, 1)
        return tf.cast(tf.reshape(u, tf.shape(images)) < images, tf.float32)
    return images


def _numbers(first: int, end: int | None) -> tf.data.Dataset:
    if end is None:
        return tf.data.Dataset.counter(start=first, dtype=tf.int64)
    return tf.data.Dataset.range(first, end)


def _streamed(
    split: StreamedSplit,
    image_shape: tuple[int, ...],
    plan: Plan,
    start_step: int,
    repeat: bool,
) -> tf.data.Dataset:
    """Returns (step, uint8 batch) pairs, permuted within blocks of the source's fixed order."""
    source = split.open()
    height, width, channels = image_shape
    block = max(plan.batch_size, min(_BLOCK_IMAGES, _BLOCK_BYTES // (height * width * channels)))
    blocks = -(-plan.size // block)
    drop_remainder = plan.steps_per_epoch * plan.batch_size <= plan.size

    @as_written
    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        def permuted(number: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
            count = tf.shape(images, out_type=tf.int64)[0]
            order = plan.permute(tf.range(count), count, epoch * blocks + number)
            return tf.gather(images, order)

        images = source
        if plan.shuffle:
            images = images.batch(block).enumerate().map(permuted).unbatch()
        return images.batch(plan.batch_size, drop_remainder=drop_remainder).map(plan.own)

    first_epoch, skipped = divmod(start_step, plan.steps_per_epoch)
    epochs = _numbers(first_epoch, None if repeat else 1)
    return epochs.flat_map(epoch_batches).skip(skipped).enumerate(start=start_step)
