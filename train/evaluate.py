"""Evaluates a run's newest checkpoint: writes evaluation.json and prints a table.

    python -m train.evaluate --workdir=runs/alice
    python -m train.evaluate --workdir=runs/alice --metrics=fid,semi_supervised_1000

Results of other metrics stay in the file. A metric that does not apply to the model is skipped;
the reason is in the file and below the table.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from absl import flags

from train import command
from train.evaluations import evaluation, measures
from train.evaluations.subject import Options, Subject
from train.workdirs.workdir import Workdir
from zoo.errors import InputError

_WIDTH = 140  # columns of the table, if stdout is not a terminal


def main() -> int:
    given = flags.FLAGS
    if given.metrics == "help":
        print(measures.listing())
        return command.DONE
    chosen = measures.chosen(given.metrics)
    workdir, checkpoint = trained(given.workdir)
    command.import_tensorflow()
    from train.loop import assembly, restoring

    config = workdir.config()
    assert config is not None
    subject = Subject(
        restoring.load(workdir, checkpoint, compiled=False),
        assembly.load_dataset(config),
        config,
        Options(
            given.split,
            given.points,
            given.seed,
            given.draws,
            given.labelled,
            given.cache or workdir.path / "classifiers",
            inception=given.inception,
        ),
    )
    found = watched(subject, chosen, workdir)
    names = [measure.name for measure in chosen]
    show(found, names)
    check_done(found, names)
    print(f"everything is in {workdir.path / evaluation.FILE}")
    return command.DONE


def trained(path: str | None) -> tuple[Workdir, Path]:
    """Returns the run's folder and its newest checkpoint.

    Raises:
      InputError: there is none.
    """
    if not path:
        raise InputError("--workdir is missing: name the run's folder, like runs/alice.")
    workdir = Workdir(path)
    if workdir.config() is None:
        raise InputError(f"--workdir={path} holds no run: name a folder that train.run made.")
    checkpoint = workdir.latest_checkpoint()
    if checkpoint is None:
        raise InputError(f"--workdir={path} has no checkpoint yet: train it with train.run.")
    return workdir, checkpoint


def watched(subject: Subject, chosen: list[measures.Measure], workdir: Workdir) -> dict[str, Any]:
    """Evaluates, with a progress bar if stderr is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with progress:
        task = progress.add_task("", total=len(chosen), completed=-1)

        def watch(name: str) -> None:
            progress.update(task, advance=1, description=name)

        found = evaluation.evaluate(subject, chosen, workdir, watch)
        progress.update(task, completed=len(chosen), description="done")
    return found


def check_done(found: dict[str, Any], names: list[str]) -> None:
    """Raises InputError if none of `names` was measured."""
    if not any(name in found["metrics"] for name in names):
        reasons = dict.fromkeys(found["skipped"][name] for name in names)
        raise InputError(f"Nothing could be measured: {' '.join(reasons)}")


def show(found: dict[str, Any], names: list[str]) -> None:
    """Prints the rows of `names`, and the reason for each one skipped."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console = Console(file=sys.stdout, width=_WIDTH)
    rows = {name: found["metrics"][name] for name in names if name in found["metrics"]}
    if rows:
        table = Table(
            title=f"{escape(found['model'])} at step {found['step']}", title_justify="left"
        )
        for heading in ("metric", "value", "95% interval", "units", "examples", "seconds"):
            table.add_column(heading)
        for name, row in rows.items():
            table.add_row(*map(escape, evaluation.cells(name, row)))
        console.print(table)
    for name, row in rows.items():
        for note in row["notes"]:
            console.print(f"{name}: {note}", highlight=False, markup=False)
    for name in names:
        if name in found["skipped"]:
            reason = found["skipped"][name]
            console.print(f"{name} skipped: {reason}", highlight=False, markup=False)


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "The run's folder, as train.run made it.")
    flags.DEFINE_multi_string("import", [], command.IMPORT)
    flags.DEFINE_string("metrics", None, "Names separated by commas, or all; help lists them.")
    flags.DEFINE_string("split", "test", "The images to evaluate on: test, validation or train.")
    flags.DEFINE_integer("points", 5000, "Most images used; the same number of samples is drawn.")
    flags.DEFINE_integer("seed", 0, "The seed of samples, codes and bootstraps.")
    flags.DEFINE_integer("draws", 1000, "Draws of importance sampling for each image.")
    flags.DEFINE_string("labelled", None, "A labelled dataset, if the run's has no labels.")
    flags.DEFINE_string(
        "inception", None, "A file of weights of keras.applications.InceptionV3, for FID and KID."
    )
    flags.DEFINE_string("cache", None, "A folder for classifiers, which several runs can share.")
    command.run(main, f"{__doc__}\n{measures.listing()}")
