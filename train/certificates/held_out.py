"""Terms and learned constraints on held-out batches, one value for each batch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.batch import Batch
from zoo.errors import InputError
from zoo.model.inputs import checked
from zoo.model.lagrangian import Lagrangian
from zoo.tables.reading import is_rows

WANTED_BATCHES = 32
TRAINING_BATCH = 128


@dataclasses.dataclass(frozen=True)
class Measurements:
    """Terms and learned constraints D_j, measured on each of `count` batches of `size` examples.

    Attributes:
      left_out: images in a smaller last batch, which is not used: MMD's noise depends on the size.
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
    """Returns data as batches that can be iterated over several times.

    Args:
      model: the model that the data is for.
      data: x, an array [N, ...] or anything else `zoo.model.own_data` takes; two arrays
        (x, labels), or (x, z) where z is data; a tf.data.Dataset of such batches; or another
        iterable of batches of floats, which is returned unchanged.
      size: the batch size for arrays; if None, `batch_size` chooses it from their length.

    Raises:
      InputError: arrays do not have the model's shape or differ in length, a dataset is not batched
        or infinite, or the data can be iterated over only once.
    """
    shape = model.encoder.condition_shape
    if isinstance(data, tf.data.Dataset):
        if data.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise InputError(
                "The held-out data is infinite: remove its repeat(), or limit it with take()."
            )
        spec = Batch.of(data.element_spec).x
        if is_rows(spec) or spec.dtype == tf.uint8:
            kind = Batch if isinstance(data.element_spec, Batch) else _as_they_are
            data = data.map(lambda *parts: _with_x(model, kind(*parts)))
        x = tf.nest.flatten(data.element_spec)[0]
        if x.shape.rank == len(shape):
            raise InputError("The held-out data is not batched: give data.batch(128).")
        return data
    if is_rows(data) or isinstance(data, tuple | np.ndarray | tf.Tensor):
        data = _with_x(model, data)
    arrays = data if isinstance(data, tuple) else (data,)
    if all(isinstance(array, np.ndarray | tf.Tensor) for array in arrays):
        lengths = [len(array) for array in arrays]
        if len(set(lengths)) > 1:
            raise InputError(f"The held-out arrays have {lengths} rows: give arrays of one length.")
        checked(arrays[0][:1], shape, "images")
        kept = tf.data.Dataset.from_tensor_slices(data)
        return kept.batch(size or batch_size(lengths[0], TRAINING_BATCH))
    if iter(data) is data:
        raise InputError(
            "The held-out data can be iterated over only once: give arrays, a list of batches or a "
            "tf.data.Dataset."
        )
    return data


def _with_x(model: Any, batch: Any) -> Any:
    """Returns x, (x, second) or a Batch with x as the model's networks take it."""
    if isinstance(batch, Batch):
        return batch._replace(x=model.as_x(batch.x))
    return (model.as_x(batch[0]), *batch[1:]) if isinstance(batch, tuple) else model.as_x(batch)


def _as_they_are(*parts: Any) -> Any:
    """Returns what a data set gives its functions as several arguments."""
    return parts if len(parts) > 1 else parts[0]


def batch_size(examples: int, training: int) -> int:
    """Returns the batch size for certifying: training's, or a smaller one to have enough batches.

    Every mean, and the U-statistic of MMD, is unbiased in batches of any size.
    """
    return max(2, min(training, examples // WANTED_BATCHES))


def measure(
    model: Any, batches: Iterable[Any], seed: int = 0, lagrangian: Lagrangian | None = None
) -> Measurements:
    """Returns terms and constraints on held-out batches, with the estimators of training.

    Args:
      batches: images [B, ...], or pairs: (images, labels), or (x, z) where z is data, or (x, c)
        where there is a condition.
      lagrangian: the Lagrangian with the constraints to measure; the model's if None.

    Raises:
      InputError: there are no images.
    """
    lagrangian = lagrangian or model.lagrangian

    rows: list[dict[str, float]] = []
    size = left_out = 0
    for index, batch in enumerate(batches):
        x, z, c = Batch.to(model, batch)
        size = size or len(x)
        if len(x) != size:
            left_out += len(x)
            continue
        noise_seed = tf.constant([seed, index], tf.int32)
        found = model.traced_terms(tf.convert_to_tensor(x), noise_seed, z, *_given(c))
        rows.append({name: float(value) for name, value in found.items()})
    if not rows:
        raise InputError("There are no held-out images: give at least one batch.")
    terms = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    # D_j = sum_i C_ij term_i, only over i with C_ij != 0: the other terms may not be finite
    constraints = [
        sum(c * terms[name] for c, name in zip(column, lagrangian.terms, strict=True) if c)
        for column in lagrangian.slopes.T.astype(np.float64)
    ]
    table = np.array(constraints).reshape(len(constraints), len(rows))
    return Measurements(len(rows), size, left_out, terms, table)


def evaluated(model: Any, batches: Iterable[Any]) -> dict[str, float]:
    """Returns what `model.evaluate` logs, computed by one process without the other replicas.

    Args:
      batches: as for `measure`, of any sizes.
    """
    rows, sizes = [], []
    for number, batch in enumerate(batches):
        x, z, c = Batch.to(model, batch)
        found = model.traced_held_out_values(x, tf.constant(number), z, *_given(c))
        rows.append({name: float(value) for name, value in found.items()})
        sizes.append(len(x))
    means = {name: np.average([row[name] for row in rows], weights=sizes) for name in rows[0]}
    values = {name: tf.constant(mean, tf.float32) for name, mean in means.items()}
    loss = model.lagrangian.value(values, model.multipliers.value)
    logs = {"loss": loss, **model.with_constraints(values)}
    return {name: float(value) for name, value in logs.items()}


def with_classes(batches: Iterable[Any], most: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first images [N, ...] of batches (x, c), and their conditions [N, ...]."""
    columns: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for batch in batches:
        x, _, c = Batch.of(batch, conditional=True).parts()
        for column, part in zip(columns, (x, c), strict=True):
            column.append(np.asarray(part))
        if sum(map(len, columns[0])) >= most:
            break
    x, c = (np.concatenate(column)[:most] for column in columns)
    return x, c


def information(model: Any, batches: Iterable[Any], points: int, seed: int) -> Any:
    """Returns I_q(x;z) on the first `points` images; I_q(x;z|c) if the condition is a class.

    None if the condition is not a class, or a class has fewer than two images.
    """
    from zoo.metrics import information_given_classes, mutual_information

    if getattr(model, "condition", None) is None:
        return mutual_information(model, _first(images(batches), points), seed)
    try:
        x, c = with_classes(batches, points)
        return information_given_classes(
            lambda given, of_class: mutual_information(given, of_class, seed), model, x, c
        )
    except InputError:
        return None


def _first(parts: Iterable[Any], points: int) -> Iterator[Any]:
    """Yields batches of the first `points` images."""
    for x in parts:
        if points <= 0:
            return
        yield x[:points]
        points -= len(x)


def images(batches: Iterable[Any]) -> Iterator[Any]:
    """Yields the images of batches of images, or of (images, labels)."""
    return (batch[0] if isinstance(batch, tuple) else batch for batch in batches)


def _given(condition: Any) -> tuple[Any, ...]:
    return () if condition is None else (condition,)
