"""The two phases of [U] section 6: measure what is reachable, then constrain relative to it."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from train.loop import restoring
from train.workdirs.config import RunConfig
from train.workdirs.workdir import Workdir
from zoo.errors import InputError
from zoo.objectives import critic_defaults, tolerances

_MAY_DIFFER = (
    "objective",
    "best_from",
    "warmup_steps",
    "learning_rate",
    "critic_learning_rate",
    "rule",
)


def neutral_config(config: RunConfig) -> RunConfig:
    """Returns the configuration of the first phase: the run without an information preference.

    Its critics are built as the second phase's, which starts from their weights.
    """
    neutral = tolerances.neutral(config.declared)
    spectral_norm = config.spectral_norm
    default = critic_defaults.normalises_critics(config.declared)
    if spectral_norm is None and critic_defaults.normalises_critics(neutral) != default:
        spectral_norm = default
    strong: dict[str, Any] = {}
    if critic_defaults.constrains_codes(config.declared) and not config.paired:
        options = critic_defaults.critic_options(config.declared, config.network_name)
        strong = {
            "network_options": {**options, **config.network_options},
            "critic_steps": config.critic_steps or critic_defaults.CRITIC_STEPS,
            "critic_learning_rate": config.critic_learning_rate
            or critic_defaults.CRITIC_LEARNING_RATE,
        }
    return dataclasses.replace(
        config,
        objective=neutral.to_config(),
        steps=config.warmup_steps or config.steps,
        epochs=None if config.warmup_steps else config.epochs,
        rule="auto",
        spectral_norm=spectral_norm,
        best=None,
        **strong,
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
    """Returns eps_hat and eps of each learned constraint, and where they came from.

    eps_hat is the mean over held-out batches, with the estimator training uses, in the
    constraint's units (nats for KL and JS); noise is one batch's standard deviation from it.

    Raises:
      InputError: a value is not finite, or the neutral form has not the terms it is made of.
    """
    from train.certificates.held_out import measure
    from zoo.model.lagrangian import Lagrangian

    objective = config.declared
    zero = {constraint.expression: 0.0 for _, constraint in objective.learned}
    lagrangian = Lagrangian(tolerances.resolved(objective, zero).tractable())
    missing = set(lagrangian.constrained_terms) - model.readable_terms
    if missing:
        raise InputError(
            f"The neutral run has no {', '.join(sorted(missing))}: give each learned constraint a "
            "positive first multiplier, or its tolerance as a number."
        )
    found = measure(model, batches, config.seed, lagrangian)
    best = {}
    for index, (_, constraint) in enumerate(objective.learned):
        value = float(found.mean[index])
        if not math.isfinite(value):
            raise InputError(
                f"The best {constraint.expression} is {value}: the neutral run diverged."
            )
        assert constraint.at_most is not None
        best[constraint.expression] = {
            "eps_hat": value,
            "eps": constraint.at_most.at(value),
            "noise": float(found.deviation[index]),
            "tolerance": str(constraint.at_most),
            "split": "validation",
            "checkpoint": str(checkpoint),
        }
    return best


def neutral_model(config: RunConfig, workdir: Workdir) -> Any:
    """Returns the model of the first phase; None if no tolerance needed one, or it is gone."""
    if not config.best:
        return None
    neutral = neutral_workdir(config, workdir)
    checkpoint = neutral.latest_checkpoint()
    return None if checkpoint is None else restoring.load(neutral, checkpoint)


def warm_start(model: Any, source: Any) -> None:
    """Gives `model` the weights of `source`, where both have the part."""
    for name, part in model.parts.items():
        part.set_weights(source.parts[name].get_weights())
    for name, critic in model.critics.items():
        if name in source.critics:
            critic.set_weights(source.critics[name].get_weights())


def neutral_path(config: RunConfig, workdir: Workdir) -> Path:
    """Returns the checkpoint the second phase starts from."""
    checkpoint = neutral_workdir(config, workdir).latest_checkpoint()
    if checkpoint is None:
        raise InputError(f"{neutral_workdir(config, workdir).path} has no checkpoint.")
    return checkpoint
