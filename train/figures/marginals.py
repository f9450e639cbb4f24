"""The columns of a table in pictures: how data and samples are spread in each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

from train.figures import style
from zoo.errors import InputError

PANELS = 30  # the most that are drawn
COLUMNS = 5
BINS = 24
MOST_BARS = 12
_LONGEST = 24  # of a title, in characters
_DATA, _SAMPLES = style.COLOURS["train"], style.COLOURS["validation"]


def marginals(
    data: Mapping[str, np.ndarray], samples: Mapping[str, np.ndarray], path: str | os.PathLike[str]
) -> None:
    """Writes a panel for each column: the shares of values among data and among samples.

    Numbers are counted in bins between the 0.5% and the 99.5% quantile of both, beyond which the
    outermost bins reach; categories are bars, the commonest first. A vector has a panel for each
    element. At most 30 are drawn; the title says of how many.

    Args:
      data, samples: {column: [N]} or {column: [N, D]}, raw values of the same columns.
      path: the PNG file.

    Raises:
      InputError: there are no columns, or the two have different ones.
    """
    if not data or set(data) != set(samples):
        raise InputError(f"Data have the columns {list(data)} and samples {list(samples)}.")
    panels = list(_panels(data, samples))
    shown = panels[:PANELS]
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(2.5 * columns, 2.0 * rows + 0.5), dpi=style.DPI, layout="constrained")
    for index, (name, ours, theirs) in enumerate(shown):
        axes = figure.add_subplot(rows, columns, index + 1)
        draw = _numbers if ours.dtype == np.float64 else _categories
        draw(axes, ours, theirs)
        title = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}..."
        style.style(axes, title, "", "share" if index % columns == 0 else "", grid=False)
        axes.tick_params(labelsize=7)
    title = f"the first {PANELS} of {len(panels)}" if len(panels) > PANELS else ""
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(),
        loc="outside upper right",
        ncols=2,
        frameon=False,
        fontsize=8.5,
        labelcolor=style.INK,
        title=title,
        title_fontsize=8.5,
    )
    style.write(figure, path)


def _panels(
    data: Mapping[str, np.ndarray], samples: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for name, values in data.items():
        if values.ndim == 1:
            yield name, values, samples[name]
        else:
            for place in range(values.shape[1]):
                yield f"{name}[{place}]", values[:, place], samples[name][:, place]


def _numbers(axes: Any, data: np.ndarray, samples: np.ndarray) -> None:
    both = np.concatenate([data, samples])
    low, high = np.quantile(both[np.isfinite(both)], (0.005, 0.995))
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    for values, colour, name in ((data, _DATA, "data"), (samples, _SAMPLES, "samples")):
        counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
        axes.stairs(
            counts / max(len(values), 1),
            edges,
            color=colour,
            fill=name == "data",
            alpha=0.45 if name == "data" else 1.0,
            linewidth=1.3,
            label=name,
        )
    axes.xaxis.set_major_locator(ticker.MaxNLocator(3, steps=style.TICKS))


def _categories(axes: Any, data: np.ndarray, samples: np.ndarray) -> None:
    kinds, counts = np.unique(data, return_counts=True)
    kinds = kinds[np.argsort(-counts, kind="stable")][:MOST_BARS]
    place = np.arange(len(kinds))
    for values, colour, shift, name in (
        (data, _DATA, -0.2, "data"),
        (samples, _SAMPLES, 0.2, "samples"),
    ):
        shares = [float(np.mean(values == kind)) for kind in kinds]
        alpha = 0.45 if name == "data" else 1.0
        axes.bar(place + shift, shares, 0.4, color=colour, alpha=alpha, label=name)
    axes.set_xticks(place, [str(kind)[:10] for kind in kinds], rotation=30 if len(kinds) > 3 else 0)
