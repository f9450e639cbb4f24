"""The work between steps: records, progress bar, validation, checkpoints."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from train.command import Interrupted, RunError
from train.distributed.strategy import ONE_PROCESS, Cluster
from train.loop import interrupts
from train.workdirs.records import row
from train.workdirs.workdir import Workdir


def summary(record: Mapping[str, Any]) -> str:
    """Returns a record as one line of text."""
    values = {"loss": record["loss"], **record["terms"]}
    if "mse" in record:
        values["mse"] = record["mse"]
    for name, value in record["constraints"].items():
        values[f"D[{name}]"] = value
        values[f"lambda[{name}]"] = record["multipliers"][name]
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())


class Recorder(keras.callbacks.Callback):
    """Writes records, evaluates and checkpoints at intervals, and shows the progress.

    After a signal it saves the model at the next step, with the running means of the unfinished
    record, and ends the run. It does not evaluate then: evaluation happens at its intervals only.
    With several workers, every worker runs this callback, only the chief measures and prints, and
    a signal to one worker ends all.

    Args:
      workdir: the folder for records and checkpoints.
      held_out: a function that returns the validation logs of the current model.
      total: the last step of the run.
      checkpoint_every: steps between checkpoints; the last step has one too.
      at_checkpoint: called after each checkpoint, e.g. to plot.
      aim: called with the constraints' training values every `aim_every` steps.
      keep: the number of checkpoints to keep, besides the best.
      means: the model's running metrics, if the last run ended within a record.
      cluster: the workers that train together.

    Raises:
      RunError: a term or a weight is not finite, or every batch of a record was skipped; the last
        checkpoint stays.
      Interrupted: a signal was received.
    """

    def __init__(
        self,
        workdir: Workdir,
        held_out: Callable[[], Mapping[str, Any]],
        total: int,
        checkpoint_every: int,
        at_checkpoint: Callable[[], None],
        aim: Callable[[list[float]], None],
        aim_every: int,
        keep: int = 3,
        means: Sequence[float] | None = None,
        cluster: Cluster = ONE_PROCESS,
    ):
        super().__init__()
        self._cluster = cluster
        self._workdir = workdir
        self._held_out = held_out
        self._total = total
        self._checkpoint_every = checkpoint_every
        self._at_checkpoint = at_checkpoint
        self._aim = aim
        self._aim_every = aim_every
        self._keep = keep
        self._means = means
        trained = [r for r in workdir.records() if r["split"] == "train"]
        self._last = trained[-1] if trained else {"step": 0}
        self._writer = (
            tf.summary.create_file_writer(str(workdir.tensorboard))
            if cluster.chief
            else tf.summary.create_noop_writer()
        )
        self._console = Console(stderr=True, quiet=not cluster.chief)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not (self._console.is_terminal and cluster.chief),
        )
        self._task = self._progress.add_task("training", total=total)
        self._since = time.monotonic()

    def on_train_begin(self, logs: Any = None) -> None:
        self._progress.update(self._task, completed=self._step)
        self._progress.start()
        self._since = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._means is not None:
            self._restore(self._means)
            self._means = None

    def _restore(self, means: Sequence[float]) -> None:
        """Continues the unfinished record.

        Raises:
          RunError: its means are from another model.
        """
        kept = self.model.metrics_variables
        sizes = [math.prod(metric.shape) for metric in kept]
        if len(means) != sum(sizes):
            raise RunError(
                f"The newest checkpoint in {self._workdir.path} holds {len(means)} means of a "
                f"record, but this model has {sum(sizes)}: delete that checkpoint."
            )
        parts = np.split(np.asarray(means), np.cumsum(sizes)[:-1])
        for metric, part in zip(kept, parts, strict=True):
            metric.assign(part.reshape(metric.shape))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self._progress.disable:
            self._progress.update(self._task, completed=self._step)
        if batch + 1 == self.params["steps"]:
            return
        number = self._cluster.agreed(interrupts.received())
        if number is not None:
            kept = [np.ravel(v.numpy()) for v in self.model.metrics_variables]
            self._save(np.concatenate(kept).tolist())
            self._interrupt(number)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        step = self._step
        record = row(step, "train", logs or {})
        self._stop_unless_finite(record)
        if "skipped" in record:
            self._count_skipped(record)
        record["seconds"] = round(time.monotonic() - self._since, 3)
        self._write(record)
        self._last = record
        if record["constraints"] and step % self._aim_every == 0 and step < self._total:
            self._aim(list(record["constraints"].values()))
        scheduled = step % self._checkpoint_every == 0 or step == self._total
        if scheduled:
            if self._cluster.chief:
                held_out = row(step, "validation", self._held_out())
                self._write(held_out)
                self._console.print(
                    f"step {step}  {summary(held_out)}", highlight=False, soft_wrap=True
                )
            self._save()
            if self._cluster.chief and step < self._total:
                self._at_checkpoint()
        number = self._cluster.agreed(interrupts.received())
        if number is not None:
            if not scheduled:
                self._save()
            self._interrupt(number)
        self._since = time.monotonic()

    @property
    def _step(self) -> int:
        return int(self.model.step.numpy())

    def on_train_end(self, logs: Any = None) -> None:
        self._progress.stop()
        self._writer.flush()

    def _write(self, record: Mapping[str, Any]) -> None:
        if not self._cluster.chief:
            return
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

    def _save(self, means: Sequence[float] | None = None) -> None:
        """Writes a checkpoint; fails if a variable in it is not finite."""
        model = self.model
        parts = {
            **{name: part.trainable_variables for name, part in model.parts.items()},
            **{f"critic of {n}": c.trainable_variables for n, c in model.critics.items()},
            "optimizer": model.optimizer.variables,
            "critics' optimizer": model.critic_optimizer.variables,
            "multipliers": [model.multipliers.value],
        }
        for name, variables in parts.items():
            if not all(np.isfinite(keras.ops.convert_to_numpy(v)).all() for v in variables):
                self._fail(f"The {name} became infinite or nan")
        self._workdir.save(model, self._keep, means)

    def _interrupt(self, number: int) -> NoReturn:
        self._progress.stop()
        if self._cluster.workers > 1:
            # The signal may be sent to every worker; each may exit once the chief has saved.
            interrupts.heeded()
            self._cluster.wait()
        raise Interrupted(
            number,
            f"{signal.Signals(number).name} at step {self._step}, which is saved: run the same "
            "command again to continue.",
        )

    def _stop_unless_finite(self, record: Mapping[str, Any]) -> None:
        values = {**record["terms"], "loss": record["loss"]}
        wrong = [f"{name} became {v}" for name, v in values.items() if not math.isfinite(v)]
        if wrong:
            self._fail(", ".join(wrong))

    def _count_skipped(self, record: dict[str, Any]) -> None:
        """Makes a record's skipped batches cumulative; fails if all its batches were skipped."""
        steps = record["step"] - self._last["step"]
        if record["skipped"] >= steps:
            self._fail(f"None of the last {steps} batches gave finite gradients")
        record["skipped"] += self._last.get("skipped", 0)
        if record["skipped"]:
            self._progress.update(
                self._task, description=f"training, {record['skipped']} batches skipped"
            )

    def _fail(self, what: str) -> NoReturn:
        self._progress.stop()
        raise RunError(
            f"{what} by step {self._step}: the run stopped and its last checkpoint is kept; "
            "try a smaller --learning_rate, or --on_nan=skip if single batches cause it."
        )
