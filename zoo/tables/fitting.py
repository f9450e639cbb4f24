"""The statistics of training rows, which make a Table of columns."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from zoo.errors import InputError
from zoo.tables import reading
from zoo.tables.columns import MOST_CATEGORIES, Column
from zoo.tables.table import Table

# Below this part of its size, a column's spread is rounding.
_SMALLEST_SPREAD = 1e-12
_SMALL = 20  # rows, of which all may differ in a column of categories


def fit(
    data: Any,
    categorical: Collection[str] = (),
    where: str = "the data",
) -> Table:
    """Returns the Table of training rows: their means, standard deviations and categories.

    Strings and booleans are categories. Numbers are numeric, but whole numbers named in
    `categorical` are categories too.

    Args:
      data: a DataFrame, or a dict of arrays: [N], or numbers [N, D].
      where: what errors call the data.

    Raises:
      InputError: as `reading.raw`, or a column is constant, has more than 500 categories, or
        another category in every row.
    """
    rows = reading.raw(data, categorical, where)
    return Table(tuple(_column(name, values, where) for name, values in rows.items()))


def _column(name: str, values: np.ndarray, where: str) -> Column:
    if values.dtype == np.float64:
        return _numeric(name, values, where)
    categories = sorted(set(values.tolist()))
    if len(categories) == 1:
        raise InputError(
            f"Column {name!r} of {where} is {categories[0]!r} in every training row: leave the "
            "column out."
        )
    fix = "leave the column out, or merge its rare categories"
    if len(categories) > MOST_CATEGORIES:
        raise InputError(
            f"Column {name!r} of {where} has {len(categories)} categories, and at most "
            f"{MOST_CATEGORIES} are modelled: {fix}."
        )
    if len(categories) == len(values) > _SMALL:
        raise InputError(
            f"Column {name!r} of {where} has another category in each of its {len(values)} "
            f"training rows, as identifiers have: {fix}."
        )
    return Column(name, categories=tuple(categories))


def _numeric(name: str, values: np.ndarray, where: str) -> Column:
    rows = values.reshape(len(values), -1)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, stddev = rows.mean(axis=0), rows.std(axis=0)
    if not (np.isfinite(mean).all() and np.isfinite(stddev).all()):
        raise InputError(
            f"Column {name!r} of {where} holds numbers too large to standardise: divide them."
        )
    constant = stddev <= _SMALLEST_SPREAD * np.abs(mean)
    if constant.any():
        place = int(np.argmax(constant))
        which = f"Element {place} of column" if values.ndim > 1 else "Column"
        what = "it" if values.ndim > 1 else "the column"
        raise InputError(
            f"{which} {name!r} of {where} is {rows[0, place]} in every training row: leave {what} "
            "out."
        )
    return Column(name, tuple(mean.tolist()), tuple(stddev.tolist()), vector=values.ndim > 1)
