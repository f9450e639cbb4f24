"""Data as people have them in Python: DataFrames, dicts of columns, bytes of images, data sets."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.distributions.conditionals import BaseConditional
from zoo.distributions.likelihoods import Bernoulli
from zoo.errors import InputError
from zoo.tables import tensors
from zoo.tables.reading import is_rows
from zoo.tables.table import Table

SCALED = "These images are uint8: they are divided by 255, so that pixels are between 0 and 1."
_LARGEST = 255.0


class TakesOwnData(keras.Model):
    """Makes x of what `fit`, `evaluate` and `encode` are given, and checks it before training.

    x is an array or a tf.data.Dataset of batches. In place of arrays there may be:

    - uint8 images, which are divided by 255; a warning says so;
    - where p(x|z) is of a table, raw rows: a DataFrame, or a dict of its columns.

    Arrays, and the first batch of a Dataset, are checked: numbers are finite and, for a Bernoulli,
    between 0 and 1.
    """

    decoder: BaseConditional
    feed: Any
    on_nan: str
    _looked: bool = False
    _said: bool = False

    @property
    def table(self) -> Table | None:
        """The columns of x where it is rows of a table, else None."""
        return getattr(getattr(self.decoder, "family", None), "table", None)

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Trains as `keras.Model.fit`, on x of any kind that this class takes."""
        held_out = kwargs.get("validation_data")
        if isinstance(held_out, tuple | list) and held_out:
            kwargs["validation_data"] = (self._arrays(held_out[0]), *held_out[1:])
        elif held_out is not None:
            kwargs["validation_data"] = self._arrays(held_out)
        return super().fit(self._arrays(x), *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluates as `keras.Model.evaluate`, on x of any kind that this class takes."""
        return super().evaluate(self._arrays(x), *args, **kwargs)

    def _arrays(self, x: Any) -> Any:
        """Returns x for Keras, having checked it; what is neither rows nor an array as it is."""
        if isinstance(x, tf.data.Dataset):
            self._look(x)
            return x
        if is_rows(x):
            return self._table_of(x).encode(x)
        if isinstance(x, np.ndarray):
            self._check(x)
        return x

    def _look(self, batches: tf.data.Dataset) -> None:
        """Checks the first batch of the first Dataset, unless what it gives is made elsewhere."""
        if self.feed is not None or self._looked:
            return
        self._looked = True
        for batch in batches.take(1).as_numpy_iterator():
            first = batch[0] if isinstance(batch, tuple) else batch
            if isinstance(first, Mapping):
                self._table_of(first).encode(first)
            else:
                self._check(np.asarray(first))

    def _table_of(self, rows: Any) -> Table:
        """Returns the table that raw rows are of; raises InputError without one."""
        if self.table is None:
            raise InputError(_no_table(rows))
        return self.table

    def _check(self, x: np.ndarray) -> None:
        """Raises InputError for numbers that p(x|z) is not of."""
        if x.dtype == np.uint8:
            if self.table is None and x.size and x.max() <= 1:
                raise InputError(
                    "These uint8 images hold no value above 1, where 255 is white: give "
                    "x.astype('float32')."
                )
            return
        if x.dtype.kind != "f" or not x.size:
            return
        low, high = float(np.min(x)), float(np.max(x))
        if not (np.isfinite(low) and np.isfinite(high)):
            if self.on_nan == "skip":  # as it skips their batches
                return
            raise InputError(
                "x holds numbers that are not finite: correct or leave them out, or skip their "
                "batches by compile(on_nan='skip')."
            )
        family = getattr(self.decoder, "family", None)
        if isinstance(family, Bernoulli) and not (low >= 0.0 and high <= 1.0):
            raise InputError(
                f"x is from {low:.4g} to {high:.4g}, and a Bernoulli likelihood is of x from 0 to "
                "1: scale it, or build with likelihood='normal'."
            )

    def as_x(self, values: Any) -> Any:
        """Returns x of raw rows or of uint8 images; anything else as it is."""
        if is_rows(values):
            table = self._table_of(values)
            symbolic = any(tf.is_tensor(values[name]) for name in values)
            return tensors.encode(table, values) if symbolic else table.encode(values)
        if getattr(values, "dtype", None) in (np.uint8, tf.uint8) and self.table is None:
            if not self._said:
                self._said = True
                warnings.warn(SCALED, stacklevel=2)
            return tf.cast(values, tf.float32) / _LARGEST
        return values


def _no_table(rows: Any) -> str:
    names = ", ".join(map(str, list(rows)[:5]))
    return (
        f"x is given as columns ({names}), and this model's x is no table: build it with "
        "likelihood=zoo.tables.fit(frame)."
    )
