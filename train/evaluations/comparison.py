"""The comparison of several runs: measurements, Pareto fronts, a table and plots."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from typing_extensions import TypedDict

from train.evaluations import evaluation
from train.figures import style
from train.workdirs import documents
from zoo.errors import InputError

_POINT, _FRONT = "#3b6fb6", "#d9772b"
# Left out of the table: these metrics only tell how others were measured.
_ASIDE = ("classifier_accuracy",)
_NO_DIVERGENCES = ("REC_", "RATE")  # prefixes of terms that are not divergences; all others are
_IN_CERTIFICATE = {"rate": "RATE", "distortion": "REC_x", "neg_elbo": "KL(q(x,z)||p(x,z))"}


class _Value(TypedDict):
    value: float | None


class _Constraint(_Value):
    expression: str


class _Information(TypedDict):
    estimate: float | None


class _Certificate(TypedDict):
    model: str
    verdict: str
    terms: dict[str, _Value]
    constraints: list[_Constraint]
    information: _Information | None


@dataclasses.dataclass(frozen=True)
class Run:
    """The contents of a run's evaluation.json and certificate.json.

    Attributes:
      name: the name of its folder.
      model: the name of its objective.
      verdict: the certificate's verdict; None without a certificate.
      metrics: name -> {"value", "interval", "units"}, from evaluation.json.
      constraints: name -> value in the certificate, for every quantity that could be constrained:
        the learned constraints, -ELBO and every divergence in the form that was trained.
      information: the certificate's estimate of I_q(x;z), or None.
    """

    name: str
    model: str
    verdict: str | None
    metrics: Mapping[str, Mapping[str, Any]]
    constraints: Mapping[str, float]
    information: float | None

    def value(self, metric: str) -> float | None:
        """Returns a metric from evaluation.json, or the same quantity from the certificate."""
        row = self.metrics.get(metric)
        if row is not None:
            return row["value"]
        if metric == "mi":
            return self.information
        return self.constraints.get(_IN_CERTIFICATE.get(metric, metric))

    def shown(self, metric: str) -> str:
        """Returns a metric as text, such as "at least 3" if evaluation.json has only a bound."""
        row = self.metrics.get(metric)
        return evaluation.number(self.value(metric)) if row is None else evaluation.bounded(row)


def read(paths: Iterable[str | os.PathLike[str]]) -> list[Run]:
    """Returns the runs in the folders; a folder with neither file is left out.

    Raises:
      InputError: a path is not a folder, a file is damaged, or no folder has either file.
    """
    folders = [Path(path) for path in paths]
    for folder in folders:
        if not os.path.isdir(folder):
            raise InputError(f"{folder} is not a folder: name the runs' folders, as in runs/*.")
    runs = [run for path in folders if (run := _run(path)) is not None]
    if not runs:
        raise InputError(
            f"None of the {len(folders)} folders holds {evaluation.FILE} or certificate.json: run "
            "train.evaluate on them first."
        )
    return runs


def _run(path: Path) -> Run | None:
    evaluated, certificate = evaluation.read(path), _certificate(path)
    if evaluated is None and certificate is None:
        return None
    certificate = certificate or {}
    terms = {name: term["value"] for name, term in certificate.get("terms", {}).items()}
    constraints = {
        **terms,
        **{row["expression"]: row["value"] for row in certificate.get("constraints", ())},
    }
    if terms.get("REC_x") is not None and terms.get("RATE") is not None:
        constraints["KL(q(x,z)||p(x,z))"] = terms["REC_x"] + terms["RATE"]
    return Run(
        name=path.resolve().name,
        model=(evaluated or certificate)["model"],
        verdict=certificate.get("verdict"),
        metrics=(evaluated or {"metrics": {}})["metrics"],
        constraints={name: value for name, value in constraints.items() if value is not None},
        information=(certificate.get("information") or {}).get("estimate"),
    )


def _certificate(path: Path) -> dict[str, Any] | None:
    file = path / "certificate.json"
    if not file.exists():
        return None
    return documents.read(file, "run train.certify again", _Certificate)


def table(runs: Sequence[Run]) -> tuple[list[str], list[list[str]]]:
    """Returns headings and one row per run, with every metric that any run has."""
    names = list(dict.fromkeys(name for run in runs for name in run.metrics))
    names = [name for name in names if name not in _ASIDE]
    if not names:
        names = [n for n in ("rate", "distortion", "mi") if any(run.value(n) for run in runs)]
    rows = [
        [run.name, run.model, run.verdict or "-"] + [run.shown(name) for name in names]
        for run in runs
    ]
    return ["run", "model", "certificate", *names], rows


def markdown(runs: Sequence[Run]) -> str:
    """Returns the table in Markdown; intervals are in each run's evaluation.json."""
    heads, rows = table(runs)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def front(points: Sequence[tuple[float, float]], most: bool = False) -> list[int]:
    """Returns the indices of Pareto-optimal points, sorted by the first coordinate.

    A point is optimal if no other point has both coordinates at least as small (the second at
    least as large, if `most`) and one of them strictly smaller (larger).
    """
    sign = -1.0 if most else 1.0
    order = sorted(range(len(points)), key=lambda i: (points[i][0], sign * points[i][1]))
    kept: list[int] = []
    for i in order:
        last = points[kept[-1]] if kept else (0.0, math.inf * sign)
        if sign * points[i][1] < sign * last[1] or points[i] == last:
            kept.append(i)
    return kept


