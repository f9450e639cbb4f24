"""Plots of a run as PNG files, each written whole or not at all."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Circle

from train.figures import style
from zoo.errors import InputError
from zoo.objectives import subjects

TILE = 56  # small images are enlarged, by a whole factor, to at least this many pixels a side
GAP = 4
PAIR_GAP = 16
MARGIN = 116  # pixels for the names of the rows
PAIR_COLUMNS = 8
PANEL_COLUMNS = 3

_UNITLESS = ("mse", "lambda: ")


def samples(images: Any, path: str | os.PathLike[str], columns: int | None = None) -> None:
    """Writes generated images as a grid, filled row by row.

    Args:
      images: [N, H, W, C] with C 1 or 3; values are clipped to [0, 1].
      path: the PNG file.
      columns: images in a row; if None, the grid is nearly square.

    Raises:
      InputError: there are no images, or they have another shape.
    """
    tiles = _tiles(images)
    columns = columns or math.ceil(math.sqrt(len(tiles)))
    rows = -(-len(tiles) // columns)
    height, width = tiles.shape[1:3]
    canvas = _canvas(rows * (height + GAP) + GAP, columns * (width + GAP) + GAP)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        _place(canvas, tile, GAP + row * (height + GAP), GAP + column * (width + GAP))
    figure = _figure_of(canvas)
    style.write(figure, path)


def reconstructions(originals: Any, reconstructed: Any, path: str | os.PathLike[str]) -> None:
    """Writes rows of originals, with a row of reconstructions below each.

    Args:
      originals: [N, H, W, C] with C 1 or 3; values are clipped to [0, 1].
      reconstructed: of the same shape, in the same order.
      path: the PNG file.

    Raises:
      InputError: there are no images, or the shapes do not fit.
    """
    if np.shape(originals) != np.shape(reconstructed):
        raise InputError(
            f"Originals have shape {np.shape(originals)} and reconstructions "
            f"{np.shape(reconstructed)}: they must be equal."
        )
    pairs = (_tiles(originals), _tiles(reconstructed))
    count, height, width = pairs[0].shape[:3]
    columns = min(PAIR_COLUMNS, count)
    block = 2 * (height + GAP) + PAIR_GAP
    rows = -(-count // columns)
    canvas = _canvas(rows * block - PAIR_GAP + GAP, MARGIN + columns * (width + GAP) + GAP)
    for half, tiles in enumerate(pairs):
        for index, tile in enumerate(tiles):
            row, column = divmod(index, columns)
            top = GAP + row * block + half * (height + GAP)
            _place(canvas, tile, top, MARGIN + GAP + column * (width + GAP))
    figure = _figure_of(canvas)
    for row in range(rows):
        for half, name in enumerate(("original", "reconstructed")):
            middle = GAP + row * block + half * (height + GAP) + height / 2
            figure.text(
                (MARGIN - GAP) / canvas.shape[1],
                1 - middle / canvas.shape[0],
                name,
                fontsize=8.5,
                color=style.INK if half == 0 else style.GREY,
                horizontalalignment="right",
                verticalalignment="center",
            )
    style.write(figure, path)


def translations(stages: Sequence[Any], path: str | os.PathLike[str]) -> None:
    """Writes one row of images for each stage of their translation.

    Args:
      stages: arrays [N, H, W, C] of equal N, with C 1 or 3.
      path: the PNG file.

    Raises:
      InputError: there are no images, or they have another shape.
    """
    rows = [_tiles(stage) for stage in stages]
    height, width = (max(row.shape[axis] for row in rows) for axis in (1, 2))
    canvas = _canvas(len(rows) * (height + GAP) + GAP, len(rows[0]) * (width + GAP) + GAP)
    for index, row in enumerate(rows):
        for column, tile in enumerate(row):
            _place(canvas, tile, GAP + index * (height + GAP), GAP + column * (width + GAP))
    style.write(_figure_of(canvas), path)


def terms(records: Sequence[Mapping[str, Any]], path: str | os.PathLike[str]) -> None:
    """Plots the loss, each term, the mse and each multiplier over steps, one panel for each.

    Training is a line; validation is marked at the steps where it was measured. Nothing is written
    without a training or validation record.

    Args:
      records: rows of metrics.jsonl, e.g. {"step": 100, "split": "train", "loss": 101.2,
        "terms": {"REC_x": 90.1}, "multipliers": {"RATE": 1.0}}; loss and terms in nats per
        example or the units of `zoo.objectives.divergences`, mse and multipliers without unit.
      path: the PNG file.
    """
    panels = _panels(records)
    if not panels:
        return
    columns = 2 if len(panels) == 4 else min(PANEL_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(
        figsize=(3.25 * columns, 2.375 * rows + 0.375),
        dpi=style.DPI,
        layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08),
    )
    last = max(1, *(record["step"] for record in records))
    drawn: dict[str, Any] = {}
    for index, (name, curves) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        for split, points in curves.items():
            steps, values = zip(*sorted(points), strict=True)
            marked = split == "validation" or len(points) == 1
            (drawn[split],) = axes.plot(
                steps,
                values,
                color=style.COLOURS[split],
                linewidth=1.3,
                marker="o" if marked else None,
                markersize=3.5,
                label=split,
            )
        axes.set_xlim(-0.02 * last, 1.02 * last)
        below = index + columns >= len(panels)
        style.style(axes, name, "step" if below else "", _unit(name))
    figure.legend(
        handles=[drawn[split] for split in style.COLOURS if split in drawn],
        loc="outside upper right",
        ncols=2,
        frameon=False,
        fontsize=8.5,
        labelcolor=style.INK,
    )
    style.write(figure, path)


def latent(codes: Any, labels: Any, path: str | os.PathLike[str]) -> None:
    """Plots two-dimensional codes z ~ q(z|x), with circles of the standard normal prior.

    The circles have a radius of 1 and 2 standard deviations of the prior. Up to 20 labels have one
    colour each; more labels share a colour scale.

    Args:
      codes: [N, 2].
      labels: [N], or None.
      path: the PNG file.

    Raises:
      InputError: the codes do not have two dimensions, or the labels do not match them.
    """
    codes = np.asarray(codes, np.float64)
    if codes.ndim != 2 or codes.shape[1] != 2 or not len(codes):
        raise InputError(f"Codes have shape {codes.shape}: the plot needs (N, 2).")
    if labels is not None and np.shape(labels) != (len(codes),):
        raise InputError(
            f"Labels have shape {np.shape(labels)}: {len(codes)} codes need ({len(codes)},)."
        )
    figure = Figure(
        figsize=(5.5 if labels is not None else 5, 5), dpi=style.DPI, layout="constrained"
    )
    axes = figure.add_subplot()
    marks: dict[str, Any] = {
        "s": float(np.clip(12000 / len(codes), 4, 16)),
        "alpha": 0.75,
        "linewidths": 0,
        "zorder": 2,
    }
    if labels is None:
        axes.scatter(*codes.T, color=style.COLOURS["train"], **marks)
    else:
        _scatter_by_label(figure, axes, codes, np.asarray(labels), marks)
    finite = np.abs(codes[np.isfinite(codes)])
    limit = max(2.25, 1.05 * finite.max(initial=0))
    for radius in (1, 2):
        circle = Circle((0, 0), radius, fill=False, color=style.INK, linewidth=0.9, zorder=3)
        circle.set_linestyle((0, (5, 4)))
        axes.add_patch(circle)
        if limit < 10:  # beyond 10 the two labels would overlap
            axes.text(
                0,
                -radius,
                f"{radius} sd",
                fontsize=8,
                color=style.INK,
                horizontalalignment="center",
                verticalalignment="center",
                bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"},
                zorder=4,
            )
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    style.style(axes, "Codes, z ~ q(z|x)", "z[0]", "z[1]", grid=False)
    style.write(figure, path)


def _scatter_by_label(
    figure: Figure, axes: Any, mean: np.ndarray, labels: np.ndarray, marks: dict[str, Any]
) -> None:
    kinds, place = np.unique(labels, return_inverse=True)
    if len(kinds) > 20:
        levels = labels if np.issubdtype(labels.dtype, np.number) else place
        points = axes.scatter(*mean.T, c=levels, cmap="viridis", **marks)
        bar = figure.colorbar(points, ax=axes, shrink=0.5, aspect=25)
        bar.outline.set_visible(False)
        bar.ax.set_title("label", fontsize=8.5, color=style.INK)
        bar.ax.tick_params(labelsize=8, color=style.GREY, labelcolor=style.INK)
        return
    palette = colormaps["tab10" if len(kinds) <= 10 else "tab20"].colors  # type: ignore[attr-defined]
    # One call keeps the order of the points, so that no label hides the others.
    axes.scatter(*mean.T, c=np.asarray(palette)[place], **marks)
    handles = [
        axes.scatter([], [], s=28, color=palette[index], linewidths=0, label=str(kind))
        for index, kind in enumerate(kinds)
    ]
    figure.legend(
        handles=handles,
        loc="outside right center",
        title="label",
        frameon=False,
        fontsize=8.5,
        title_fontsize=8.5,
        labelcolor=style.INK,
        handletextpad=0.2,
    )


def _panels(
    records: Sequence[Mapping[str, Any]],
) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Returns panel -> split -> (step, value) points, with panels in the plot's order."""
    named: list[tuple[str, str, int, float]] = []
    for record in records:
        if record["split"] not in style.COLOURS:
            continue
        values = {"loss": record["loss"], **record.get("terms", {})}
        if "mse" in record:
            values["mse"] = record["mse"]
        if record["split"] == "train":
            multipliers = record.get("multipliers", {})
            values |= {f"lambda: {name}": value for name, value in multipliers.items()}
        named += [(name, record["split"], record["step"], v) for name, v in values.items()]

    def rank(name: str) -> int:
        return 1 if name == "mse" else 2 if name.startswith("lambda: ") else 0

    panels: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for name, split, step, value in sorted(named, key=lambda row: rank(row[0])):
        panels.setdefault(name, {}).setdefault(split, []).append((step, value))
    return panels


