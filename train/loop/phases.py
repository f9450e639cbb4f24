"""Two phases in Python: measure what is reachable, then constrain relative to it ([U] section 6).

    objective = zoo.objective("lagvae_max")               # its tolerances are "best + ..."
    neutral = first_phase(objective, latent_dim=8)
    neutral.fit(x, epochs=5)
    best = measure_best(objective, neutral, held_out)
    model = second_phase(best, steps=2000, latent_dim=8)
    model.fit(x, epochs=5)

`train.run` does the same with a workdir: see `train.loop.two_phase`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zoo.errors import InputError
from zoo.objectives import critic_defaults, family, tolerances
from zoo.objectives.objective import Objective

if TYPE_CHECKING:
    from zoo.model.lagrangian_model import LagrangianModel
    from zoo.multipliers import MultiplierRule

# On batches of 128 with Adam: a stronger or faster penalty shakes the loss's scale from step to
# step, and latents collapse; its own defaults are for exact constraints.
RULE_OPTIONS = {"augmented": {"penalty": 0.5, "smoothing": 0.99}}


@dataclasses.dataclass(frozen=True)
class Best:
    """What the first phase reached on held-out data, by learned constraint.

    Attributes:
      objective: as it was declared, with tolerances relative to the best.
      neutral: the model of the first phase.
      values: eps_hat, the means over batches, in the constraints' units (nats for KL and JS).
      noise: the standard deviations of one batch's estimate.
    """

    objective: Objective
    neutral: LagrangianModel
    values: Mapping[str, float]
    noise: Mapping[str, float]

    @property
    def tolerances(self) -> dict[str, float]:
        """eps of each learned constraint."""
        return {
            name: constraint.at_most.at(self.values[name])
            for name, constraint in _learned(self.objective).items()
        }

    @property
    def declared(self) -> dict[str, str]:
        """The tolerance of each learned constraint as it was declared, "best + 4"."""
        return {name: str(c.at_most) for name, c in _learned(self.objective).items()}

    @property
    def resolved(self) -> Objective:
        """The objective with every tolerance a number."""
        return tolerances.resolved(self.objective, self.values)


def first_phase(
    objective: str | Objective, compile_options: Mapping[str, Any] | None = None, **options: Any
) -> LagrangianModel:
    """Builds and compiles the model of the first phase: without an information preference.

    Its critics are those of the second phase, which starts from their weights.

    Args:
      objective: a name of `zoo.names()`, or an Objective.
      compile_options: of `compile`, e.g. {"jit_compile": False}.
      **options: of `zoo.build`; give `second_phase` the same.

    Raises:
      InputError: as `zoo.build`, or no form without the preference is admissible.
    """
    import zoo

    declared = family.objective(objective) if isinstance(objective, str) else objective
    choices = critics_of(
        declared,
        options.get("network", "mlp"),
        options.get("spectral_norm"),
        options.get("network_options") or {},
        options.get("latent_shape") is not None,
    )
    options.update(spectral_norm=choices.spectral_norm, network_options=choices.network_options)
    model = zoo.build(tolerances.neutral(declared), **options)
    model.compile(
        **{
            "critic_optimizer": model.critic_adam(choices.learning_rate),
            "critic_steps": choices.steps,
            **(compile_options or {}),
        }
    )
    return model


def measure_best(
    objective: str | Objective,
    neutral: LagrangianModel,
    held_out: Any,
    batch_size: int = 128,
    seed: int = 0,
) -> Best:
    """Measures what a trained first phase reaches, with the estimators that training uses.

    Args:
      objective: of the second phase, as `first_phase` was given it.
      neutral: its first phase.
      held_out: data that the first phase has not seen, as `train.certificates.certify` takes it.
      batch_size: of training, if held_out is arrays: `noise` is that of one such batch.
      seed: of the terms' noise.

    Raises:
      InputError: a value is not finite, or the neutral form has not the terms it is made of.
    """
    from train.certificates import held_out as measuring
    from zoo.model.lagrangian import Lagrangian

    declared = family.objective(objective) if isinstance(objective, str) else objective
    learned = _learned(declared)
    zero = dict.fromkeys(learned, 0.0)
    lagrangian = Lagrangian(tolerances.resolved(declared, zero).tractable())
    missing = set(lagrangian.constrained_terms) - neutral.readable_terms
    if missing:
        raise InputError(
            f"The neutral run has no {', '.join(sorted(missing))}: give each learned constraint a "
            "positive first multiplier, or its tolerance as a number."
        )
    batches = measuring.in_batches(neutral, held_out, batch_size)
    found = measuring.measure(neutral, batches, seed, lagrangian)
    values = dict(zip(learned, map(float, found.mean), strict=True))
    for name, value in values.items():
        if not math.isfinite(value):
            raise InputError(f"The best {name} is {value}: the neutral run diverged.")
    noise = dict(zip(learned, map(float, found.deviation), strict=True))
    return Best(declared, neutral, values, noise)


def second_phase(
    best: Best,
    steps: int,
    compile_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> LagrangianModel:
    """Builds and compiles the model of the second phase, with the weights of the first.

    Multipliers move as those of `train.run` do: at a speed that scales with the length of the run,
    violations counted in slacks or in standard deviations of a batch's estimate if that is more.

    Args:
      best: what the first phase reached.
      steps: how many steps the model will be trained for.
      compile_options: of `compile`.
      **options: of `zoo.build`, as `first_phase` was given them; `multiplier_rule` may be a name.

    Raises:
      InputError: as `zoo.build`, or the weights of the first phase do not fit.
    """
    import zoo

    rule = options.pop("multiplier_rule", None)
    if rule is None or isinstance(rule, str):
        rule = multiplier_rule(best.resolved, rule, horizon=steps)
    options.setdefault("slacks", slacks(best.objective, best.values, best.noise))
    model = zoo.build(best.resolved, multiplier_rule=rule, **options)
    warm_start(model, best.neutral)
    falls = critic_defaults.constrains_codes(best.resolved)
    optimizer = model.adam(steps=steps if falls else None)
    model.compile(**{"optimizer": optimizer, **(compile_options or {})})
    return model


def warm_start(model: Any, source: Any) -> None:
    """Gives `model` the weights of `source`, where both have the part.

    Raises:
      InputError: a part has other weights there.
    """
    pairs = [(f"The {name}", part, source.parts[name]) for name, part in model.parts.items()]
    pairs += [
        (f"The critic of {name}", critic, source.critics[name])
        for name, critic in model.critics.items()
        if name in source.critics
    ]
    for what, part, trained in pairs:
        weights = trained.get_weights()
        if [w.shape for w in weights] != [tuple(w.shape) for w in part.weights]:
            raise InputError(
                f"{what} has other weights than that of the first phase: build both phases with "
                "the same options."
            )
        part.set_weights(weights)


@dataclasses.dataclass(frozen=True)
class Critics:
    """How the critics of a first phase are made and trained, None for the defaults."""

    spectral_norm: bool | None
    network_options: Mapping[str, Any]
    steps: int | None = None
    learning_rate: float | None = None


def critics_of(
    declared: Objective,
    network: str,
    spectral_norm: bool | None,
    network_options: Mapping[str, Any],
    paired: bool,
) -> Critics:
    """Returns the choices that make a first phase's critics those of its second phase.

    Args:
      declared: the objective of the second phase.
      network, spectral_norm, network_options: as they were asked for.
      paired: whether z is images.
    """
    default = critic_defaults.normalises_critics(declared)
    neutral = tolerances.neutral(declared)
    if spectral_norm is None and critic_defaults.normalises_critics(neutral) != default:
        spectral_norm = default
    if paired or not critic_defaults.constrains_codes(declared):
        return Critics(spectral_norm, network_options)
    strong = critic_defaults.critic_options(declared, network)
    return Critics(
        spectral_norm,
        {**strong, **network_options},
        critic_defaults.CRITIC_STEPS,
        critic_defaults.CRITIC_LEARNING_RATE,
    )


def multiplier_rule(objective: Objective, name: str | None = None, **speed: Any) -> MultiplierRule:
    """Returns the rule by which `train` moves the learned multipliers of an objective.

    Args:
      name: of the rule; by the sign of alpha if None.
      **speed: `horizon`, the length of the run in steps, or `rate`.
    """
    from zoo import multipliers
    from zoo.objectives.affine import rational

    name = name or multipliers.default(rational(objective.alpha_q), rational(objective.alpha_p))
    return multipliers.get(name, **speed, **RULE_OPTIONS.get(name, {}))


def slacks(
    objective: Objective, values: Mapping[str, float], noise: Mapping[str, float]
) -> list[float]:
    """Returns the unit of each violation: the slack, or a batch's deviation if that is more.

    MMD's noise at a batch of 128 exceeds the slack of "1.2 * best", and would shake its multiplier.
    """
    found = tolerances.slacks(objective, values)
    return [
        max(slack, noise.get(constraint.expression, 0.0))
        for slack, (_, constraint) in zip(found, objective.learned, strict=True)
    ]


def _learned(objective: Objective) -> dict[str, Any]:
    return {constraint.expression: constraint for _, constraint in objective.learned}
