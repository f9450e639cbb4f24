"""Trains a model: python -m train.run --model=alice --dataset=mnist --workdir=runs/alice."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from train import checkpoints, command, interrupts, two_phase
from train.config import (
    ON_NAN,
    PRECISIONS,
    RULES,
    STRATEGIES,
    SWITCH,
    RunConfig,
    declared_objective,
    parse_network_options,
    parse_term_options,
)
from train.workdir import Workdir, unwritable
from zoo import family, slack
from zoo.errors import InputError

_FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "A model of the family; `python -m zoo` lists them.")
flags.DEFINE_multi_string("set", [], "One of the model's own parameters, e.g. beta=4.")
flags.DEFINE_string("alpha_q", None, "Instead of --model: the weight of I_q(x;z).")
flags.DEFINE_string("alpha_p", None, "Instead of --model: the weight of I_p(x;z).")
flags.DEFINE_multi_string("constraint", [], "Instead of --model: e.g. 'JS(q(x,z)||p(x,z))'.")
flags.DEFINE_string("dataset", "mnist_5k", "mnist_5k, a TFDS name, a folder, .npz or .npy.")
flags.DEFINE_string("data_dir", None, "Where TFDS data lies; TFDS_DATA_DIR if not given.")
flags.DEFINE_bool("skip_bad", False, "Leave out image files of a folder that cannot be read.")
flags.DEFINE_string("pair", None, "z is images: rotated, edges, coloured, or a second dataset.")
flags.DEFINE_string("binarization", "auto", "auto, dynamic, static or none.")
flags.DEFINE_string("workdir", None, "The run's folder; runs/MODEL-DATASET if not given.")
flags.DEFINE_string("network", "auto", "mlp or dcgan; resnet, unet or mlp where z is images.")
flags.DEFINE_multi_string("network_option", [], "E.g. hidden=[64,64], or critic_x.width=64.")
flags.DEFINE_integer("latent_dim", 16, "The length of z.")
flags.DEFINE_string("latents", None, "z as named blocks, e.g. 'categorical(10), noise(62)'.")
flags.DEFINE_integer("noise_dim", 64, "The length of an implicit encoder's noise.")
flags.DEFINE_string("likelihood", "auto", "Of p(x|z): bernoulli, normal or laplace.")
flags.DEFINE_string("likelihood_scale", None, "A number, learned or per_element.")
flags.DEFINE_bool("spectral_norm", None, "Normalise critics; where alone or learned if not given.")
flags.DEFINE_bool("share_features", False, "The encoder reads the features of the critic of x.")
flags.DEFINE_float("r1_gamma", 0.0, "Weight of the critics' R1 gradient penalty.")
flags.DEFINE_float("gradient_penalty", 0.0, "Weight of the penalty on slopes other than 1.")
flags.DEFINE_multi_string("term_option", [], "Of an estimator, e.g. MMD_z.kernel=imq.")
flags.DEFINE_integer("critic_steps", 1, "Steps of the critics for one of the others.")
flags.DEFINE_float("ema", None, "Decay of averages of the weights, which samples are drawn from.")
flags.DEFINE_integer("history", 0, "How many generated images critics are shown again.")
flags.DEFINE_integer("steps", None, "Length of the run in batches; 5000 if not given.")
flags.DEFINE_integer("epochs", None, "Length of the run in passes over the data.")
flags.DEFINE_integer("batch_size", 128, "Examples in a batch.")
flags.DEFINE_float("learning_rate", None, "Adam's, for encoder and decoder.")
flags.DEFINE_float("critic_learning_rate", None, "Adam's, for the critics.")
flags.DEFINE_integer("seed", 0, "Of weights, data order and noise.")
flags.DEFINE_enum("precision", "auto", PRECISIONS, "Of the products; auto: by the processor.")
flags.DEFINE_enum("jit", "auto", SWITCH, "Compile the step with XLA; auto: the network says.")
flags.DEFINE_string("steps_per_execution", "auto", "Steps between two looks of the host.")
flags.DEFINE_enum("strategy", "auto", STRATEGIES, "auto: mirrored where there are several GPUs.")
flags.DEFINE_enum("rule", "auto", RULES, "How learned multipliers move; auto: by alpha's sign.")
flags.DEFINE_string("slack", None, "Sets the first tolerance to 'best + SLACK', in nats.")
flags.DEFINE_integer("warmup_steps", None, "Length of the run that measures best; --steps if not.")
flags.DEFINE_string("best_from", None, "The workdir of a run that measures best, done before.")
flags.DEFINE_integer("log_every", 100, "Steps between records of metrics.jsonl.")
flags.DEFINE_integer("checkpoint_every", 1000, "Steps between checkpoints, a multiple of it.")
flags.DEFINE_integer(
    "keep",
    3,
    "How many checkpoints are kept, beside the best: of the least validation loss under fixed "
    "multipliers, the last that met every tolerance on validation data under learned ones; "
    "under fixed ones with critics none is the best, for weak critics make the loss small.",
)
flags.DEFINE_enum(
    "on_nan",
    "stop",
    ON_NAN,
    "Where a loss or gradient is not finite: stop, or skip that batch and count it.",
)

DEFAULT_STEPS = 5000


def config_from_flags() -> RunConfig:
    """Returns the configuration the command line asks for; raises InputError if it is wrong."""
    objective = declared_objective(
        _FLAGS.model,
        family.parse_parameters(_FLAGS.set),
        _FLAGS.alpha_q,
        _FLAGS.alpha_p,
        _FLAGS.constraint,
        _FLAGS.slack,
    )
    apart = {"objective", "best", "term_options", "network_options"}
    names = set(RunConfig.__dataclass_fields__) - apart
    values: dict[str, Any] = {name: _FLAGS[name].value for name in names}
    if not values["steps"] and not values["epochs"]:
        values["steps"] = DEFAULT_STEPS
    values["term_options"] = parse_term_options(_FLAGS.term_option)
    values["network_options"] = parse_network_options(_FLAGS.network_option)
    return RunConfig(objective=objective.to_config(), **values)


def main() -> int:
    interrupts.install()
    config = config_from_flags()
    name = config.dataset.strip("/").split("/")[-1].removesuffix(".npz").removesuffix(".npy")
    workdir = Workdir(_FLAGS.workdir or f"runs/{config.objective['name']}-{name}")
    workdir.check(config)
    if slack.needs_best(config.declared):
        two_phase.check_neutral(config, workdir)
    from train import data

    if config.paired:
        data.check_pair(config.dataset, config.pair, config.data_dir)
    else:
        data.check_name(config.dataset, config.data_dir)
    try:
        if workdir.config():
            workdir.lock.acquire()
        command.import_tensorflow()
        train(config, workdir)
    except Exception as error:
        reason = unwritable(error)
        if reason is None:
            raise
        raise command.RunError(
            f"{workdir.path} cannot be written ({reason}): its records and its last checkpoint "
            "are kept, and the same command continues from there."
        ) from error
    return command.DONE


def train(config: RunConfig, workdir: Workdir) -> None:
    """Trains from the workdir's newest checkpoint, or from the start, to the configured step.

    Where a tolerance is relative to a best, the run without an information preference comes
    first, in a workdir of its own inside this one.
    """
    from train import assembly
    from train.strategy import scope

    dataset = assembly.load_dataset(config)
    if dataset.skipped:
        print(f"left out {dataset.skipped} image files that cannot be read", file=sys.stderr)
    with scope(config.strategy), contextlib.closing(workdir.lock):
        if workdir.config():
            workdir.lock.acquire()
        if slack.needs_best(config.declared):
            config = first_phase(config, workdir, dataset)
        total = config.steps or (config.epochs or 0) * dataset.steps_per_epoch(config.batch_size)
        locked, checkpoint = workdir.lock.held, workdir.latest_checkpoint()
        if checkpoint:
            model = workdir.load(checkpoint)
        else:
            model = assembly.build_model(
                config, dataset.image_shape, total, getattr(dataset, "latent_shape", None)
            )
            if config.best:
                two_phase.warm_start(model, workdir.load(two_phase.neutral_path(config, workdir)))
        start = int(model.step)
        workdir.create(config)
        if not locked and workdir.latest_checkpoint():
            raise InputError(f"Another run began in {workdir.path}: run the same command again.")
        workdir.forget_after(start)
        if start:
            print(f"continuing {workdir.path} from step {start}", file=sys.stderr)
        means = checkpoints.means(checkpoint) if checkpoint else None
        fit(model, dataset, config, workdir, total, means)


def first_phase(config: RunConfig, workdir: Workdir, dataset: Any) -> RunConfig:
    """Returns the configuration with what the neutral run reached, training that if need be."""
    there = workdir.config()
    if there and there.best:
        return dataclasses.replace(config, best=there.best)
    workdir.create(config)
    neutral = two_phase.neutral_workdir(config, workdir)
    if config.best_from is None:
        print(f"first phase, without an information preference: {neutral.path}", file=sys.stderr)
        train(two_phase.neutral_config(config), neutral)
    from train import assembly

    checkpoint = two_phase.neutral_path(config, workdir)
    batches = assembly.once(dataset, config, "validation")
    config = dataclasses.replace(
        config, best=two_phase.measured(config, neutral.load(checkpoint), batches, checkpoint)
    )
    for expression, row in (config.best or {}).items():
        print(
            f"{expression} <= {row['tolerance']} = {row['eps']:.6g} (best {row['eps_hat']:.6g})",
            file=sys.stderr,
        )
    return config


def fit(
    model: Any,
    dataset: Any,
    config: RunConfig,
    workdir: Workdir,
    total: int,
    means: Sequence[float] | None = None,
) -> None:
    """Runs `fit` up to step `total`: records, checkpoints, plots, test terms and certificate."""
    import numpy as np

    from train import assembly, certify, held_out, pictures
    from train.callbacks import Recorder, row, summary

    def evaluate(split: str) -> dict[str, float]:
        return model.evaluate(assembly.once(dataset, config, split), return_dict=True, verbose=0)

    def plot() -> None:
        pictures.draw(model, dataset, assembly.once(dataset, config, "test"), workdir)

    def aim(reached: list[float]) -> None:
        held_out.aim(model, assembly.once(dataset, config, "validation"), np.array(reached))

    recorder = Recorder(
        workdir,
        lambda: evaluate("validation"),
        total,
        config.checkpoint_every,
        plot,
        aim,
        config.keep,
        means,
    )
    model.on_nan = config.on_nan
    at_once = assembly.steps_per_execution(config)
    model.feed = assembly.resident(dataset, config, model)
    model.steps_per_execution = 1 if model.feed else at_once
    with interrupts.at_steps():
        for step, epochs, steps in segments(int(model.step), total, config.log_every):
            if model.feed is None:
                training = dataset.batches("train", config.batch_size, config.seed, start_step=step)
            else:
                size = math.gcd(at_once, steps)
                training = model.feed.blocks(step, size)
                steps //= size
            model.fit(
                training.take(epochs * steps),
                epochs=epochs,
                steps_per_epoch=steps,
                shuffle=False,
                verbose=0,
                callbacks=[recorder],
            )
    record = row(total, "test", evaluate("test"))
    workdir.record(record)
    plot()
    print(f"test  {summary(record)}")
    print(certify.summary(certify.certify_run(model, dataset, config, workdir)))
    print(f"everything is in {workdir.path}")


def segments(start: int, stop: int, every: int) -> list[tuple[int, int, int]]:
    """Splits start..stop at multiples of `every`: (first step, epochs, steps per epoch)."""
    parts = []
    if start % every and start < stop:
        head = min(every - start % every, stop - start)
        parts.append((start, 1, head))
        start += head
    body, tail = divmod(max(stop - start, 0), every)
    if body:
        parts.append((start, body, every))
    if tail:
        parts.append((start + body * every, 1, tail))
    return parts


if __name__ == "__main__":
    command.run(main, __doc__)