def _unit(name: str) -> str:
    return "" if name.startswith(_UNITLESS) else subjects.axis(name)


def _tiles(images: Any) -> np.ndarray:
    """Returns uint8 colour images [N, H, W, 3], enlarged by a whole factor to at least TILE."""
    array = np.asarray(images)
    if array.ndim != 4 or array.shape[-1] not in (1, 3) or 0 in array.shape:
        raise InputError(f"Images have shape {array.shape}: it must be (N, H, W, 1 or 3).")
    grey = np.clip(np.nan_to_num(array.astype(np.float64)), 0.0, 1.0)
    levels = np.rint(255 * np.broadcast_to(grey, (*array.shape[:3], 3))).astype(np.uint8)
    factor = max(1, math.ceil(TILE / min(array.shape[1:3])))
    return levels.repeat(factor, axis=1).repeat(factor, axis=2)


def _canvas(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 255, np.uint8)


def _place(canvas: np.ndarray, tile: np.ndarray, top: int, left: int) -> None:
    canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile


def _figure_of(canvas: np.ndarray) -> Figure:
    """Returns a figure that shows `canvas` pixel by pixel."""
    height, width = canvas.shape[:2]
    figure = Figure(figsize=(width / style.DPI, height / style.DPI), dpi=style.DPI)
    figure.figimage(canvas)
    return figure
