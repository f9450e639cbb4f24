"""`Certificate`: the findings as a dict, which writes its page and files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from train.certificates import page, plot
from train.workdirs import records
from train.workdirs.workdir import write_atomically
from zoo.errors import InputError


class Certificate(dict[str, Any]):
    """What a model achieves on held-out data: a dict with the contents of certificate.json.

    Attributes:
      records: rows of metrics.jsonl, for the plot of the multipliers.
    """

    def __init__(self, found: Mapping[str, Any], records: Sequence[Mapping[str, Any]] = ()):
        super().__init__(found)
        self.records = records

    @property
    def verdict(self) -> str:
        """The verdict on the worst constraint.

        It is feasible, infeasible, undecided, uninformative or not refuted; "fixed multipliers"
        if no constraint is learned.
        """
        return self["verdict"]

    def page(self) -> str:
        """Returns the certificate as a page of Markdown."""
        return page.markdown(self)

    _repr_markdown_ = page

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Writes certificate.json, certificate.md and plots/certificate.png into a folder.

        Each file is written whole or not at all. A missing folder is created. No plot is written
        without learned constraints.

        Raises:
          OSError: the folder cannot be written.
        """
        picture = Path(folder, "plots", "certificate.png")
        Path(folder).mkdir(parents=True, exist_ok=True)
        if self["constraints"]:
            picture.parent.mkdir(exist_ok=True)
            plot.draw(self, self.records, picture)
        else:
            picture.unlink(missing_ok=True)
        text = json.dumps(self, indent=2, allow_nan=False) + "\n"
        write_atomically(Path(folder, "certificate.md"), self.page().encode())
        write_atomically(Path(folder, "certificate.json"), text.encode())


def records_of(training: Any) -> Sequence[Mapping[str, Any]]:
    """Returns the rows of metrics.jsonl, or one row for each epoch of a Keras History.

    Raises:
      InputError: the history does not say how many steps an epoch has.
    """
    if not hasattr(training, "history"):
        return training
    steps = training.params.get("steps")
    if steps is None:
        raise InputError(
            "This history does not say how many steps an epoch had: give fit steps_per_epoch=, or "
            "data of a known size."
        )
    epochs = len(training.epoch)
    last = int(training.model.step.numpy())
    return [
        records.row(
            last - (epochs - 1 - index) * steps,
            "train",
            {
                name: values[index]
                for name, values in training.history.items()
                if not name.startswith("val_")
            },
        )
        for index in range(epochs)
    ]
