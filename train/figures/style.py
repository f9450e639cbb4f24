"""The style of every figure, and `write`, which saves it."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from matplotlib import ticker
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# A power of two, so that converting pixels to inches and back is exact.
DPI = 128
INK, GREY, PALE = "#262626", "#6e6e6e", "#e4e4e4"
COLOURS = {"train": "#3b6fb6", "validation": "#d9772b"}
TICKS = (1, 2, 2.5, 5, 10)


def style(axes: Any, title: str, x: str, y: str, grid: bool = True) -> None:
    axes.set_title(title, fontsize=9.5, color=INK, loc="left", pad=6, parse_math=False)
    axes.set_xlabel(x, fontsize=8.5, color=GREY, parse_math=False)
    axes.set_ylabel(y, fontsize=8.5, color=GREY, parse_math=False)
    axes.tick_params(labelsize=8, length=3, color=GREY, labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    if grid:
        axes.grid(axis="y", color=PALE, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(5, integer=True, steps=TICKS))
        axes.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
        axes.yaxis.set_major_locator(ticker.MaxNLocator(5, steps=TICKS))
        axes.ticklabel_format(axis="y", useOffset=False)


def write(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes the figure as PNG; an existing file is replaced only when the new one is complete."""
    path = Path(path)
    content = io.BytesIO()
    FigureCanvasAgg(figure).print_png(content)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content.getvalue())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
