"""From a run's configuration to its data and its compiled model."""

from __future__ import annotations

import dataclasses
from typing import Any

from train import data
from train.loop import phases
from train.workdirs.archive import Build
from train.workdirs.config import RunConfig
from zoo.errors import InputError
from zoo.objectives.algebra import TractableForm
from zoo.objectives.named_terms import NAMED_TERMS
from zoo.tables import Table

# Likelihoods under which vectors are standardised.
OF_TABLES = ("auto", "table")
# Between two looks of the host; more gain nothing, and Ctrl-C waits for them.
MOST_STEPS = 50


def compares_images(form: TractableForm) -> bool:
    """Whether a term compares images by samples: MMD_x, JS_xz and their like, J_pq, Dx_qp."""
    if any(term.compares_images for name, term in NAMED_TERMS.items() if name in form.affine):
        return True
    return any(
        constraint.term in form.affine
        for constraint in form.objective.constraints
        if "x" in constraint.subject.compares
    )


def load_dataset(config: RunConfig) -> Any:
    """Loads the run's images with its binarization decided.

    A critic would tell binary images from a Bernoulli decoder's means at sight, so images stay
    grey where a term compares them, unless the configuration says otherwise.

    Raises:
      InputError: the data cannot be had or used, or a batch does not fit in it.
    """
    if config.paired:
        return data.load_pair(config.dataset, config.pair, config.data_dir, config.skip_bad)
    chosen = config.likelihood not in OF_TABLES
    dataset = data.load(
        config.dataset,
        config.data_dir,
        config.binarization,
        skip_bad=config.skip_bad,
        columns=data.TableOptions(
            tuple(config.categorical), tuple(config.drop), config.label_column, config.split_column
        ),
        standardise=not chosen,
    )
    if chosen and dataset.table is not None:
        raise InputError(
            f"--likelihood={config.likelihood} is not for the columns of {config.dataset}, which "
            "have a likelihood each: leave it out."
        )
    if config.likelihood == "table" and dataset.table is None:
        raise InputError(
            f"--likelihood=table is for columns and vectors, and {config.dataset} holds images: "
            "leave it out."
        )
    if config.likelihood == "bernoulli" and len(dataset.image_shape) == 1:
        _check_bernoulli(dataset)
    if dataset.binarization == "auto" and compares_images(config.declared.tractable()):
        dataset = dataclasses.replace(dataset, binarization="none")
    dataset = dataset.resolved(config.likelihood_name).given(config.condition)
    dataset.steps_per_epoch(config.batch_size)
    for name in ("validation", "test"):
        if dataset.split(name).size < 2:
            raise InputError(
                f"The {name} split of {config.dataset!r} has {dataset.split(name).size} "
                f"{dataset.examples[:-1]}: held-out terms need two or more, so give more "
                f"{dataset.examples}."
            )
    return dataset


def _check_bernoulli(dataset: data.Dataset) -> None:
    """Raises InputError for vectors that a Bernoulli likelihood is not of."""
    for split in dataset.splits.values():
        low, high = float(split.images.min()), float(split.images.max())
        if not (low >= 0.0 and high <= 1.0):
            raise InputError(
                f"{dataset.name} holds numbers from {low:.4g} to {high:.4g}, and "
                "--likelihood=bernoulli is of numbers from 0 to 1: leave it out, and vectors are "
                "standardised."
            )


def check_table(model: Any, dataset: Any) -> None:
    """Raises InputError unless the columns of a dataset are those that a model was trained on."""
    ours, theirs = getattr(model, "table", None), getattr(dataset, "table", None)
    if ours == theirs:
        return
    reason = ours.difference(theirs) if ours and theirs else "one of them is no table"
    raise InputError(
        f"{dataset.name} is not what the run was trained on ({reason}): put the file back as it "
        "was, or use another --workdir."
    )


def once(dataset: data.Dataset, config: RunConfig, split: str) -> Any:
    """Returns batches of a split, once, in the order of its labels; none has a single image.

    The U-statistic of MMD needs pairs.
    """
    size = dataset.split(split).size
    batch_size = next((b for b in range(config.batch_size, 1, -1) if size % b != 1), size)
    return dataset.batches(
        split, batch_size, config.seed, drop_remainder=False, repeat=False, shuffle=False
    )


def build_model(
    config: RunConfig,
    image_shape: tuple[int, ...],
    steps: int,
    latent_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    table: Table | None = None,
) -> Any:
    """Builds and compiles the model of a run of `steps` steps.

    `latent_shape` where z is images; `classes` of the condition, where there is one; `table` where
    x is rows of one.

    Multipliers move at a speed that scales with the length of the run.

    Raises:
      InputError: a name or option is unknown, or a term has no estimator.
    """
    shapes = image_shape, latent_shape
    model = _built(config, *shapes, classes, table, None, {"horizon": steps})
    _compile(model, config, steps)
    return model


