"""A run's configuration: everything needed to rebuild it, checked before training starts."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Sequence
from typing import Any, get_type_hints

from typing_extensions import TypedDict

from train.workdirs import documents
from zoo import imports
from zoo.errors import InputError, unknown
from zoo.objectives import family, prior_names, tolerances
from zoo.objectives.objective import Objective

# A run may be resumed with other values of these, because they do not change the objective. With
# on_nan, a run that stopped at a non-finite step may be resumed without such batches.
EXTENDABLE = (
    "steps",
    "epochs",
    "steps_per_execution",
    "log_every",
    "checkpoint_every",
    "keep",
    "on_nan",
    "strategy",
    "data_dir",
    "best",
)
_COUNTS = (
    "latent_dim",
    "noise_dim",
    "batch_size",
    "log_every",
    "checkpoint_every",
    "keep",
)
_POSITIVE = (
    "critic_steps",
    "steps",
    "epochs",
    "warmup_steps",
    "learning_rate",
    "critic_learning_rate",
)
_LARGEST = {"latent_dim": 2**16, "noise_dim": 2**16, "history": 2**16}  # others: 2^31 - 1
PRECISIONS = ("auto", "float32", "bfloat16")
SWITCH = ("auto", "on", "off")
STRATEGIES = ("auto", "one", "mirrored", "multiworker")
LR_SCHEDULES = ("auto", "constant", "cosine")
RULES = ("auto", "projected", "geco", "pi", "augmented")
ON_NAN = ("stop", "skip")


class Reached(TypedDict):
    """The value a first phase reached for a constraint, and one batch's standard deviation."""

    eps_hat: float
    noise: float


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """The arguments of `python -m train.run` as plain data.

    `objective` is an `Objective.to_config()`. If a learning rate or critic_steps is None, the
    model's default is used. `best` is the result of the first phase: for each learned constraint
    its eps_hat on validation data, its eps, and the checkpoint measured ([U] section 6). `imports`
    are the names of the user's modules that the run needs; they are not imported here.

    Raises:
      InputError: a value is out of range; the message names the flag.
    """

    objective: dict[str, Any]
    dataset: str = "mnist_5k"
    data_dir: str | None = None
    skip_bad: bool = False
    pair: str | None = None
    condition: str | None = None
    binarization: str = "auto"
    categorical: list[str] = dataclasses.field(default_factory=list)
    drop: list[str] = dataclasses.field(default_factory=list)
    label_column: str | None = None
    split_column: str | None = None
    network: str = "auto"
    network_options: dict[str, Any] = dataclasses.field(default_factory=dict)
    latent_dim: int = 16
    latents: str | None = None
    prior: str = "standard_normal"
    noise_dim: int = 64
    likelihood: str = "auto"
    likelihood_scale: str | None = None
    spectral_norm: bool | None = None
    share_features: bool = False
    r1_gamma: float | None = None
    gradient_penalty: float = 0.0
    critic_steps: int | None = None
    term_options: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    ema: float | None = None
    history: int = 0
    steps: int | None = None
    epochs: int | None = None
    batch_size: int = 128
    learning_rate: float | None = None
    critic_learning_rate: float | None = None
    lr_schedule: str = "auto"
    seed: int = 0
    precision: str = "auto"
    jit: str = "auto"
    steps_per_execution: str = "auto"
    strategy: str = "auto"
    rule: str = "auto"
    warmup_steps: int | None = None
    best_from: str | None = None
    best: dict[str, Reached] | None = None
    log_every: int = 100
    checkpoint_every: int = 1000
    keep: int = 3
    on_nan: str = "stop"
    imports: list[str] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        forms = _forms()
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not documents.fits(value, forms[field.name]):
                raise InputError(f"--{field.name}={value!r} must be of type {field.type}.")
            largest = _LARGEST.get(field.name, 2**31 - 1)
            if isinstance(value, int) and value > largest:
                raise InputError(f"--{field.name}={value} must be at most {largest}.")
            if isinstance(value, float) and not math.isfinite(value):
                raise InputError(f"--{field.name}={value} must be a finite number.")
        for name in ("r1_gamma", "gradient_penalty", "history"):
            if (getattr(self, name) or 0) < 0:
                raise InputError(f"--{name}={getattr(self, name)} must not be negative.")
        for name in _COUNTS:
            if getattr(self, name) < 1:
                raise InputError(f"--{name}={getattr(self, name)} must be at least 1.")
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"--{name}={value} must be positive.")
        if self.steps and self.epochs:
            raise InputError(
                f"Give --steps={self.steps} or --epochs={self.epochs}, not both: steps are batches."
            )
        if self.checkpoint_every % self.log_every:
            raise InputError(
                f"--checkpoint_every={self.checkpoint_every} must be a multiple of "
                f"--log_every={self.log_every}."
            )
        terms = set(self.declared.tractable().affine)
        for term in self.term_options:
            if term not in terms:
                raise unknown(f"term of {self.declared.name}", term, sorted(terms))
        if self.prior != "standard_normal":
            prior_names.parse(self.prior)
            for flag, given in (("latents", self.latents), ("pair", self.paired)):
                if given:
                    raise InputError(
                        f"--prior={self.prior} cannot be combined with --{flag}, which sets the "
                        "prior: leave one of the two out."
                    )
        if self.condition is not None:
            self._check_condition()
        if not 0 <= self.seed < 2**31:
            raise InputError(f"--seed={self.seed} must be from 0 to {2**31 - 1}.")
        if self.precision not in PRECISIONS:
            raise unknown("precision", self.precision, PRECISIONS)
        if self.lr_schedule not in LR_SCHEDULES:
            raise unknown("lr_schedule", self.lr_schedule, LR_SCHEDULES)
        if self.jit not in SWITCH:
            raise unknown("jit", self.jit, SWITCH)
        if self.steps_per_execution != "auto":
            steps = self.steps_per_execution
            known = steps.isdecimal() and len(steps) < 10
            if not known or not int(steps) or self.log_every % int(steps):
                raise InputError(
                    f"--steps_per_execution={steps} must be auto or divide "
                    f"--log_every={self.log_every}."
                )
        if self.strategy not in STRATEGIES:
            raise unknown("strategy", self.strategy, STRATEGIES)
        if self.rule not in RULES:
            raise unknown("rule", self.rule, RULES)
        if self.on_nan not in ON_NAN:
            raise unknown("on_nan", self.on_nan, ON_NAN)
        for name in self.imports:
            if not imports.is_name(name):
                raise InputError(f"--import={name} is not the name of a module.")

    def _check_condition(self) -> None:
        """Raises InputError for an option that would ignore the condition."""
        for flag, given in (
            (f"pair={self.pair}", self.paired),
            ("share_features", self.share_features),
            (f"history={self.history}", self.history),
            (f"prior={self.prior}", self.prior.startswith("vamp")),
        ):
            if given:
                raise InputError(
                    f"--condition={self.condition} cannot be combined with --{flag}, which does "
                    "not read the condition: leave one of the two out."
                )

    @property
    def paired(self) -> bool:
        """Whether z is an image of a second dataset."""
        return self.pair is not None or self.dataset.startswith("cycle_gan/")

    @property
    def network_name(self) -> str:
        """The network. The default is resnet if z is an image, and mlp otherwise."""
        if self.network != "auto":
            return self.network
        return "resnet" if self.paired else "mlp"

    @property
    def likelihood_name(self) -> str:
        """The likelihood. The default is laplace if z is an image (REC is L1), else bernoulli."""
        if self.likelihood != "auto":
            return self.likelihood
        return "laplace" if self.paired else "bernoulli"

    @property
    def eps_hat(self) -> dict[str, float]:
        """The value that the first phase reached for each constraint."""
        return {name: float(row["eps_hat"]) for name, row in (self.best or {}).items()}

    @property
    def noise(self) -> dict[str, float]:
        """The standard deviation of one batch's estimate of each constraint, if measured."""
        return {name: float(row["noise"]) for name, row in (self.best or {}).items()}

    @functools.cached_property
    def resolved(self) -> Objective:
        """The objective with numerical tolerances, available once best is measured."""
        return tolerances.resolved(self.declared, self.eps_hat)

    @functools.cached_property
    def declared(self) -> Objective:
        """The objective as declared, with tolerances that may be relative to best."""
        return Objective.from_config(self.objective)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, source: str) -> RunConfig:
        """Reads `to_json`; `source` is named in errors.

        Raises:
          InputError: the text is not a run's configuration, or it names user modules that are not
            imported.
        """
        try:
            values = documents.parsed(text)
            missing = imports.missing(_modules(values))
        except ValueError as error:
            raise _strange(source, error) from None
        if missing:
            raise imports.needed(missing, source)
        try:
            config = cls(**values)
            config.declared.tractable()
            return config
        except (ValueError, TypeError, AttributeError) as error:
            raise _strange(source, error) from None

    def differences(self, other: RunConfig) -> list[str]:
        """Returns the values that make `other` a different run, as "flag: ours, theirs"."""
        ours, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return [
            f"{name}: {ours[name]!r} here, {theirs[name]!r} there"
            for name in ours
            if name not in EXTENDABLE and ours[name] != theirs[name]
        ]


