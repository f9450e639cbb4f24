"""Terms and learned constraints on held-out batches, one value for each batch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from zoo import priors
from zoo.errors import InputError
from zoo.model.inputs import checked
from zoo.model.lagrangian import Lagrangian

WANTED_BATCHES = 32
TRAINING_BATCH = 128


@dataclasses.dataclass(frozen=True)
class Measurements:
    """What each of `count` batches of `size` gives: terms by name, and learned constraints D_j.

    Attributes:
      left_out: images of a smaller last batch, which is not counted: MMD's noise depends on size.
      terms: name -> [count].
      constraints: [m, count], in their own units.
    """

    count: int
    size: int
    left_out: int
    terms: dict[str, np.ndarray]
    constraints: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        return self.constraints.mean(axis=1)

    @property
    def deviation(self) -> np.ndarray:
        """The standard deviation of one batch's estimate, [m]."""
        if self.count < 2:
            return np.zeros(len(self.constraints))
        return self.constraints.std(axis=1, ddof=1)

    @property
    def error(self) -> np.ndarray:
        """The standard error of the mean, [m]."""
        return self.deviation / math.sqrt(self.count)


def in_batches(model: Any, data: Any, size: int | None = None) -> Iterable[Any]:
    """Returns data as batches that can be gone through several times.

    Args:
      model: whose images they are.
      data: an array [N, ...] of x; two arrays (x, labels), or (x, z) where z is data; a
        tf.data.Dataset or another iterable of such batches, which is returned as it is.
      size: of a batch of arrays; `batch_size` of their number if None.

    Raises:
      InputError: arrays do not have the model's shape or differ in length, a dataset has no
        batches or no end, or the data can be gone through only once.
    """
    shape = model.encoder.condition_shape
    if isinstance(data, tf.data.Dataset):
        if data.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise InputError(
                "The held-out data has no end: leave out its repeat(), or take() some."
            )
        x = tf.nest.flatten(data.element_spec)[0]
        if x.shape.rank == len(shape):
            raise InputError("The held-out data has single images: give data.batch(128).")
        return data
    arrays = data if isinstance(data, tuple) else (data,)
    if all(isinstance(array, np.ndarray | tf.Tensor) for array in arrays):
        lengths = [len(array) for array in arrays]
        if len(set(lengths)) > 1:
            raise InputError(f"The held-out arrays have {lengths} rows: give as many of each.")
        checked(arrays[0][:1], shape, "images")
        kept = tf.data.Dataset.from_tensor_slices(data)
        return kept.batch(size or batch_size(lengths[0], TRAINING_BATCH))
    if iter(data) is data:
        raise InputError(
            "The held-out data can be gone through only once: give arrays, a list of batches or a "
            "tf.data.Dataset."
        )
    return data


def batch_size(examples: int, training: int) -> int:
    """Returns the batch size to certify with: the training's, unless the batches were too few.

    Every mean, and the U-statistic of MMD, is unbiased in batches of any size.
    """
    return max(2, min(training, examples // WANTED_BATCHES))


def measure(
    model: Any, batches: Iterable[Any], seed: int = 0, lagrangian: Lagrangian | None = None
) -> Measurements:
    """Returns terms and constraints on held-out batches, with the estimators training uses.

    Args:
      batches: images [B, ...], or pairs: (images, labels), or (x, z) where z is data.
      lagrangian: whose constraints are measured; the model's own if None.

    Raises:
      InputError: there are no images.
    """
    lagrangian = lagrangian or model.lagrangian

    rows: list[dict[str, float]] = []
    size = left_out = 0
    pairs = priors.is_data(model.prior)
    for index, batch in enumerate(batches):
        x, z = batch if isinstance(batch, tuple) else (batch, None)
        size = size or len(x)
        if len(x) != size:
            left_out += len(x)
            continue
        noise_seed = tf.constant([seed, index], tf.int32)
        found = model.traced_terms(tf.convert_to_tensor(x), noise_seed, z if pairs else None)
        rows.append({name: float(value) for name, value in found.items()})
    if not rows:
        raise InputError("There are no held-out images: give at least one batch.")
    terms = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    # D_j = sum_i C_ij term_i, over the i with C_ij != 0: another term may not be finite
    constraints = [
        sum(c * terms[name] for c, name in zip(column, lagrangian.terms, strict=True) if c)
        for column in lagrangian.slopes.T.astype(np.float64)
    ]
    table = np.array(constraints).reshape(len(constraints), len(rows))
    return Measurements(len(rows), size, left_out, terms, table)


def evaluated(model: Any, batches: Iterable[Any]) -> dict[str, float]:
    """Returns what `model.evaluate` logs, by one process alone for all replicas.

    Args:
      batches: images [B, ...], or (x, z) where z is data; of any sizes.
    """
    rows, sizes = [], []
    for number, batch in enumerate(batches):
        x, z = batch if isinstance(batch, tuple) else (batch, None)
        found = model.traced_held_out_values(x, tf.constant(number), z)
        rows.append({name: float(value) for name, value in found.items()})
        sizes.append(len(x))
    means = {name: np.average([row[name] for row in rows], weights=sizes) for name in rows[0]}
    values = {name: tf.constant(mean, tf.float32) for name, mean in means.items()}
    loss = model.lagrangian.value(values, model.multipliers.value)
    logs = {"loss": loss, **model.with_constraints(values)}
    return {name: float(value) for name, value in logs.items()}


def images(batches: Iterable[Any]) -> Iterator[Any]:
    """Yields the images of batches of images, or of (images, labels)."""
    return (batch[0] if isinstance(batch, tuple) else batch for batch in batches)
