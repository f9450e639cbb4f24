"""Trains every adversarial model with several seeds, and reports which diverge or collapse.

    python -m train.stability --workdir=runs/stability
    python -m train.stability --workdir=runs/stability --models=aae,alice --seeds=3 --steps=2000

It takes every flag of train.run, with the same defaults. cyclegan and discogan are trained between
two image spaces if --pair is given. A run has diverged if a term or a sample is not finite, and
collapsed as `zoo.metrics.coverage` defines it. Each finished run adds a row to stability.json: run
the command again to continue. The exit code is 0 whatever the outcomes are.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags
from typing_extensions import TypedDict

from train import command, run
from train.evaluations.subject import Options, Subject
from train.loop import recipes
from train.workdirs import documents
from train.workdirs.config import RunConfig
from train.workdirs.workdir import Workdir, write_atomically
from zoo.errors import InputError, unknown
from zoo.objectives import family

FILE = "stability.json"
_TRANSLATE = ("cyclegan", "discogan")


class _Row(TypedDict):
    model: str
    seed: int
    outcome: str
    seconds: float
    config: dict[str, Any]


_NUMBERS = ("entropy", "diversity", "within", "reached")


def adversarial() -> list[str]:
    """Returns the models of the family that train a critic."""
    from zoo import terms

    found = []
    for name in family.names():
        objective = family.objective(name)
        estimators = objective.estimators
        if any(terms.critic_space(t, estimators.get(t)) for t in objective.tractable().affine):
            found.append(name)
    return found


def distinct(names: Sequence[str]) -> list[str]:
    """Returns the names without repeated objectives: bigan trains what ali does."""
    declared: dict[Any, str] = {}
    for name in names:
        objective = family.objective(name, **recipes.parameters(name, {}))
        key = str(objective.alpha_q), str(objective.alpha_p), *map(str, objective.constraints)
        declared.setdefault((key, objective.implicit_encoder), name)
    return list(declared.values())


def measured(config: RunConfig, workdir: Workdir, options: Options) -> dict[str, Any]:
    """Trains a run to its end and returns its row.

    {"outcome": "stable", "diverged" or "collapsed", "reason", "seconds"}, and "entropy",
    "diversity", "within" and "reached" if it has samples.

    Raises:
      InputError: the data has no labels.
    """
    since = time.monotonic()
    try:
        run.train(config, workdir)
        row = judged(config, workdir, options)
    except command.RunError as error:
        row = {"outcome": "diverged", "reason": str(error)}
    return {**row, "seconds": round(time.monotonic() - since, 1)}


def judged(config: RunConfig, workdir: Workdir, options: Options) -> dict[str, Any]:
    """Returns whether a run's trained model has diverged or collapsed, with its measurements."""
    import numpy as np

    from train.loop import assembly, restoring

    checkpoint = workdir.latest_checkpoint()
    if checkpoint is None:
        raise InputError(f"{workdir.path} has no checkpoint: train it first.")
    model = restoring.load(workdir, checkpoint, compiled=False)
    subject = Subject(model, assembly.load_dataset(config), config, options)
    weights = [*model.primal_variables, *model.critic_variables]
    if not all(np.isfinite(w.numpy()).all() for w in weights):
        return {"outcome": "diverged", "reason": "a weight is not finite"}
    found = subject.coverage
    return {
        "outcome": "collapsed" if found.collapsed else "stable",
        "reason": found.verdict,
        "entropy": found.entropy.value,
        "diversity": found.diversity.value,
        "within": found.within,
        "reached": found.reached,
    }


