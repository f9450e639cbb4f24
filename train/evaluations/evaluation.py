"""evaluation.json: the measurements of a run, kept from one evaluation to the next."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from train.evaluations.measures.table import Measure
from train.evaluations.subject import Subject
from train.workdirs import documents
from train.workdirs.workdir import Workdir, write_atomically
from zoo.errors import InputError

FILE = "evaluation.json"


class _Metric(TypedDict):
    value: float | None


class _Evaluation(TypedDict):
    model: str
    metrics: dict[str, _Metric]
    skipped: dict[str, str]


def read(path: Path) -> dict[str, Any] | None:
    """Returns the contents of evaluation.json in the run folder `path`; None if it is missing.

    Raises:
      InputError: the file is damaged.
    """
    file = Path(path) / FILE
    if not file.exists():
        return None
    return documents.read(file, "delete it and evaluate again", _Evaluation)


def evaluate(
    subject: Subject,
    measures: Iterable[Measure],
    workdir: Workdir,
    watch: Callable[[str], None] = lambda name: None,
) -> dict[str, Any]:
    """Evaluates, and writes evaluation.json, whole or not at all, after each measure.

    Earlier results of the same step are kept unless they are measured again; those of another step
    are dropped.

    Args:
      watch: called with the name of a measure before it begins.

    Returns:
      {"model", "step", "dataset", "metrics": {name: row}, "skipped": {name: reason}}. A row has
      value and interval (None if not finite; the interval of a bound has one None), size,
      estimator, units, ceiling, notes, seconds, split and seed.
    """
    step = int(subject.model.step)
    found = {
        "model": subject.name,
        "step": step,
        "dataset": subject.dataset.name,
        "metrics": {},
        "skipped": {},
    }
    there = read(workdir.path)
    if there and there.get("step") == step:
        found["metrics"], found["skipped"] = there["metrics"], there["skipped"]
    for measure in measures:
        watch(measure.name)
        since = time.monotonic()
        try:
            measured = measure.of(subject)
        except InputError as error:
            found["metrics"].pop(measure.name, None)
            found["skipped"][measure.name] = " ".join(str(error).split())
        else:
            found["skipped"].pop(measure.name, None)
            found["metrics"][measure.name] = {
                **row(measured),
                "seconds": round(time.monotonic() - since, 2),
                "split": subject.options.split,
                "seed": subject.options.seed,
            }
        text = json.dumps(found, indent=2, allow_nan=False) + "\n"
        write_atomically(workdir.path / FILE, text.encode())
    return found


def row(measured: Any) -> dict[str, Any]:
    """Returns a Measured as JSON-able data; a number that is not finite is None, with a note."""
    notes = list(measured.notes)
    if not math.isfinite(measured.value):
        notes.append(f"the value is {measured.value}")
    interval = measured.interval
    return {
        "value": _finite(measured.value),
        "interval": None if interval is None else [_finite(end) for end in interval],
        "size": int(measured.size),
        "estimator": measured.estimator,
        "units": measured.units,
        "ceiling": None if measured.ceiling is None else _finite(measured.ceiling),
        "notes": notes,
    }


def cells(name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the cells of a printed row: name, value, interval, units, size, seconds."""
    low, high = _ends(row)
    if low is None or high is None:
        interval = _side(row) + number(high if low is None else low)
    else:
        interval = f"{number(low)} to {number(high)}"
    return (
        name,
        number(row["value"]),
        interval,
        row["units"],
        str(row["size"]),
        f"{row['seconds']:.1f}",
    )


def bounded(row: Mapping[str, Any]) -> str:
    """Returns a row's value as text: "at least 3" or "at most 3" if its interval has one end."""
    value = number(row["value"])
    return value if row["value"] is None else _side(row) + value


def _side(row: Mapping[str, Any]) -> str:
    """Returns "at least " or "at most " if the interval has one end, otherwise ""."""
    low, high = _ends(row)
    if (low is None) == (high is None):
        return ""
    return "at most " if low is None else "at least "


def _ends(row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Returns the ends of a row's interval; an infinite or unknown end is None."""
    ends: Any = row.get("interval")
    # read() does not check intervals, and evaluation.json may come from a stranger.
    if documents.fits(ends, list[float | None]) and len(ends) == 2:
        return ends[0], ends[1]
    return None, None


def number(value: float | None) -> str:
    """Returns a number with 4 digits, or a dash for None."""
    return "-" if value is None else f"{value:.4g}"


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
