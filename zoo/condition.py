"""The condition c of a conditional model: its values, and their encoding for networks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.errors import InputError


@dataclasses.dataclass(frozen=True)
class Condition:
    """Classes 0 .. K-1, encoded as one-hot vectors [K], or float tensors of one shape.

        Condition.of(classes=10)      c is a whole number for each example, [B]
        Condition.of(shape=(5,))      c is floats, [B, 5]

    Attributes:
      shape: the shape of one encoded example.
      classes: K, or None.
    """

    shape: tuple[int, ...]
    classes: int | None = None

    @classmethod
    def of(cls, classes: Any = None, shape: Any = None) -> Condition | None:
        """Returns the condition for the arguments of `zoo.build`; None if both are None.

        Raises:
          InputError: both are given, or the value is not a number of classes or a shape.
        """
        if classes is None and shape is None:
            return None
        if classes is not None and shape is not None:
            raise InputError(
                f"condition={classes!r} and condition_shape={shape!r} were both given: give "
                "condition= for classes, or condition_shape= for numbers."
            )
        if shape is None:
            if not _is_positive(classes) or classes < 2:
                raise InputError(
                    f"condition is {classes!r}: give the number of classes, 2 or more; a "
                    "condition of numbers has a condition_shape."
                )
            return cls((int(classes),), int(classes))
        sizes = tuple(shape) if isinstance(shape, Sequence) else (shape,)
        if isinstance(shape, str) or not sizes or not all(map(_is_positive, sizes)):
            raise InputError(
                f"condition_shape is {shape!r}: give positive whole numbers, such as (10,); "
                "condition=10 is for ten classes."
            )
        return cls(tuple(int(size) for size in sizes))

    @property
    def size(self) -> int:
        """The number of elements of one encoded example."""
        return math.prod(self.shape)

    @property
    def wants(self) -> str:
        """A description of one batch, for error sentences."""
        if self.classes is not None:
            return f"whole numbers from 0 to {self.classes - 1}, (batch,)"
        return f"floats, ({', '.join(map(str, ('batch', *self.shape)))})"

    def encoded(self, values: Any, count: Any = None) -> tf.Tensor:
        """Returns the encoding of a condition for networks, float32 [B, *shape].

        A class outside of 0 .. K-1 raises an error; inside a graph it is encoded as nan.

        Args:
          values: [B] whole numbers, or [B, *shape] floats. With `count`, it may be one example, a
            whole number or [*shape], which is repeated.
          count: the number of examples, a number or a scalar tensor.

        Raises:
          InputError: the type, the shape, a class or the number of examples does not fit.
        """
        values = tf.convert_to_tensor(values)
        whole = self.classes is not None
        if whole and values.shape.rank == 2 and values.shape[1] == 1:
            values = values[:, 0]
        of_one = tf.TensorShape([] if whole else self.shape)
        fits = values.dtype.is_integer if whole else values.dtype.is_floating
        if fits and count is not None and of_one.is_compatible_with(values.shape):
            values = tf.repeat(values[tf.newaxis], count, axis=0)
        if not fits or not tf.TensorShape([None, *of_one]).is_compatible_with(values.shape):
            shape = ", ".join("batch" if s is None else str(s) for s in values.shape)
            raise InputError(
                f"This condition is {values.dtype.name} of shape ({shape}): the model needs "
                f"{self.wants}."
            )
        number = None if count is None else tf.get_static_value(count)
        if number is not None and values.shape[0] not in (None, int(number)):
            raise InputError(
                f"The condition holds {values.shape[0]} examples where there are {int(number)}: "
                "give one for each, or a single one for all."
            )
        return self._one_hot(values) if whole else tf.cast(values, tf.float32)

    def _one_hot(self, classes: tf.Tensor) -> tf.Tensor:
        known = tf.get_static_value(classes)
        if known is not None and known.size and not 0 <= known.min() <= known.max() < self.shape[0]:
            wrong = known.min() if known.min() < 0 else known.max()
            raise InputError(
                f"The condition holds the class {wrong}: the model has {self.classes} classes, "
                f"from 0 to {self.shape[0] - 1}."
            )
        found = tf.one_hot(classes, self.shape[0], dtype=tf.float32)
        inside = (classes >= 0) & (classes < self.shape[0])
        return found if known is not None else tf.where(inside[:, tf.newaxis], found, math.nan)

    def values(self, count: int) -> np.ndarray:
        """Returns `count` classes in turn, 0, 1, ...; raises InputError if c has no classes."""
        if self.classes is None:
            raise InputError(
                f"The condition has shape {self.shape}, with no classes to go through: give "
                "condition=."
            )
        return np.arange(count) % self.classes

    def get_config(self) -> dict[str, Any]:
        return {"shape": list(self.shape), "classes": self.classes}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Condition | None:
        if config["classes"] is not None:
            return cls.of(classes=config["classes"])
        return cls.of(shape=tuple(config["shape"]))


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) > 0
