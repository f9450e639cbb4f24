"""From a DataFrame or a dict of arrays to clean columns, each checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from zoo.errors import InputError, unknown
from zoo.tables.columns import MOST_ELEMENTS, Column


def raw(
    data: Any,
    categorical: Collection[str] = (),
    where: str = "the data",
    columns: Sequence[Column] | None = None,
) -> dict[str, np.ndarray]:
    """Returns the columns as arrays: float64 of numbers, and object, bool or int64 of categories.

    Args:
      columns: those to read, and as what; None for all.

    Raises:
      InputError: there are no rows or columns; a column is missing, is there twice or has no name,
        or holds missing values, infinities, dates or values of several kinds; or columns have
        different lengths.
    """
    names = _names(data, where)
    wanted = names
    if columns is not None:
        wanted = [column.name for column in columns]
        categorical = [c.name for c in columns if c.categories and c.dtype == np.int64]
    for name in (*wanted, *categorical):
        if name not in names:
            raise unknown(f"column of {where}", str(name), names)
    rows = {name: _clean(name, data[name], name in categorical, where) for name in wanted}
    sizes = {name: len(values) for name, values in rows.items()}
    if len(set(sizes.values())) > 1:
        raise InputError(f"The columns of {where} have different lengths {sizes}.")
    if not next(iter(sizes.values())):
        raise InputError(f"There are columns but no rows in {where}: give some.")
    for column in columns or ():
        _check_kind(column, rows[column.name], where)
    return rows


def _names(data: Any, where: str) -> list[str]:
    if not isinstance(data, Mapping) and not is_frame(data):
        raise InputError(
            f"A table is a DataFrame or a dict of columns, and {where} is of type "
            f"{type(data).__name__}."
        )
    names = list(data if isinstance(data, Mapping) else data.columns)
    if not names:
        raise InputError(f"There are no columns in {where}: give some.")
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise InputError(
                f"A column of {where} is called {name!r}: give it a text as its name, as by "
                "frame.columns = [...]."
            )
    if repeated := [name for name in names if names.count(name) > 1]:
        raise InputError(f"{where} has two columns called {repeated[0]!r}: rename one.")
    return names


def is_frame(data: Any) -> bool:
    """Whether `data` is a DataFrame, of pandas or one with the same `columns`."""
    return hasattr(data, "columns") and hasattr(data, "iloc")


def is_rows(values: Any) -> bool:
    """Whether `values` are columns by name: a dict or a DataFrame."""
    return isinstance(values, Mapping) or is_frame(values)


def _clean(name: str, values: Any, categorical: bool, where: str) -> np.ndarray:
    """Returns a column as float64, or as object, bool or int64 where it holds categories."""
    array = _array(values)
    if array.ndim == 2 and array.dtype.kind in "fiu" and not categorical:
        if not 0 < array.shape[1] <= MOST_ELEMENTS:
            raise InputError(f"Column {name!r} of {where} has shape {array.shape}.")
        return _finite(name, array.astype(np.float64), where)
    if array.ndim != 1:
        raise InputError(
            f"Column {name!r} of {where} has shape {array.shape}: give one value a row, or rows of "
            "numbers [N, D]."
        )
    if array.dtype.kind == "S":
        array = array.astype(object)
    if array.dtype.kind in "OU":
        array = _of_objects(name, array, where)
    if array.dtype.kind in "Mm":
        raise InputError(
            f"Column {name!r} of {where} holds dates or durations: make numbers of them, such as "
            "days since the first, or leave the column out."
        )
    if array.dtype.kind in "fiu":
        found = _finite(name, array.astype(np.float64), where)
        return _whole(name, array, where) if categorical else found
    if array.dtype.kind not in "bO":
        raise InputError(f"Column {name!r} of {where} is of type {array.dtype}: leave it out.")
    return array


def _array(values: Any) -> np.ndarray:
    """Returns values as an array; a list as one of objects, where NumPy would make texts of all."""
    array = np.asarray(values)
    if isinstance(values, list | tuple) and array.ndim == 1:
        array = np.empty(len(values), object)
        array[:] = values
    return array


def _of_objects(name: str, array: np.ndarray, where: str) -> np.ndarray:
    """Returns an array of Python's objects as one of numbers, booleans or strings."""
    # TensorFlow's strings are bytes.
    values = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in array.tolist()]
    missing = np.array([_is_missing(value) for value in values], bool)
    if missing.any():
        raise _missing(name, missing, where)
    kinds = {_kind(value) for value in values}
    if kinds <= {str}:
        return np.array(values, object)
    if kinds == {bool}:
        return np.array(values, bool)
    if kinds == {int}:
        return np.array(values, np.int64)
    if kinds <= {int, float}:
        return np.array(values, np.float64)
    found = " and ".join(sorted(f"{kind.__name__} ({_example(values, kind)!r})" for kind in kinds))
    raise InputError(
        f"Column {name!r} of {where} holds values of several kinds or of none that is known, "
        f"{found}: make them all numbers or all texts."
    )


def _kind(value: Any) -> type:
    for kinds, kind in (
        ((bool, np.bool_), bool),
        ((int, np.integer), int),
        ((float, np.floating), float),
    ):
        if isinstance(value, kinds):
            return kind
    # Decimals are numbers.
    return float if type(value).__name__ == "Decimal" else type(value)


def _example(values: list[Any], kind: type) -> Any:
    return next(value for value in values if _kind(value) is kind)


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _finite(name: str, array: np.ndarray, where: str) -> np.ndarray:
    rows = array.reshape(len(array), -1) if array.size else array.reshape(len(array), 0)
    if (missing := np.isnan(rows).any(axis=1)).any():
        raise _missing(name, missing, where)
    if (infinite := np.isinf(rows).any(axis=1)).any():
        raise InputError(
            f"Column {name!r} of {where} is infinite in {infinite.sum()} row(s), first in row "
            f"{int(np.argmax(infinite)) + 1}: correct or leave out those rows."
        )
    return array


def _missing(name: str, missing: np.ndarray, where: str) -> InputError:
    return InputError(
        f"Column {name!r} of {where} has no value in {missing.sum()} of {len(missing)} rows, first "
        f"in row {int(np.argmax(missing)) + 1}: fill them in, or leave out those rows or the "
        "column."
    )


def _whole(name: str, array: np.ndarray, where: str) -> np.ndarray:
    """Returns numbers that are categories, which have to be whole, as int64."""
    whole = array.astype(np.int64)
    if not np.array_equal(whole, array):
        first = int(np.argmax(whole != array))
        raise InputError(
            f"Column {name!r} of {where} is {array[first]} in row {first + 1}: categories are "
            "texts, booleans or whole numbers, so do not name it categorical."
        )
    return whole


def _check_kind(column: Column, values: np.ndarray, where: str) -> None:
    """Raises InputError unless raw values are of the kind that a column had in training."""
    if values.dtype != column.dtype:
        was = "categories" if column.categories else "numbers"
        raise InputError(
            f"Column {column.name!r} of {where} holds {values.dtype.name} where training data had "
            f"{was} of type {column.dtype.name}: convert it."
        )
    width = values.shape[1:] if values.ndim > 1 else ()
    if width != ((column.width,) if column.vector else ()):
        raise InputError(
            f"Column {column.name!r} of {where} has shape {values.shape} where training data had "
            f"{column.width} number(s) a row."
        )
