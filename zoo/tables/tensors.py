"""A table's rows as tensors: what `Table.encode` and `Table.decode` do, inside a graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from zoo.errors import unknown
from zoo.tables.columns import Column
from zoo.tables.table import Table

_SHOWN = 20  # categories in a sentence
_DTYPES = {str: tf.string, bool: tf.bool, int: tf.int64}


def dtype(column: Column) -> tf.DType:
    """Returns the type of a column's raw values: float64, string, bool or int64."""
    return _DTYPES[type(column.categories[0])] if column.categories else tf.float64


def encode(table: Table, rows: Mapping[str, Any]) -> tf.Tensor:
    """Returns raw rows, {column: [B]}, as x, float32 [B, *table.shape].

    Raises:
      InputError: a column is missing.
      InvalidArgumentError: when it runs, a number is not finite or a category is none of the
        table's; the message is one sentence.
    """
    for name in table.names:
        if name not in rows:
            raise unknown("column", name, list(rows))
    return tf.concat(
        [_encoded(column, rows[column.name]) for column in (*table.numeric, *table.categorical)],
        axis=1,
    )


def decode(table: Table, x: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns x [B, *table.shape] as raw rows, {column: [B]}; the likeliest category of each."""
    places = table.places
    return {column.name: _decoded(column, x[:, places[column.name]]) for column in table.columns}


def _encoded(column: Column, values: Any) -> tf.Tensor:
    values = tf.convert_to_tensor(values)
    if column.categories:
        if values.dtype != dtype(column):
            values = tf.cast(values, dtype(column))
        known = tf.constant(column.categories, dtype(column))
        found = tf.equal(tf.reshape(values, [-1, 1]), known)
        # Without quotation marks, which TensorFlow would escape.
        shown = ", ".join(map(str, column.categories[:_SHOWN]))
        more = len(column.categories) - _SHOWN
        message = (
            f"Column {column.name} holds a category that training data had not: give one of "
            f"{shown}{f' and {more} more' if more > 0 else ''}."
        )
        there = tf.debugging.Assert(tf.reduce_all(tf.reduce_any(found, axis=1)), [message])
        with tf.control_dependencies([] if there is None else [there]):
            return tf.cast(found, tf.float32)
    numbers = tf.reshape(tf.cast(values, tf.float64), [-1, column.width])
    numbers = tf.debugging.check_numerics(numbers, f"Column {column.name} must be finite.")
    mean, stddev = (tf.constant(part, tf.float64) for part in (column.mean, column.stddev))
    # x = (y - mean) / stddev
    return tf.cast((numbers - mean) / stddev, tf.float32)


def _decoded(column: Column, x: tf.Tensor) -> tf.Tensor:
    if column.categories:
        known = tf.constant(column.categories, dtype(column))
        return tf.gather(known, tf.argmax(x, axis=1))
    mean, stddev = (tf.constant(part, tf.float64) for part in (column.mean, column.stddev))
    numbers = mean + stddev * tf.cast(x, tf.float64)
    return numbers if column.vector else numbers[:, 0]