def rebuilt(config: RunConfig, build: Build, compiled: bool = True) -> Any:
    """Returns the model of a run as it was built when it began, its weights apart.

    Raises:
      InputError: as `build_model`.
    """
    speed = {"rate": build.rate} if build.horizon is None else {"horizon": build.horizon}
    shapes = build.image_shape, build.latent_shape
    model = _built(config, *shapes, build.classes, build.table, build.precision, speed)
    if compiled:
        _compile(model, config, build.horizon)
    return model


def _built(
    config: RunConfig,
    image_shape: tuple[int, ...],
    latent_shape: tuple[int, ...] | None,
    classes: int | None,
    table: Table | None,
    fastest: str | None,
    speed: dict[str, Any],
) -> Any:
    """Returns the model; `fastest` is the precision "auto" stands for, None for this machine's."""
    import zoo
    from zoo.distributions import likelihoods
    from zoo.distributions.tables import TableLikelihood
    from zoo.networks import precision

    objective = config.resolved
    rule = None if config.rule == "auto" else config.rule
    scale: dict[str, Any] = {}
    if config.likelihood_scale is not None:
        scale["scale"] = _scale(config.likelihood_scale)
    likelihood: Any
    if table is not None:
        likelihood = TableLikelihood(table, **scale)
    else:
        likelihood = likelihoods.family(config.likelihood_name, **scale)
    shape: dict[str, Any] = {"image_shape" if len(image_shape) == 3 else "x_shape": image_shape}
    return zoo.build(
        objective,
        **shape,
        latent_dim=config.latent_dim,
        network=config.network_name,
        network_options=config.network_options,
        likelihood=likelihood,
        precision=(fastest or precision.best() if config.precision == "auto" else config.precision),
        spectral_norm=config.spectral_norm,
        share_features=config.share_features,
        latents=config.latents,
        prior=None if config.prior == "standard_normal" else config.prior,
        latent_shape=latent_shape,
        condition=classes,
        noise_dim=config.noise_dim,
        term_options=_term_options(config),
        multiplier_rule=phases.multiplier_rule(objective, rule, **speed),
        slacks=phases.slacks(config.declared, config.eps_hat, config.noise),
        ema=config.ema,
        history=config.history,
        seed=config.seed,
    )


def _compile(model: Any, config: RunConfig, steps: int | None) -> None:
    """Compiles the model; rates that fall do so over `steps`, the first length of its run."""
    rates = config.learning_rate, config.critic_learning_rate
    model.compile(
        **phases.optimizers(model, steps, config.lr_schedule, *rates),
        critic_steps=config.critic_steps,
        jit_compile=jit(config),
    )


def compile_for_fit(
    model: Any,
    dataset: data.Dataset,
    config: RunConfig,
    at_once: int | None = None,
    streamed: bool = False,
) -> None:
    """Compiles the model as its run trains it, with the optimizers it has.

    Training batches are made inside the step, unless `resident` has none or they are `streamed`;
    then `at_once` steps, those of the configuration if None, run between two looks of the host.
    """
    feed = None if streamed else resident(dataset, config, model)
    model.compile(
        optimizer=model.optimizer,
        critic_optimizer=model.critic_optimizer,
        critic_steps=model.critic_steps,
        steps_per_execution=(at_once or steps_per_execution(config)) if feed is None else 1,
        jit_compile=model.jit_compile,
        on_nan=config.on_nan,
        feed=feed,
    )


def jit(config: RunConfig) -> bool:
    """Returns whether XLA compiles the step of one replica; it compiles none that several share."""
    from zoo import networks

    layers = networks.get(config.network_name)
    # A user's own network may use what XLA cannot compile.
    fast = bool(getattr(layers, "JIT_COMPILE", False))
    return fast if config.jit == "auto" else config.jit == "on"


def steps_per_execution(config: RunConfig) -> int:
    """Returns how many steps run between two looks of the host: a divisor of every interval."""
    if config.steps_per_execution != "auto":
        return int(config.steps_per_execution)
    return max(n for n in range(1, MOST_STEPS + 1) if config.log_every % n == 0)


def resident(dataset: data.Dataset, config: RunConfig, model: Any) -> Any | None:
    """Returns what makes training batches inside the step, None where they are streamed.

    They are streamed from disk where they do not fit in memory, and to several replicas.
    """
    if not dataset.resident or model.replicas > 1:
        return None
    return dataset.resident_batches("train", config.batch_size, config.seed)


def _term_options(config: RunConfig) -> dict[str, dict[str, Any]]:
    """Returns the estimators' options: penalties for every critic, and what was said of a term."""
    from zoo import terms

    given = {"r1_gamma": config.r1_gamma, "gradient_penalty": config.gradient_penalty or None}
    penalties = {name: weight for name, weight in given.items() if weight is not None}
    options: dict[str, dict[str, Any]] = {}
    for name in config.declared.tractable().affine:
        chosen = config.term_options.get(name, {})
        estimator = chosen.get("estimator", config.declared.estimators.get(name))
        own = {**penalties, **chosen} if terms.critic_space(name, estimator) else chosen
        if own:
            options[name] = own
    return options


def _scale(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        if text in ("learned", "per_element"):
            return text
        raise InputError(
            f"--likelihood_scale={text} is neither a number nor 'learned' nor 'per_element'."
        ) from None
