"""The two phases of a run, each in a workdir; `train.loop.phases` does the same from Python."""

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
    """Returns the first phase's workdir: `best_from` if given, or a folder in the run's workdir."""
    return type(workdir)(config.best_from or workdir.path / "best")


def begun(first: Workdir) -> RunConfig:
    """Returns the configuration with which the first phase was run."""
    config = first.config()
    if config is None:
        raise InputError(f"{first.path} has no config.json, which is needed to rebuild its model.")
    return config


def check_neutral(config: RunConfig, workdir: Workdir) -> None:
    """Raises InputError unless the first phase may start or continue, or is finished elsewhere."""
    neutral = neutral_config(config)
    first = neutral_workdir(config, workdir)
    if config.best_from is None:
        if first.path.exists():
            first.check(neutral)
        return
    there = first.config()
    if there is None or first.latest_checkpoint() is None:
        raise InputError(f"--best_from={config.best_from} holds no finished run: name another.")
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
    """Returns the result of `phases.measure_best` for each constraint, with its checkpoint.

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
    """Returns the model of the first phase; None if there was none or its files are gone."""
    if not config.best:
        return None
    neutral = neutral_workdir(config, workdir)
    checkpoint = neutral.latest_checkpoint()
    return None if checkpoint is None else restoring.load(neutral, checkpoint)


def neutral_path(config: RunConfig, workdir: Workdir) -> Path:
    """Returns the checkpoint that the second phase starts from."""
    checkpoint = neutral_workdir(config, workdir).latest_checkpoint()
    if checkpoint is None:
        raise InputError(f"{neutral_workdir(config, workdir).path} has no checkpoint.")
    return checkpoint
