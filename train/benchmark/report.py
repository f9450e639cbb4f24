"""The results as printed tables and as JSON."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from train.benchmark.cases import DATASET, Case, Contest
from train.benchmark.rounds import Result

PACKAGES = ("lagrangian-zoo", "tensorflow", "keras", "tensorflow-probability", "torch", "numpy")
WIDTH = 132  # columns, if stdout is not a terminal


def machine(rounds: int, seconds: float) -> dict[str, Any]:
    """Returns what the results depend on: processor, versions and measurement settings."""
    flags, model = _cpu_info()
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "avx512": "avx512f" in flags,
        "amx": "amx_bf16" in flags,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "dataset": DATASET,
        "batch_size": Case("zoo_fit").batch_size,
        "rounds": rounds,
        "seconds_per_burst": seconds,
    }


def as_json(contest: Contest, results: list[Result]) -> dict[str, Any]:
    """Returns a table as plain data: median, minimum and maximum over rounds."""
    return {
        "title": contest.title,
        "unit": contest.unit,
        "rows": [_row(result) for result in results],
    }


def show(console: Console, contest: Contest, results: list[Result]) -> None:
    """Prints a table, and below it the cases that could not be measured."""
    table = Table(title=contest.title, title_justify="left")
    table.add_column("case", no_wrap=True)
    table.add_column("with")
    slow = ["99%", "least..most"] if any(result.slow for result in results) else []
    for column in (contest.unit, "least..most", *slow, "ratio", "least..most", "start s", "MB"):
        table.add_column(column, justify="right", no_wrap=True)
    for result in results:
        if result.rates:
            table.add_row(
                result.label,
                _uses_text(result.uses),
                _short(median(result.rates)),
                _range(result.rates),
                *((_short(median(result.slow)), _range(result.slow)) if slow else ()),
                "" if result.ratio is None else f"{result.ratio:.3f}",
                _range(result.ratios),
                f"{result.start_seconds:.1f}",
                f"{result.megabytes:.0f}",
            )
    console.print(table)
    for result in results:
        if trouble := result.refused or result.failed:
            last = trouble.strip().splitlines()[-1]
            word = "not measured" if result.refused else "FAILED"
            console.print(f"{result.label}: {word}: {last}", markup=False, highlight=False)


def show_machine(console: Console, about: dict[str, Any]) -> None:
    packages = ", ".join(f"{n} {v or '-'}" for n, v in about["packages"].items())
    units = [name for name in ("avx512", "amx") if about[name]]
    console.print(
        f"{about['processor']}, {about['cores']} cores, {' and '.join(units) or 'no'} "
        f"{'' if units else 'avx512 or amx'}\npython {about['python']}, {packages}\n"
        f"{about['dataset']}, batches of {about['batch_size']}; medians of {about['rounds']} "
        f"rounds of {about['seconds_per_burst']:g} s in turns, spread from least to most",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _uses_text(uses: dict[str, Any]) -> str:
    words = [uses["data"]] if "data" in uses else []
    words += ["XLA" if uses["jit"] else "no XLA", uses["precision"]]
    if uses["steps_per_execution"] > 1:
        words.append(f"{uses['steps_per_execution']} steps")
    if "steps" in uses:
        words.append(f"{uses['bound']:.2f} nats after {uses['steps']} steps")
    return ", ".join(words)


def _row(result: Result) -> dict[str, Any]:
    row: dict[str, Any] = {"case": result.label, **result.uses}
    if result.rates:
        row["rate"] = _spread(median(result.rates), result.rates)
        if result.slow:
            row["99%"] = _spread(median(result.slow), result.slow)
        row["start_seconds"], row["megabytes"] = result.start_seconds, result.megabytes
    if result.against:
        row["ratio"] = {"to": result.against, **_spread(result.ratio, result.ratios)}
    if trouble := result.refused or result.failed:
        row["refused" if result.refused else "failed"] = trouble
    return row


def _spread(middle: float | None, values: tuple[float, ...]) -> dict[str, Any]:
    return {"median": middle, "min": min(values), "max": max(values), "rounds": list(values)}


def _range(values: tuple[float, ...]) -> str:
    return f"{_short(min(values))}..{_short(max(values))}" if values else ""


def _short(value: float) -> str:
    return f"{value:.4g}" if value >= 100 else f"{value:.3g}"


def _cpu_info() -> tuple[set[str], str]:
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return set(), platform.processor() or platform.machine()
    flags: set[str] = set()
    model = platform.machine()
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "flags":
            flags |= set(value.split())
        elif key.strip() == "model name":
            model = value.strip()
    return flags, model


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
