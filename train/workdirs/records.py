"""The lines of metrics.jsonl: a run's measurements at one step each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from train.workdirs import documents
from zoo.errors import InputError

_LARGEST = 2**63  # of a step
_MOST = 2**32  # bytes of a file; a long run writes about a hundredth of that


class Record(TypedDict):
    """A line of metrics.jsonl."""

    step: int
    split: str
    loss: NotRequired[float]
    mse: NotRequired[float]
    skipped: NotRequired[int]
    seconds: NotRequired[float]
    terms: NotRequired[dict[str, float]]
    constraints: NotRequired[dict[str, float]]
    multipliers: NotRequired[dict[str, float]]


def row(step: int, split: str, logs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns one record of metrics.jsonl: loss, terms, learned constraints and multipliers."""
    values = {name: float(value) for name, value in logs.items()}
    record: dict[str, Any] = {"step": step, "split": split, "loss": values.pop("loss")}
    if "mse" in values:
        record["mse"] = values.pop("mse")
    if "skipped" in values:
        record["skipped"] = int(values.pop("skipped"))
    record["terms"] = {n: v for n, v in values.items() if ": " not in n}
    record["constraints"] = _named(values, "D: ")
    record["multipliers"] = _named(values, "lambda: ")
    return record


def _named(values: Mapping[str, float], prefix: str) -> dict[str, float]:
    return {n.removeprefix(prefix): v for n, v in values.items() if n.startswith(prefix)}


def read(path: Path) -> list[dict[str, Any]]:
    """Returns the records of a file, without an incomplete last line.

    A record must have a step and a split. Other missing fields are filled with nan or {}.

    Raises:
      InputError: it is not a file, or another line is not a record.
    """
    lines = documents.content(path, _MOST).splitlines()
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(_record(documents.parsed(line, finite=False)))
        except ValueError as error:
            if number == len(lines):
                break
            raise InputError(
                f"Line {number} of {path} is not a record ({error}): delete this line and those "
                "after it."
            ) from None
    return rows


def _record(row: Any) -> dict[str, Any]:
    documents.require(row, Record)
    if not 0 <= row["step"] < _LARGEST or row["split"] not in ("train", "validation", "test"):
        raise ValueError(f"it is of step {row['step']} and split {row['split']!r}")
    return {"loss": math.nan, "terms": {}, "constraints": {}, "multipliers": {}} | row
