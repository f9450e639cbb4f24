"""plots/certificate.png: bounds beside tolerances, and multipliers over the steps."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import ticker
from matplotlib.figure import Figure

from train.certificates.page import number
from train.figures import style
from zoo.objectives import subjects


def draw(
    certificate: Mapping[str, Any],
    records: Sequence[Mapping[str, Any]],
    path: str | os.PathLike[str],
) -> None:
    """Plots, for each learned constraint, its interval, tolerance and multiplier.

    Args:
      certificate: with at least one learned constraint.
      records: rows of metrics.jsonl, for the multipliers over the steps.
      path: the PNG file.
    """
    constraints = certificate["constraints"]
    figure = Figure(
        figsize=(7.5, 1.9 * len(constraints) + 0.35), dpi=style.DPI, layout="constrained"
    )
    grid = figure.add_gridspec(len(constraints), 2)
    for row, constraint in enumerate(constraints):
        last = row == len(constraints) - 1
        _draw_interval(figure.add_subplot(grid[row, 0]), constraint)
        axes = figure.add_subplot(grid[row, 1])
        _draw_multiplier(axes, constraint["expression"], records, last)
    style.write(figure, path)


def _draw_interval(axes: Any, c: Mapping[str, Any]) -> None:
    eps = c["tolerance_here"]
    limits = [c[side] and c[side]["limit"] for side in ("lower", "upper")]
    shown = [v for v in (eps, c["value"], *limits) if v is not None]
    low, high = min(shown), max(shown)
    margin = 0.4 * (high - low) or 0.1 * abs(high) or 1.0
    axes.axvspan(low - margin, eps, color=style.PALE, linewidth=0, alpha=0.6)
    axes.axvline(eps, color=style.INK, linewidth=1.1)
    axes.annotate(
        f"at most {number(eps)}",
        (eps, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-4, -4),
        textcoords="offset points",
        horizontalalignment="right",
        verticalalignment="top",
        fontsize=8,
        color=style.INK,
    )
    held_out = {"color": style.COLOURS["validation"], "linewidth": 1.8}
    least, most = limits
    if least is not None:
        # An arrow if there is no upper bound.
        end = high + margin if most is None else most
        axes.plot([least, end], [0, 0], **held_out)
        axes.plot([least], [0], marker="|", markersize=9, markeredgewidth=1.8, **held_out)
        marker = ">" if most is None else "|"
        axes.plot([end], [0], marker=marker, markersize=9, markeredgewidth=1.8, **held_out)
    if c["value"] is not None:
        hollow = {} if c["side"] == "exact" else {"markerfacecolor": "white"}
        axes.plot([c["value"]], [0], marker="o", markersize=4.5, **held_out, **hollow)
    unit = subjects.axis(c["expression"])
    style.style(axes, f"{c['quantity']}: {c['status']}", unit, "", grid=False)
    axes.set(xlim=(low - margin, high + margin), ylim=(-1, 1), yticks=[])
    axes.xaxis.set_major_locator(ticker.MaxNLocator(5, steps=style.TICKS))
    axes.spines["left"].set_visible(False)


def _draw_multiplier(
    axes: Any, expression: str, records: Sequence[Mapping[str, Any]], last: bool
) -> None:
    points = [
        (row["step"], row["multipliers"][expression])
        for row in records
        if row["split"] == "train" and expression in row["multipliers"]
    ]
    style.style(axes, f"lambda of {expression}", "step" if last else "", "")
    if points:
        axes.plot(*zip(*points, strict=True), color=style.COLOURS["train"], linewidth=1.3)
        axes.set_ylim(bottom=0)
        if max(value for _, value in points) >= 1e4:
            axes.yaxis.set_major_formatter(ticker.EngFormatter(sep=""))
