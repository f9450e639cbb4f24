"""The certificate for people: a page of Markdown and a plot."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib import ticker
from matplotlib.figure import Figure

from train import figures


def number(value: float | None) -> str:
    """Returns a number as it is printed, with 5 digits; a dash for null."""
    return "-" if value is None else f"{value:.5g}"


def markdown(certificate: Mapping[str, Any]) -> str:
    """Returns certificate.md; `certificate` is what `train.certificates.certificate.certify` returns."""
    parts = [f"# {certificate['model']}: {certificate['verdict']}", certificate["reason"]]
    parts.append(_measured_on(certificate))
    if certificate["constraints"]:
        parts += ["## Constraints", _constraints(certificate["constraints"])]
        parts += ["## Multipliers", _multipliers(certificate["constraints"])]
        parts.append(certificate["convergence"])
        parts.append("![Held-out intervals and multipliers](plots/certificate.png)")
    parts += ["## Information", _information(certificate["information"])]
    parts += ["## Terms", _terms(certificate["terms"]), _fixed(certificate["fixed"])]
    if certificate["notes"]:
        parts += ["## Notes", "\n".join(f"- {note}." for note in certificate["notes"])]
    return "\n\n".join(part for part in parts if part) + "\n"


def _measured_on(certificate: Mapping[str, Any]) -> str:
    data = certificate["measured_on"]
    left_out = f", {data['left_out']} images left out" if data["left_out"] else ""
    return (
        f"Step {certificate['step']}, on held-out data: {data['batches']} batches of "
        f"{data['batch_size']}{left_out}. Values are nats per example, those of MMD and of "
        "distances in their own units; intervals are 95% bootstrap intervals over batches."
    )


def _constraints(constraints: Iterable[Mapping[str, Any]]) -> str:
    rows = []
    for c in constraints:
        name = _cell(c["expression"])
        if c["quantity"] != c["expression"]:
            name += f", as {_cell(c['quantity'])}"
        tolerance = number(c["tolerance"])
        if c["best"] is not None:
            tolerance += f" = {c['declared']}, best {number(c['best'])}"
        row = (name, number(c["value"]), _interval(c["interval"]), tolerance, c["status"])
        rows.append((*row, number(c["training_value"])))
    header = ("constraint", "held-out value", "95% interval", "tolerance", "status", "in training")
    return _table(header, rows)


def _multipliers(constraints: Iterable[Mapping[str, Any]]) -> str:
    rows = []
    for c in constraints:
        multiplier = number(c["multiplier"])
        if c["at_clip"]:
            multiplier += f", at its {c['at_clip']} clip"
        state = {None: "-", True: "active", False: "slack"}[c["active"]]
        moved = "-"
        if c["drift"]:
            moved = f"{c['drift']['change']:+.2g} ({c['drift']['share']:.1%})"
        slackness = number(c["complementary_slackness"])
        rows.append((_cell(c["expression"]), multiplier, state, moved, slackness))
    header = ("constraint", "lambda", "state", "drift, last tenth", "lambda (D - eps)")
    return _table(header, rows)


def _information(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "Not estimated: q(z|x) or p(x|z) has no density."
    sentences = [
        f"I_q(x;z) is about **{number(found['estimate'])}** ({_interval(found['interval'])}), from "
        f"{found['points']} points, which cannot show more than log {found['points']} = "
        f"{number(found['ceiling'])}.",
        f"It is at most RATE = {number(found['rate'])}, and at least H_q(x) - REC_x, where REC_x = "
        f"{number(found['rec_x'])} and H_q(x), the entropy of the data, is not known.",
    ]
    if found["sharing"] is not None and found["sharing"] < 2:
        sentences.insert(1, "That is its ceiling, or nearly: there may be far more.")
    return " ".join(sentences)


def _terms(terms: Mapping[str, Mapping[str, Any]]) -> str:
    header = ("term", "held-out value", "95% interval", "coefficient")
    return _table(
        header,
        [
            (name, number(t["value"]), _interval(t["interval"]), number(t["coefficient"]))
            for name, t in terms.items()
        ],
    )


def _fixed(fixed: Sequence[Mapping[str, Any]]) -> str:
    if not fixed:
        return ""
    listed = ", ".join(f"{number(c['multiplier'])} on `{c['expression']}`" for c in fixed)
    return f"Fixed multipliers: {listed}."


def _interval(interval: Sequence[float | None] | None) -> str:
    return "-" if interval is None else " to ".join(map(number, interval))


def _cell(expression: str) -> str:
    """Returns an expression as code in a table, whose columns a bare | would part."""
    return "`" + expression.replace("|", r"\|") + "`"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plot(
    certificate: Mapping[str, Any],
    records: Sequence[Mapping[str, Any]],
    path: str | os.PathLike[str],
) -> None:
    """Writes, for each learned constraint, its interval beside its tolerance and its multiplier.

    Args:
      certificate: with at least one learned constraint.
      records: rows of metrics.jsonl, whose multipliers are drawn over the steps.
      path: the PNG file.
    """
    constraints = certificate["constraints"]
    figure = Figure(
        figsize=(7.5, 1.9 * len(constraints) + 0.35), dpi=figures.DPI, layout="constrained"
    )
    grid = figure.add_gridspec(len(constraints), 2)
    for row, constraint in enumerate(constraints):
        last = row == len(constraints) - 1
        _draw_interval(figure.add_subplot(grid[row, 0]), constraint)
        axes = figure.add_subplot(grid[row, 1])
        _draw_multiplier(axes, constraint["expression"], records, last)
    figures.write(figure, path)


def _draw_interval(axes: Any, c: Mapping[str, Any]) -> None:
    shown = [v for v in (c["tolerance"], c["value"], *(c["interval"] or ())) if v is not None]
    low, high = min(shown), max(shown)
    margin = 0.4 * (high - low) or 0.1 * abs(high) or 1.0
    axes.axvspan(low - margin, c["tolerance"], color=figures.PALE, linewidth=0, alpha=0.6)
    axes.axvline(c["tolerance"], color=figures.INK, linewidth=1.1)
    axes.annotate(
        f"at most {number(c['tolerance'])}",
        (c["tolerance"], 1),
        xycoords=("data", "axes fraction"),
        xytext=(-4, -4),
        textcoords="offset points",
        horizontalalignment="right",
        verticalalignment="top",
        fontsize=8,
        color=figures.INK,
    )
    held_out = {"color": figures.COLOURS["validation"], "linewidth": 1.8}
    if c["interval"] is not None:
        axes.plot(c["interval"], [0, 0], marker="|", markersize=9, markeredgewidth=1.8, **held_out)
    if c["value"] is not None:
        axes.plot([c["value"]], [0], marker="o", markersize=4.5, **held_out)
    unit = "" if c["expression"].startswith("MMD(") else "nats per example"
    figures.style(axes, f"{c['quantity']}: {c['status']}", unit, "", grid=False)
    axes.set(xlim=(low - margin, high + margin), ylim=(-1, 1), yticks=[])
    axes.xaxis.set_major_locator(ticker.MaxNLocator(5, steps=figures.TICKS))
    axes.spines["left"].set_visible(False)


def _draw_multiplier(
    axes: Any, expression: str, records: Sequence[Mapping[str, Any]], last: bool
) -> None:
    points = [
        (row["step"], row["multipliers"][expression])
        for row in records
        if row["split"] == "train" and expression in row["multipliers"]
    ]
    figures.style(axes, f"lambda of {expression}", "step" if last else "", "")
    if points:
        axes.plot(*zip(*points, strict=True), color=figures.COLOURS["train"], linewidth=1.3)
        axes.set_ylim(bottom=0)
        if max(value for _, value in points) >= 1e4:
            axes.yaxis.set_major_formatter(ticker.EngFormatter(sep=""))
