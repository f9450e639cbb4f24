"""What happens between steps: records, the progress bar, held-out terms, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from train.command import RunError
from train.workdir import Workdir


def row(step: int, split: str, logs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns one record of metrics.jsonl: loss, terms, learned constraints and multipliers."""
    values = {name: float(value) for name, value in logs.items()}
    record: dict[str, Any] = {"step": step, "split": split, "loss": values.pop("loss")}
    if "mse" in values:
        record["mse"] = values.pop("mse")
    record["terms"] = {n: v for n, v in values.items() if ": " not in n}
    record["constraints"] = _named(values, "D: ")
    record["multipliers"] = _named(values, "lambda: ")
    return record


def _named(values: Mapping[str, float], prefix: str) -> dict[str, float]:
    return {n.removeprefix(prefix): v for n, v in values.items() if n.startswith(prefix)}


def summary(record: Mapping[str, Any]) -> str:
    """Prints a record on one line."""
    values = {"loss": record["loss"], **record["terms"]}
    if "mse" in record:
        values["mse"] = record["mse"]
    for name, value in record["constraints"].items():
        values[f"D[{name}]"] = value
        values[f"lambda[{name}]"] = record["multipliers"][name]
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())


class Recorder(keras.callbacks.Callback):
    """Writes every logged step, evaluates and checkpoints at intervals, shows the progress.

    Args:
      workdir: where records and checkpoints go.
      held_out: returns the validation logs of the model as it is.
      total: the step the run ends at.
      checkpoint_every: steps between checkpoints; there is one at the end too.
      at_checkpoint: called after each checkpoint, e.g. to plot.
      aim: called with the constraints' values in training before each checkpoint.

    Raises:
      RunError: a term is not finite; the last checkpoint stays.
    """

    def __init__(
        self,
        workdir: Workdir,
        held_out: Callable[[], Mapping[str, Any]],
        total: int,
        checkpoint_every: int,
        at_checkpoint: Callable[[], None],
        aim: Callable[[list[float]], None],
    ):
        super().__init__()
        self._workdir = workdir
        self._held_out = held_out
        self._total = total
        self._checkpoint_every = checkpoint_every
        self._at_checkpoint = at_checkpoint
        self._aim = aim
        self._writer = tf.summary.create_file_writer(str(workdir.tensorboard))
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._progress.add_task("training", total=total)
        self._since = time.monotonic()

    def on_train_begin(self, logs: Any = None) -> None:
        self._progress.update(self._task, completed=int(self.model.step))
        self._progress.start()
        self._since = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self._progress.disable:
            self._progress.update(self._task, completed=int(self.model.step))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        step = int(self.model.step)
        record = row(step, "train", logs or {})
        self._stop_unless_finite(record)
        record["seconds"] = round(time.monotonic() - self._since, 3)
        self._write(record)
        if step % self._checkpoint_every == 0 or step == self._total:
            held_out = row(step, "validation", self._held_out())
            self._write(held_out)
            self._console.print(
                f"step {step}  {summary(held_out)}", highlight=False, soft_wrap=True
            )
            if record["constraints"]:
                self._aim(list(record["constraints"].values()))
            self._workdir.save(self.model)
            self._at_checkpoint()
        self._since = time.monotonic()

    def on_train_end(self, logs: Any = None) -> None:
        self._progress.stop()
        self._writer.flush()

    def _write(self, record: Mapping[str, Any]) -> None:
        self._workdir.record(record)
        with self._writer.as_default(step=record["step"]):
            scalars = {"loss": record["loss"], **record["terms"]}
            if "mse" in record:
                scalars["mse"] = record["mse"]
            for name, value in scalars.items():
                tf.summary.scalar(f"{record['split']}/{name}", value)
            for name, value in record["constraints"].items():
                tf.summary.scalar(f"constraint/{name}", value)
                tf.summary.scalar(f"multiplier/{name}", record["multipliers"][name])

    def _stop_unless_finite(self, record: Mapping[str, Any]) -> None:
        for name, value in {**record["terms"], "loss": record["loss"]}.items():
            if not math.isfinite(value):
                self._progress.stop()
                raise RunError(
                    f"{name} became {value} by step {record['step']}: the run stopped and its "
                    "last checkpoint is kept; try a smaller --learning_rate."
                )
