"""x as an exported model takes it and gives it: one tensor, or a table's raw columns by name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.tables import Column, Table, tensors

IMAGES, VECTORS = "images", "x"
# Names of other inputs and outputs of signatures.
_TAKEN = {"noise", "noise_x", "condition", "z", "mean", "stddev", "elbo", "score"} | {
    "log_likelihood",
    "log_weights",
    "images",
}


class Columns:
    """What stands for "images" in the signatures of a model of a table.

    Raw values come in and go out: standardisation and one-hot codes are in the graph.

    Attributes:
      inputs: column -> the name of its tensor. TensorFlow's names are letters, digits and "_", so
        any other character becomes "_", and a name that is taken gets one more.
    """

    def __init__(self, table: Table):
        self.table = table
        self.inputs: dict[str, str] = {}
        for column in table.columns:
            name = re.sub(r"\W", "_", column.name, flags=re.ASCII)
            name = f"column_{name}" if not name[0].isalpha() else name
            while name in _TAKEN or name in self.inputs.values():
                name += "_"
            self.inputs[column.name] = name

    @property
    def specs(self) -> list[tf.TensorSpec]:
        """The tensors of raw values, [B] or [B, D], in the order of the columns."""
        return [
            tf.TensorSpec(
                [None, column.width] if column.vector else [None],
                tensors.dtype(column),
                self.inputs[column.name],
            )
            for column in self.table.columns
        ]

    def encode(self, values: Sequence[tf.Tensor]) -> tf.Tensor:
        """Returns x of tensors in the order of `specs`."""
        return tensors.encode(self.table, dict(zip(self.table.names, values, strict=True)))

    def decode(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns raw values by the names of their tensors: means, and likeliest categories."""
        found = tensors.decode(self.table, x)
        return {self.inputs[name]: value for name, value in found.items()}

    def example(self, column: Column) -> np.ndarray:
        """Returns a raw value of one row: the mean, or the first category."""
        if column.categories:
            value = column.categories[0]
            return np.array([value.encode() if isinstance(value, str) else value])
        return column.decode(np.zeros((1, column.width)))

    @property
    def examples(self) -> dict[str, np.ndarray]:
        """A raw value for each tensor."""
        return {self.inputs[column.name]: self.example(column) for column in self.table.columns}

    def facts(self) -> dict[str, Any]:
        """Returns what a card says of the columns."""
        rows = [
            {
                "input": spec.name,
                "dtype": spec.dtype.name,
                "shape": spec.shape.as_list(),
                "kind": column.kind,
                **column.to_config(),
            }
            for column, spec in zip(self.table.columns, self.specs, strict=True)
        ]
        return {"columns": rows, "log_det": self.table.log_det}


def page(card: Mapping[str, Any]) -> list[str]:
    """Returns the parts of a card's page about columns."""
    rows = []
    for column in card["columns"]:
        if column["categories"]:
            shown = ", ".join(f"`{each}`" for each in column["categories"][:20])
            more = len(column["categories"]) - 20
            what = f"{shown}, and {more} more" if more > 0 else shown
        elif column["vector"]:
            what = f"{len(column['mean'])} numbers; means and deviations are in model.json"
        else:
            what = f"mean {column['mean'][0]:.6g}, standard deviation {column['stddev'][0]:.6g}"
        tensor = f"`{column['input']}` {column['dtype']} {json.dumps(column['shape'])}"
        cells = (column["name"], tensor, column["kind"], what)
        rows.append(" | ".join(cell.replace("|", r"\|") for cell in cells))
    lines = ["column | tensor | kind | of training rows", "--- | --- | --- | ---", *rows]
    return [
        "## Columns",
        "\n".join(f"| {line} |" for line in lines),
        "Raw values go in and come out; the graph standardises them. A category that training rows "
        "had not is refused. Densities are in nats per row of standardised values: in the columns' "
        f"own units, log p(y) = log p(x) - ({card['log_det']:.6g}).",
    ]