def constrained(runs: Sequence[Run]) -> dict[str, list[tuple[Run, float]]]:
    """Returns the constraints to plot information against: name -> runs with its value."""
    found: dict[str, list[tuple[Run, float]]] = {}
    for label, metric in (("-ELBO", "neg_elbo"), ("MMD of q(z) and p(z)", "mmd")):
        found[label] = [(r, v) for r in runs if (v := r.value(metric)) is not None]
    for run in runs:
        for name, value in run.constraints.items():
            if not name.startswith(_NO_DIVERGENCES):
                found.setdefault(name, []).append((run, value))
    for label, same in (
        ("-ELBO", ("KL(q(x,z)||p(x,z))",)),
        ("MMD of q(z) and p(z)", ("MMD(q(z)||p(z))", "MMD_z")),
        ("MMD(q(z)||p(z))", ("MMD_z",)),
    ):
        if len(found.get(label, ())) >= 2:
            for name in same:
                found.pop(name, None)
    return {
        name: kept
        for name, rows in found.items()
        if len(kept := [(r, v) for r, v in rows if r.value("mi") is not None]) >= 2
    }


def plot_rate_distortion(runs: Sequence[Run], path: str | os.PathLike[str]) -> bool:
    """Plots rate against distortion if at least two runs have both; returns whether it did.

    Runs on a line of slope -1 have equal -ELBO. The front minimises both.
    """
    placed = [
        (run, distortion, rate)
        for run in runs
        if (rate := run.value("rate")) is not None
        and (distortion := run.value("distortion")) is not None
    ]
    if len(placed) < 2:
        return False
    figure = Figure(figsize=(5.4, 4.2), dpi=style.DPI, layout="constrained")
    axes = figure.add_subplot()
    points = [(distortion, rate) for _, distortion, rate in placed]
    style.style(axes, "Rate and distortion", "distortion, nats", "rate, nats")
    _scatter(axes, [run.name for run, *_ in placed], points)
    _line(axes, [points[i] for i in front(points)], "-", "Pareto front: both low")
    axes.legend(fontsize=8, frameon=False)
    style.write(figure, path)
    return True


def plot_information(runs: Sequence[Run], path: str | os.PathLike[str]) -> bool:
    """Plots I_q(x;z) against each constraint that at least two runs have; returns whether it did.

    Two fronts show the most and the least information for a value of the constraint.
    """
    panels = constrained(runs)
    if not panels:
        return False
    columns = min(len(panels), 3)
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.6 * lines), dpi=style.DPI, layout="constrained")
    for index, (name, rows) in enumerate(panels.items()):
        axes = figure.add_subplot(lines, columns, index + 1)
        points = [(value, float(run.value("mi") or 0.0)) for run, value in rows]
        style.style(axes, f"Information against {name}", name, "I_q(x;z), nats")
        _scatter(axes, [run.name for run, _ in rows], points)
        _line(axes, [points[i] for i in front(points, most=True)], "-", "front: most information")
        _line(axes, [points[i] for i in front(points)], ":", "front: least information")
        if index == 0:
            axes.legend(fontsize=7.5, frameon=False)
    style.write(figure, path)
    return True


def _scatter(axes: Any, names: Sequence[str], points: Sequence[tuple[float, float]]) -> None:
    axes.plot(*zip(*points, strict=True), "o", color=_POINT, markersize=5)
    for name, point in zip(names, points, strict=True):
        axes.annotate(
            name,
            point,
            xytext=(5, 4),
            textcoords="offset points",
            fontsize=7.5,
            color=style.INK,
            parse_math=False,
        )
    axes.margins(0.18)


def _line(axes: Any, points: Sequence[tuple[float, float]], kind: str, label: str) -> None:
    axes.plot(*zip(*points, strict=True), kind, color=_FRONT, linewidth=1.3, label=label, zorder=0)