def stability(
    configs: Sequence[tuple[str, RunConfig]], folder: Path, options: Options
) -> list[dict[str, Any]]:
    """Trains the runs one after another, and writes each row when it is done. Existing rows stay.

    Args:
      configs: model names and configurations; the workdir of a run is FOLDER/MODEL/seed-SEED.
      folder: the folder for the runs and stability.json.
      options: how samples are evaluated.

    Raises:
      InputError: stability.json is damaged, or holds rows of other configurations.
    """
    import keras

    rows = _read(folder)
    for name, config in configs:
        plain = json.loads(config.to_json())
        there = [row for row in rows if (row["model"], row["seed"]) == (name, config.seed)]
        if there and there[0]["config"] != plain:
            raise InputError(
                f"{folder / FILE} holds {name} with seed {config.seed} under other flags: use "
                "another --workdir, or the same flags."
            )
        if there:
            continue
        keras.backend.clear_session()
        workdir = Workdir(folder / name / f"seed-{config.seed}")
        workdir.check(config)
        print(f"{name} with seed {config.seed}", file=sys.stderr)
        row = measured(config, workdir, options)
        rows.append({"model": name, "seed": config.seed, **row, "config": plain})
        write_atomically(folder / FILE, (json.dumps(rows, indent=2) + "\n").encode())
    chosen = {(name, config.seed) for name, config in configs}
    return [row for row in rows if (row["model"], row["seed"]) in chosen]


def _read(folder: Path) -> list[dict[str, Any]]:
    file = folder / FILE
    if not file.exists():
        return []
    rows: list[dict[str, Any]] = documents.read(file, "delete it and start again", list[_Row])
    return rows


def summary(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Returns a line for each model: outcomes, and the smallest measurements over seeds."""
    lines = []
    for name in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == name]
        counts = [
            str(sum(row["outcome"] == kind for row in own))
            for kind in ("stable", "collapsed", "diverged")
        ]
        least = []
        for column in _NUMBERS:
            values = [row[column] for row in own if row.get(column) is not None]
            least.append(f"{min(values):.3g}" if values else "-")
        seconds = sum(row["seconds"] for row in own) / len(own)
        lines.append([name, str(len(own)), *counts, *least, f"{seconds:.0f}"])
    return lines


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Prints the table of `summary`."""
    from rich.console import Console
    from rich.table import Table

    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console = Console(file=sys.stdout, width=120)
    table = Table(caption="entropy (nats), diversity, within a class, classes reached: least seed")
    heads = ("model", "seeds", "stable", "collapsed", "diverged")
    for heading in (*heads, "entropy", "diversity", "within", "reached", "seconds"):
        table.add_column(heading)
    for line in summary(rows):
        table.add_row(*line)
    console.print(table)
    shown = [line[0] for line in summary(rows)]
    for name in adversarial():
        first = distinct([*shown, name])
        if name not in first and name not in shown:
            console.print(f"{name} has the same objective as one of these", highlight=False)


def configs_from_flags() -> list[tuple[str, RunConfig]]:
    """Returns the runs that the command line asks for; raises InputError if it is wrong."""
    given = flags.FLAGS
    possible = adversarial()
    default = ",".join(distinct(possible))
    names = [name.strip() for name in (given.models or default).split(",")]
    configs = []
    pair = given.pair
    for name in names:
        if name not in possible:
            raise unknown("adversarial model", name, possible)
        given["model"].value = name
        given["pair"].value = pair if name in _TRANSLATE else None
        config = run.config_from_flags()
        configs += [
            (name, dataclasses.replace(config, seed=config.seed + index))
            for index in range(given.seeds)
        ]
    return configs


def main() -> int:
    folder = flags.FLAGS.workdir
    if not folder:
        raise InputError("--workdir is missing: name a folder for the runs, as in runs/stability.")
    if flags.FLAGS.model:
        raise InputError(f"--model={flags.FLAGS.model} is not used here: name models by --models.")
    if flags.FLAGS.seeds < 1:
        raise InputError(f"--seeds={flags.FLAGS.seeds}: give 1 or more.")
    command.import_tensorflow()
    configs = configs_from_flags()
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--workdir={path} cannot be written ({error.strerror}).") from None
    show(stability(configs, path, Options(cache=path / "classifiers")))
    print(f"everything is in {path / FILE}")
    return command.DONE


if __name__ == "__main__":
    flags.DEFINE_string("models", None, "Names separated by commas; default every adversarial one.")
    flags.DEFINE_integer("seeds", 5, "The number of seeds, counted from --seed.")
    command.run(main, __doc__)