@functools.cache
def _forms() -> dict[str, Any]:
    """Returns the type of each value of a configuration."""
    return get_type_hints(RunConfig)


def _modules(values: Any) -> list[str]:
    """Returns the modules that a configuration names, or [] if the field is malformed."""
    named: Any = values.get("imports") if isinstance(values, dict) else None
    return named if documents.fits(named, list[str]) and all(map(imports.is_name, named)) else []


def _strange(source: str, error: Exception) -> InputError:
    return InputError(f"{source} is not a run's configuration ({error}): use another --workdir.")


def parse_term_options(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Reads options of estimators as --term_option gives them: "MMD_z.kernel=imq".

    Raises:
      InputError: a text is not TERM.OPTION=VALUE.
    """
    options: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        term, dot, option = name.strip().partition(".")
        if not (term and dot and option and equals and value):
            raise InputError(
                f"--term_option {text!r} is not TERM.OPTION=VALUE: write it as in "
                "--term_option MMD_z.kernel=imq."
            )
        options.setdefault(term, {})[option] = _value(value)
    return options


def parse_network_options(texts: Sequence[str]) -> dict[str, Any]:
    """Reads options of a network as --network_option gives them: "hidden=[64,64]".

    Raises:
      InputError: a text is not OPTION=VALUE.
    """
    options: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise InputError(
                f"--network_option {text!r} is not OPTION=VALUE: write it as in "
                "--network_option hidden=[64,64]."
            )
        options[name.strip()] = _value(value)
    return options


def _value(text: str) -> Any:
    try:
        return documents.parsed(text)
    except ValueError:
        return text


def declared_objective(
    model: str | None,
    parameters: dict[str, str],
    alpha_q: str | None,
    alpha_p: str | None,
    constraints: list[str],
    slack_text: str | None = None,
    implicit_encoder: bool = False,
    reverse_rate: bool = False,
) -> Objective:
    """Returns the objective of a command line: a named model, or one given term by term.

    Args:
      implicit_encoder, reverse_rate: as for `Objective`, for an objective given term by term.

    Raises:
      InputError: both or neither are given, a name is unknown, or the objective is not
        admissible; the sentence then gives its repair.
    """
    free = alpha_q is not None or alpha_p is not None or bool(constraints)
    capability = "implicit_encoder" if implicit_encoder else "reverse_rate" if reverse_rate else ""
    if capability and (model or not free):
        raise InputError(
            f"--{capability} is for an objective of --alpha_q, --alpha_p and --constraint: "
            + (f"leave out --model={model} or --{capability}." if model else "give them too.")
        )
    if model and free:
        raise InputError(
            f"Give either --model={model} or --alpha_q, --alpha_p and --constraint, not both."
        )
    if not model and not free:
        raise InputError("Nothing to train: give --model, one of " + ", ".join(family.names()))
    if model:
        objective = family.objective(model, **parameters)
    elif parameters:
        raise InputError(f"--set {next(iter(parameters))} sets a model's parameter: add --model.")
    else:
        objective = Objective(
            alpha_q=alpha_q or "0",
            alpha_p=alpha_p or "0",
            constraints=constraints,
            implicit_encoder=implicit_encoder,
            reverse_rate=reverse_rate,
        )
    if slack_text is not None:
        objective = tolerances.with_slack(objective, slack_text)
    objective.tractable().require_admissible()
    return objective
