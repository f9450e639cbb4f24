"""Tables in `.csv` and `.parquet` files, and vectors [N, D] in `.npy` and `.npz` files.

A table is x = standardised numbers and one-hot categories; see `zoo.tables`. Statistics and
categories are those of the training rows.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from train.data.splits import SPLITS, Split, fixed_permutation, held_out_sizes
from zoo.errors import InputError, unknown
from zoo.tables import Table, fit
from zoo.tables.reading import raw

EXTENSIONS = (".csv", ".parquet")
VECTOR = "x"  # the column of vectors, which have no names


@dataclasses.dataclass(frozen=True)
class Options:
    """How the columns of a table are read.

    Attributes:
      categorical: whole numbers that are categories, not numbers.
      drop: columns left out.
      label_column: the column of labels, which are no part of x; None for none.
      split_column: the column that says "train", "validation" or "test" of each row; None: a fixed
        tenth of the rows for each of the latter two.
    """

    categorical: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    label_column: str | None = None
    split_column: str | None = None

    @property
    def given(self) -> str | None:
        """A flag that is given, None if none is."""
        return next((f.name for f in dataclasses.fields(self) if getattr(self, f.name)), None)


def load(path: Path, options: Options) -> tuple[dict[str, Split], Table, tuple[Any, ...]]:
    """Returns the three splits of a file of named columns, its table, and what its labels number.

    Held-out rows are carved so that every category has a training row.

    Raises:
      InputError: the file is damaged or empty, pandas is missing, a column is not there or holds
        what `zoo.tables` refuses, or a held-out row has a category that no training row has.
    """
    where = str(path)
    frame = _read(path)
    names = list(frame.columns)
    apart = [name for name in (options.label_column, options.split_column) if name]
    for name in (*options.drop, *options.categorical, *apart):
        if name not in names:
            raise unknown(f"column of {where}", name, [str(each) for each in names])
    left_out = {*options.drop, *apart}
    kept = [name for name in names if name not in left_out]
    if not kept:
        raise InputError(f"All columns of {where} are left out: keep one.")
    data = {name: frame[name] for name in kept}
    categorical = [name for name in options.categorical if name in data]
    rows = raw(data, categorical, where)
    index = _split(frame, rows, options, where)
    labels, named = _labels(frame, options.label_column, where)
    table = fit({n: v[index["train"]] for n, v in rows.items()}, categorical, where)
    splits = {}
    for name, chosen in index.items():
        x = table.encode({n: v[chosen] for n, v in rows.items()}, f"the {name} rows of {where}")
        splits[name] = Split(x, None if labels is None else labels[chosen])
    return splits, table, named


def vectors(splits: Mapping[str, Split], where: str) -> tuple[dict[str, Split], Table]:
    """Returns splits of raw vectors [N, D] standardised, and their table of one column.

    Raises:
      InputError: an element is constant.
    """
    try:
        table = fit({VECTOR: splits["train"].images}, where=where)
    except InputError as error:
        raise InputError(
            f"{str(error).rstrip('.')}, or give --likelihood=normal, under which vectors are not "
            "standardised."
        ) from None
    found = {
        name: Split(table.encode({VECTOR: split.images}, where), split.labels)
        for name, split in splits.items()
    }
    return found, table


def _read(path: Path) -> Any:
    """Returns a file as a DataFrame of at least one row."""
    try:
        import pandas
    except ImportError as error:
        raise InputError(
            f"{path} is read by pandas, which is not installed: run pip install "
            "'lagrangian-zoo[tables]'."
        ) from error
    try:
        if path.suffix == ".csv":
            _check_header(path)
            frame = pandas.read_csv(path, low_memory=False)
        else:
            frame = pandas.read_parquet(path)
    except InputError:
        raise
    except ImportError as error:
        raise InputError(
            f"{path} is read by pyarrow, which is not installed: run pip install "
            "'lagrangian-zoo[tables]'."
        ) from error
    except Exception as error:  # readers raise many kinds on damaged files
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        kind = path.suffix[1:]
        raise InputError(
            f"{path} cannot be read as a {kind} file ({reason}): it is damaged or something else; "
            "save it again."
        ) from error
    if any(frame.index.names):  # columns that pandas keeps apart
        frame = frame.reset_index()
    if frame.columns.has_duplicates:
        repeated = frame.columns[frame.columns.duplicated()][0]
        raise InputError(f"{path} has two columns called {repeated!r}: rename one.")
    if not len(frame.columns):
        raise InputError(f"{path} has no columns: save a table with a header.")
    if not len(frame):
        raise InputError(f"{path} has a header and no rows: save a table with rows.")
    return frame


def _check_header(path: Path) -> None:
    """Raises InputError for names that pandas would change: none, or one name twice."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        names = next(csv.reader(file), [])
    if not any(name.strip() for name in names):
        raise InputError(f"{path} is empty: save a table with a header and rows.")
    if len(names) == 1 and (other := next((c for c in ";\t|" if c in names[0]), None)):
        raise InputError(
            f"The columns of {path} are separated by {other!r}: save it with commas between them."
        )
    for place, name in enumerate(names, start=1):
        if not name.strip():
            raise InputError(
                f"Column {place} of {path} has no name: name it, or save the table without its "
                "index, as by frame.to_csv(..., index=False)."
            )
        if names.count(name) > 1:
            raise InputError(f"{path} has two columns called {name!r}: rename one.")
    if all(_is_number(name) for name in names):
        raise InputError(
            f"The first line of {path} holds numbers and no names: put a header above it."
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _split(
    frame: Any, rows: Mapping[str, np.ndarray], options: Options, where: str
) -> dict[str, np.ndarray]:
    """Returns the rows of each split."""
    if options.split_column:
        said = raw({options.split_column: frame[options.split_column]}, where=where)
        values = said[options.split_column]
        for value in values.tolist():
            if value not in SPLITS:
                raise InputError(
                    f"Column {options.split_column!r} of {where} holds {value!r}: each row must "
                    "say train, validation or test."
                )
        index = {name: np.flatnonzero(values == name) for name in SPLITS}
        for name, chosen in index.items():
            if not len(chosen):
                raise InputError(
                    f"Column {options.split_column!r} of {where} says {name!r} of no row: say it "
                    "of some."
                )
        return index
    order = fixed_permutation(len(frame))
    sizes = held_out_sizes(len(order), (), where, "row")
    needed = _first_of_categories(order, rows)
    order = np.concatenate([order[~needed], order[needed]])
    index, start = {}, 0
    for name, count in sizes.items():
        index[name] = order[start : start + count]
        start += count
    return {"train": order[start:], **index}


def _first_of_categories(order: np.ndarray, rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns which rows, in `order`, are the first of a category, [N] of booleans."""
    needed = np.zeros(len(order), bool)
    for values in rows.values():
        if values.dtype != np.float64:
            needed[np.unique(values[order], return_index=True)[1]] = True
    return needed


def _labels(
    frame: Any, column: str | None, where: str
) -> tuple[np.ndarray | None, tuple[Any, ...]]:
    """Returns the labels of rows, and what the labels 0, 1, ... stand for.

    Whole numbers are left as they are and stand for nothing; others are numbered in their order.
    """
    if column is None:
        return None, ()
    values = frame[column]
    if values.dtype.kind in "iu":
        return np.asarray(values, np.int64), ()
    found = raw({column: values}, where=where)[column]
    if found.dtype == np.float64:
        raise InputError(
            f"Column {column!r} of {where} holds fractions: labels are texts, booleans or whole "
            "numbers."
        )
    named, labels = np.unique(found, return_inverse=True)
    return labels.astype(np.int64), tuple(named.tolist())
