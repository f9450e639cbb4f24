"""One column of a table: what it holds, and how it is written in x."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo.errors import InputError

NUMERIC, CATEGORICAL = "numeric", "categorical"
MOST_CATEGORIES = 500
MOST_ELEMENTS = 2**20  # of a vector


@dataclasses.dataclass(frozen=True)
class Column:
    """A numeric column, standardised, or a categorical one, written one-hot.

        numeric      x = (y - mean) / stddev, the statistics of training rows
        categorical  x_k = 1 where y is category k, else 0

    Attributes:
      name: of the column.
      mean, stddev: of a numeric column, one number for each element.
      categories: of a categorical one, sorted: strings, booleans or integers. Empty for a numeric
        one.
      vector: whether a row holds several numbers, [N, D], and not one, [N].

    Raises:
      InputError: a standard deviation is not positive, or categories are fewer than two or repeat.
    """

    name: str
    mean: tuple[float, ...] = ()
    stddev: tuple[float, ...] = ()
    categories: tuple[Any, ...] = ()
    vector: bool = False

    def __post_init__(self) -> None:
        if self.categories:
            kinds = {type(category) for category in self.categories}
            count = len(self.categories)
            if len(kinds) > 1 or not kinds <= {str, bool, int}:
                raise InputError(f"The categories of column {self.name!r} are of several kinds.")
            if not 1 < len(set(self.categories)) == count <= MOST_CATEGORIES:
                raise InputError(
                    f"Column {self.name!r} has {count} categories: give from 2 to "
                    f"{MOST_CATEGORIES}, each once."
                )
            return
        if not 0 < len(self.mean) == len(self.stddev) <= MOST_ELEMENTS:
            raise InputError(f"Column {self.name!r} needs a mean and a standard deviation.")
        if len(self.mean) > 1 and not self.vector:
            raise InputError(f"Column {self.name!r} has {len(self.mean)} means for one number.")
        if not all(math.isfinite(m) for m in self.mean) or not all(
            s > 0 and math.isfinite(s) for s in self.stddev
        ):
            raise InputError(
                f"Column {self.name!r} has a mean or standard deviation that is not finite, or a "
                "standard deviation that is not positive."
            )

    @property
    def kind(self) -> str:
        """ "numeric" or "categorical"."""
        return CATEGORICAL if self.categories else NUMERIC

    @property
    def width(self) -> int:
        """How many elements of x the column takes."""
        return len(self.categories) or len(self.mean)

    @property
    def dtype(self) -> Any:
        """NumPy's type of raw values: float64, or that of the categories; str as object."""
        if not self.categories:
            return np.dtype(np.float64)
        return {str: np.dtype(object), bool: np.dtype(bool), int: np.dtype(np.int64)}[
            type(self.categories[0])
        ]

    def encode(self, values: np.ndarray, where: str) -> np.ndarray:
        """Returns raw values [N], or [N, D] of a vector, as float32 [N, width].

        Raises:
          InputError: a category is none of `categories`; `where` is named.
        """
        if not self.categories:
            raw = np.asarray(values, np.float64).reshape(len(values), self.width)
            return ((raw - np.array(self.mean)) / np.array(self.stddev)).astype(np.float32)
        place = {category: k for k, category in enumerate(self.categories)}
        index = np.array([place.get(value, -1) for value in values.tolist()], np.int64)
        if (index < 0).any():
            first = int(np.argmax(index < 0))
            raise InputError(
                f"Column {self.name!r} of {where} has the category {values.tolist()[first]!r} in "
                f"row {first + 1}, which no training row has: leave out such rows, or merge rare "
                "categories before training."
            )
        return np.eye(self.width, dtype=np.float32)[index]

    def decode(self, x: np.ndarray) -> np.ndarray:
        """Returns raw values of x [N, width]: y = mean + stddev x, or the largest category."""
        if self.categories:
            return np.array(self.categories, self.dtype)[np.argmax(x, axis=1)]
        raw = np.array(self.mean) + np.array(self.stddev) * np.asarray(x, np.float64)
        return raw if self.vector else raw[:, 0]

    def to_config(self) -> dict[str, Any]:
        """Returns the column as JSON-able data."""
        found = dataclasses.asdict(self)
        return {key: list(v) if isinstance(v, tuple) else v for key, v in found.items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Column:
        """Returns the column of `to_config`; raises InputError as the class."""

        def listed(name: str) -> Sequence[Any]:
            return config.get(name) or ()

        return cls(
            str(config["name"]),
            tuple(float(value) for value in listed("mean")),
            tuple(float(value) for value in listed("stddev")),
            tuple(listed("categories")),
            bool(config.get("vector", False)),
        )
