"""The two phases of a run, each in a workdir; `train.loop.phases` has the same in Python."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from train.loop import phases, restoring
from train.workdirs.config import RunConfig
from train.workdirs.workdir import Workdir
from zoo.errors import InputError
from zoo.objectives import tolerances

_MAY_DIFFER = (
    "objective",
    "best_from",
    "warmup_steps",
    "learning_rate",
    "critic_learning_rate",
    "lr_schedule",
    "rule",
)


def neutral_config(config: RunConfig) -> RunConfig:
    """Returns the configuration of the first phase: the run without an information preference.

    Its critics are built as the second phase's, which starts from their weights.
    """
    critics = phases.critics_of(
        config.declared,
        config.network_name,
        config.spectral_norm,
        config.network_options,
        config.paired,
    )
    return dataclasses.replace(
        config,
        objective=tolerances.neutral(config.declared).to_config(),
        steps=config.warmup_steps or config.steps,
        epochs=None if config.warmup_steps else config.epochs,
        rule="auto",
        spectral_norm=critics.spectral_norm,
        network_options=dict(critics.network_options),
        critic_steps=config.critic_steps or critics.steps,
        critic_learning_rate=config.critic_learning_rate or critics.learning_rate,
        best=None,
    )


def neutral_workdir(config: RunConfig, workdir: Workdir) -> Workdir:
    """Returns where the first phase lives: inside the run's folder, or where `best_from` says."""
    return type(workdir)(config.best_from or workdir.path / "best")


def begun(first: Workdir) -> RunConfig:
    """Returns the configuration of the first phase as it was run."""
    config = first.config()
    if config is None:
        raise InputError(f"{first.path} has no config.json, from which its model is rebuilt.")
    return config


def check_neutral(config: RunConfig, workdir: Workdir) -> None:
    """Raises InputError unless the first phase may start, continue, or is done elsewhere."""
    neutral = neutral_config(config)
    first = neutral_workdir(config, workdir)
    if config.best_from is None:
        if first.path.exists():
            first.check(neutral)
        return
    there = first.config()
    if there is None or first.latest_checkpoint() is None:
        raise InputError(f"--best_from={config.best_from} holds no finished run.")
    differences = [
        difference
        for difference in neutral.differences(there)
        if not difference.startswith(_MAY_DIFFER)
    ]
    same_form = neutral.declared.tractable().affine == there.declared.tractable().affine
    if differences or not same_form:
        differences += [] if same_form else ["it trains another objective"]
        raise InputError(f"--best_from={config.best_from} does not fit ({'; '.join(differences)}).")


def measured(
    config: RunConfig, model: Any, batches: Any, checkpoint: Path
) -> dict[str, dict[str, Any]]:
    """Returns what `phases.measure_best` finds by learned constraint, and where it came from.

    Raises:
      InputError: as `phases.measure_best`.
    """
    best = phases.measure_best(config.declared, model, batches, seed=config.seed)
    return {
        name: {
            "eps_hat": value,
            "eps": best.tolerances[name],
            "noise": best.noise[name],
            "tolerance": best.declared[name],
            "split": "validation",
            "checkpoint": str(checkpoint),
        }
        for name, value in best.values.items()
    }


def neutral_model(config: RunConfig, workdir: Workdir) -> Any:
    """Returns the model of the first phase; None if no tolerance needed one, or it is gone."""
    if not config.best:
        return None
    neutral = neutral_workdir(config, workdir)
    checkpoint = neutral.latest_checkpoint()
    return None if checkpoint is None else restoring.load(neutral, checkpoint)


def neutral_path(config: RunConfig, workdir: Workdir) -> Path:
    """Returns the checkpoint the second phase starts from."""
    checkpoint = neutral_workdir(config, workdir).latest_checkpoint()
    if checkpoint is None:
        raise InputError(f"{neutral_workdir(config, workdir).path} has no checkpoint.")
    return checkpoint
