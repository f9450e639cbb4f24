"""Two phases in Python: measure the best values, then constrain relative to them ([U] section 6).

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

# For batches of 128 with Adam. A stronger or faster penalty changes the loss's scale from step to
# step, and latents collapse; the rule's defaults are for constraints without noise.
RULE_OPTIONS = {"augmented": {"penalty": 0.5, "smoothing": 0.99}}


@dataclasses.dataclass(frozen=True)
class Best:
    """The values that the first phase reached on held-out data, for each learned constraint.

    Attributes:
      objective: the objective as declared, with tolerances relative to best.
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
            name: constraint.at_most.at(constraint.reachable(self.values[name]))
            for name, constraint in _learned(self.objective).items()
        }

    @property
    def declared(self) -> dict[str, str]:
        """The tolerance of each learned constraint as declared, such as "best + 4"."""
        return {name: str(c.at_most) for name, c in _learned(self.objective).items()}

    @property
    def resolved(self) -> Objective:
        """The objective with numerical tolerances."""
        return tolerances.resolved(self.objective, self.values)


def first_phase(
    objective: str | Objective, compile_options: Mapping[str, Any] | None = None, **options: Any
) -> LagrangianModel:
    """Builds and compiles the model of the first phase, without an information preference.

    Its critics are built as the second phase's, which starts from their weights.

    Args:
      objective: a name of `zoo.names()`, or an Objective.
      compile_options: arguments of `compile`, e.g. {"jit_compile": False}.
      **options: arguments of `zoo.build`; give `second_phase` the same ones.

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
    """Measures the learned constraints of a trained first phase, with the estimators of training.

    Args:
      objective: the objective of the second phase, as given to `first_phase`.
      neutral: the trained model of the first phase.
      held_out: data not used in the first phase, as `train.certificates.certify` takes it.
      batch_size: the batch size of training, if held_out is arrays; `noise` is for one such batch.
      seed: of the terms' noise.

    Raises:
      InputError: a value is not finite, or the first phase lacks a term of a learned constraint.
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

    Multipliers move as in `train.run`. Their speed depends on the length of the run, and a
    violation is divided by the slack (the tolerance less best) or by the standard deviation of one
    batch's estimate, whichever is larger.

    Args:
      best: the result of `measure_best`.
      steps: the number of steps the model will be trained for.
      compile_options: arguments of `compile`.
      **options: arguments of `zoo.build`, as given to `first_phase`; `multiplier_rule` may be a
        name.

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
    model.compile(**{**optimizers(model, steps), **(compile_options or {})})
    return model


def optimizers(
    model: LagrangianModel,
    steps: int | None,
    schedule: str = "auto",
    learning_rate: float | None = None,
    critic_learning_rate: float | None = None,
) -> dict[str, Any]:
    """Returns the optimizers of a run as arguments of `compile`.

    Critics of codes under a learned multiplier keep their rate, so that they catch up with an
    encoder that comes to rest.

    Args:
      model: the model.
      steps: the first length of the run, over which rates fall; None for constant rates.
      schedule: "constant", "cosine", or "auto": cosine if `critic_defaults.constrains_codes`.
      learning_rate, critic_learning_rate: the first rates; the defaults of `adam` if None.
    """
    led = critic_defaults.constrains_codes(model.objective)
    falls = schedule == "cosine" or (schedule == "auto" and led)
    primal = model.adam(learning_rate, steps if falls else None)
    critics = model.critic_adam(critic_learning_rate, steps if falls and not led else None)
    return {"optimizer": primal, "critic_optimizer": critics}


def warm_start(model: Any, source: Any) -> None:
    """Copies the weights of `source` to `model`, for the parts that both have.

    Raises:
      InputError: the shapes of a part's weights differ.
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
                f"{what} has weights of other shapes than in the first phase: build both phases "
                "with the same options."
            )
        part.set_weights(weights)


@dataclasses.dataclass(frozen=True)
class Critics:
    """The options of a first phase's critics; None stands for a default."""

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
    """Returns the options that build a first phase's critics as its second phase builds them.

    Args:
      declared: the objective of the second phase.
      network, spectral_norm, network_options: as given by the user.
      paired: whether z is an image.
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
    """Returns the rule that updates an objective's learned multipliers in `train`.

    Args:
      name: of the rule; if None, the sign of alpha decides.
      **speed: `horizon`, the length of the run in steps, or `rate`.
    """
    from zoo import multipliers
    from zoo.objectives.affine import rational

    name = name or multipliers.default(rational(objective.alpha_q), rational(objective.alpha_p))
    return multipliers.get(name, **speed, **RULE_OPTIONS.get(name, {}))


def slacks(
    objective: Objective, values: Mapping[str, float], noise: Mapping[str, float]
) -> list[float]:
    """Returns the unit of each violation: the slack or a batch's deviation, whichever is larger.

    The slack is the tolerance less best, see `zoo.objectives.tolerances.slacks`. For MMD on a batch
    of 128 the noise exceeds the slack of "1.2 * best", and would make the multiplier noisy.
    """
    found = tolerances.slacks(objective, values)
    return [
        max(slack, noise.get(constraint.expression, 0.0))
        for slack, (_, constraint) in zip(found, objective.learned, strict=True)
    ]


def _learned(objective: Objective) -> dict[str, Any]:
    return {constraint.expression: constraint for _, constraint in objective.learned}
