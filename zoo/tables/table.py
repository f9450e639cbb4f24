"""A table's columns together: raw rows to x and back, and the change of units of log densities."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from zoo.errors import InputError
from zoo.tables import reading
from zoo.tables.columns import Column

MOST_WIDTH = 2**20


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns, in the order of the data; in x all numeric ones come first.

        x = [standardised numbers, one-hot categories]

    Raises:
      InputError: there are no columns, two have one name, or x would be too long.
    """

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        if not self.columns:
            raise InputError("A table needs columns: make one with zoo.tables.fit(frame).")
        names = self.names
        if len(set(names)) < len(names):
            repeated = next(name for name in names if names.count(name) > 1)
            raise InputError(f"Two columns are called {repeated!r}: rename one.")
        if sum(column.width for column in self.columns) > MOST_WIDTH:
            raise InputError(f"The columns have more than {MOST_WIDTH} elements: leave some out.")

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def numeric(self) -> list[Column]:
        """The numeric columns, whose elements are the first of x."""
        return [column for column in self.columns if not column.categories]

    @property
    def categorical(self) -> list[Column]:
        """The categorical columns, whose elements follow."""
        return [column for column in self.columns if column.categories]

    @property
    def numbers(self) -> int:
        """How many elements of x are numbers."""
        return sum(column.width for column in self.numeric)

    @property
    def shape(self) -> tuple[int]:
        """The shape of x."""
        return (sum(column.width for column in self.columns),)

    @property
    def places(self) -> dict[str, slice]:
        """Column -> its elements of x."""
        found, start = {}, 0
        for column in (*self.numeric, *self.categorical):
            found[column.name] = slice(start, start + column.width)
            start += column.width
        return found

    @property
    def log_det(self) -> float:
        """log |det dy/dx| = sum of log stddev: log p(y) = log p(x) - log_det, in nats.

        y are raw values in their own units. Categories have no units.
        """
        return math.fsum(math.log(s) for column in self.numeric for s in column.stddev)

    def encode(self, data: Any, where: str = "the data") -> np.ndarray:
        """Returns rows as x, float32 [N, *shape].

        Args:
          data: a DataFrame or a dict of arrays [N], with these columns and perhaps others.
          where: what errors call the data.

        Raises:
          InputError: a column is missing, or holds what it may not; see `reading.raw`.
        """
        rows = reading.raw(data, where=where, columns=self.columns)
        parts = [
            column.encode(rows[column.name], where) for column in (*self.numeric, *self.categorical)
        ]
        return np.concatenate(parts, axis=1)

    def decode(self, x: Any) -> dict[str, np.ndarray]:
        """Returns x [N, *shape] as raw rows, {column: [N]}; the likeliest category of each.

        Raises:
          InputError: x has another shape.
        """
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[1:] != self.shape:
            raise InputError(f"x has shape {x.shape}: this table needs (N, {self.shape[0]}).")
        places = self.places
        return {column.name: column.decode(x[:, places[column.name]]) for column in self.columns}

    def sample(
        self, model: Any, n: int, seed: int = 0, condition: Any = None
    ) -> dict[str, np.ndarray]:
        """Returns n rows drawn from a model of this table, x ~ p(x|z) at z ~ p(z), as raw rows.

        `model.sample` gives means E[x|z] in place of draws; `condition` is as there.
        """
        return self.decode(model.draw(n, seed, condition))

    def to_config(self) -> list[dict[str, Any]]:
        """Returns the columns as JSON-able data."""
        return [column.to_config() for column in self.columns]

    @classmethod
    def from_config(cls, config: Iterable[Mapping[str, Any]]) -> Table:
        """Returns the table of `to_config`; raises InputError as the class and `Column`."""
        return cls(tuple(Column.from_config(column) for column in config))

    def summary(self) -> str:
        """Returns the columns in one sentence: "2 numeric columns (age, height); sex: 2 ..."."""
        parts = []
        if self.numeric:
            names = ", ".join(f"{c.name} [{c.width}]" if c.vector else c.name for c in self.numeric)
            parts.append(f"{len(self.numeric)} numeric ({names})")
        if self.categorical:
            names = ", ".join(f"{c.name} of {c.width}" for c in self.categorical)
            parts.append(f"{len(self.categorical)} categorical ({names})")
        return f"columns: {'; '.join(parts)}"

    def difference(self, other: Table) -> str | None:
        """Returns the first difference of another table's columns, None if they are equal."""
        for ours, theirs in zip(self.columns, other.columns, strict=False):
            if ours != theirs:
                changed = next(
                    f.name
                    for f in dataclasses.fields(Column)
                    if getattr(ours, f.name) != getattr(theirs, f.name)
                )
                return f"column {ours.name!r} has another {changed}"
        if len(self.columns) != len(other.columns):
            return f"it has {len(other.columns)} columns where {len(self.columns)} were"
        return None
