"""Trains a model: python -m train.run --model=alice --dataset=mnist --workdir=runs/alice."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import sys
from typing import Any

from absl import flags

from train import command
from train.distributed import strategy
from train.distributed.strategy import ONE_PROCESS, Cluster
from train.loop import interrupts, phases, recipes, restoring, two_phase
from train.workdirs import checkpoints
from train.workdirs.config import (
    LR_SCHEDULES,
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
from train.workdirs.workdir import Bystander, Workdir, unwritable
from zoo import imports
from zoo.errors import InputError
from zoo.objectives import family, tolerances

_FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "A model of the family; `python -m zoo` lists them.")
flags.DEFINE_multi_string("set", [], "One of the model's own parameters, e.g. beta=4.")
flags.DEFINE_string("alpha_q", None, "Instead of --model: the weight of I_q(x;z).")
flags.DEFINE_string("alpha_p", None, "Instead of --model: the weight of I_p(x;z).")
flags.DEFINE_multi_string("constraint", [], "Instead of --model: e.g. 'JS(q(x,z)||p(x,z))'.")
flags.DEFINE_multi_string("import", [], command.IMPORT)
flags.DEFINE_bool(
    "implicit_encoder", False, "Of --constraint: q(z|x) has no density; RATE_ratio for RATE."
)
flags.DEFINE_bool(
    "reverse_rate", False, "Of --constraint: RATE_p by density ratio, so that alpha_p may be > 0."
)
flags.DEFINE_string(
    "dataset",
    "mnist_5k",
    "mnist_5k, a TFDS name, a folder of images; .npz or .npy of images [N, H, W, C] or vectors "
    "[N, D]; .csv or .parquet of named columns. Numbers of vectors and columns are standardised by "
    "the training rows; texts and booleans are categories.",
)
flags.DEFINE_multi_string("categorical", [], "Of a table: a column of whole numbers as categories.")
flags.DEFINE_multi_string("drop", [], "Of a table: a column to leave out.")
flags.DEFINE_string("label_column", None, "Of a table: the labels, which are no part of x.")
flags.DEFINE_string(
    "split_column",
    None,
    "Of a table: the column that says train, validation or test; a tenth of the rows each for the "
    "latter two if not given.",
)
flags.DEFINE_string("data_dir", None, "Where TFDS data lies; TFDS_DATA_DIR if not given.")
flags.DEFINE_bool("skip_bad", False, "Leave out image files of a folder that cannot be read.")
flags.DEFINE_string("pair", None, "z is images: rotated, tilted, edges, coloured, or other data.")
flags.DEFINE_string(
    "condition",
    None,
    "What q(z|x,c), p(x|z,c) and critics read beside x and z: label, where the data has labels.",
)
flags.DEFINE_string("binarization", "auto", "auto, dynamic, static or none.")
flags.DEFINE_string("workdir", None, "The run's folder; runs/MODEL-DATASET if not given.")
flags.DEFINE_string(
    "network",
    "auto",
    "mlp or dcgan; resnet, unet, similarity or mlp where z is images; or your own, my_parts:name.",
)
flags.DEFINE_multi_string("network_option", [], "E.g. hidden=[64,64], or critic_x.width=64.")
flags.DEFINE_integer("latent_dim", 16, "The length of z.")
flags.DEFINE_string("latents", None, "z as named blocks, e.g. 'categorical(10), noise(62)'.")
flags.DEFINE_string(
    "prior",
    "standard_normal",
    "p(z): standard_normal; mixture:K, K learned normals; mixture:K:equal, the same with weights "
    "1/K; vamp:K, the posteriors at K learned pseudo-inputs.",
)
flags.DEFINE_integer("noise_dim", 64, "The length of an implicit encoder's noise.")
flags.DEFINE_string(
    "likelihood",
    "auto",
    "Of p(x|z): bernoulli, normal, laplace or MODULE:NAME; auto: bernoulli for images, table for "
    "columns and for vectors, which any other leaves as they are.",
)
flags.DEFINE_string("likelihood_scale", None, "A number, learned or per_element.")
flags.DEFINE_bool("spectral_norm", None, "Normalise critics; if not given, learned or heavy ones.")
flags.DEFINE_bool("share_features", False, "The encoder reads the features of the critic of x.")
flags.DEFINE_float("r1_gamma", None, "Of R1; if not given 10 or 30 alone, 0.1 beside cycles.")
flags.DEFINE_float("gradient_penalty", 0.0, "Weight of the penalty on slopes other than 1.")
flags.DEFINE_multi_string("term_option", [], "Of an estimator, e.g. MMD_z.kernel=imq.")
flags.DEFINE_integer(
    "critic_steps", None, "Of critics for one of the others; 1, or 3 where they constrain codes."
)
flags.DEFINE_float("ema", None, "Decay of averages of the weights, which samples are drawn from.")
flags.DEFINE_integer("history", 0, "How many generated images critics are shown again.")
flags.DEFINE_integer("steps", None, "Length of the run in batches; 5000 if not given.")
flags.DEFINE_integer("epochs", None, "Length of the run in passes over the data.")
flags.DEFINE_integer("batch_size", 128, "Examples in a batch, of all replicas together.")
flags.DEFINE_float("learning_rate", None, "Adam's, for encoder and decoder.")
flags.DEFINE_float("critic_learning_rate", None, "Adam's, for the critics.")
flags.DEFINE_enum(
    "lr_schedule",
    "auto",
    LR_SCHEDULES,
    "How learning rates move: constant, or down to 2% along a cosine over the first --steps. auto: "
    "cosine for encoder and decoder where a multiplier follows a critic of codes, else constant.",
)
flags.DEFINE_integer("seed", 0, "Of weights, data order and noise.")
flags.DEFINE_enum("precision", "auto", PRECISIONS, "Of the products; auto: by the processor.")
flags.DEFINE_enum("jit", "auto", SWITCH, "Compile the step with XLA; auto: the network says.")
flags.DEFINE_string("steps_per_execution", "auto", "Steps between two looks of the host.")
flags.DEFINE_enum(
    "strategy",
    "auto",
    STRATEGIES,
    "auto: multiworker where TF_CONFIG names several, mirrored where there are several GPUs.",
)
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
        recipes.parameters(_FLAGS.model, family.parse_parameters(_FLAGS.set)),
        _FLAGS.alpha_q,
        _FLAGS.alpha_p,
        _FLAGS.constraint,
        _FLAGS.slack,
        _FLAGS.implicit_encoder,
        _FLAGS.reverse_rate,
    )
    apart = {"objective", "best", "term_options", "network_options", "imports"}
    module, colon, _ = _FLAGS.network.partition(":")
    if colon:
        imports.load([module])
    names = set(RunConfig.__dataclass_fields__) - apart
    values: dict[str, Any] = {name: _FLAGS[name].value for name in names}
    if not values["steps"] and not values["epochs"]:
        values["steps"] = DEFAULT_STEPS
    values["imports"] = command.imported()
    values["term_options"] = parse_term_options(_FLAGS.term_option)
    values["network_options"] = parse_network_options(_FLAGS.network_option)
    return RunConfig(objective=objective.to_config(), **values)


def import_likelihood(name: str) -> None:
    """Imports the module of a likelihood MODULE:NAME, which registers it, and checks that it does.

    Only a module that the command line names is imported, never one that a run's files name.

    Raises:
      InputError: there is no such module, it fails, or it registers no such likelihood.
    """
    module, colon, _ = name.rpartition(":")
    if not colon:
        return
    from zoo.distributions import likelihoods

    try:
        importlib.import_module(module)
    except Exception as error:  # a module of the user's raises anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"--likelihood={name}: the module {module!r} cannot be imported ({reason}): run this "
            "where it lies, or put its folder on PYTHONPATH."
        ) from error
    likelihoods.family(name)


def main() -> int:
    interrupts.install()
    config = config_from_flags()
    if chosen := recipes.said(_FLAGS.model, family.parse_parameters(_FLAGS.set)):
        print(chosen, file=sys.stderr)
    name = config.dataset.strip("/").split("/")[-1]
    for suffix in (".npz", ".npy", ".csv", ".parquet"):
        name = name.removesuffix(suffix)
    path = _FLAGS.workdir or f"runs/{config.objective['name']}-{name}"
    task = strategy.task_of(config.strategy)
    workdir = Workdir(path) if task is None or task.index == 0 else Bystander(path)

    def check() -> bytes:
        workdir.check(config)
        if tolerances.needs_best(config.declared):
            two_phase.check_neutral(config, workdir)
        if workdir.config():
            workdir.lock.acquire()
        return b""

    from train import data

    if config.paired:
        data.check_pair(config.dataset, config.pair, config.data_dir)
    else:
        data.check_name(config.dataset, config.data_dir)
    try:
        if task is None:
            check()
        else:
            # What its C++ side says when a worker ends is many lines.
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
            if task.index == 0:
                others = ", ".join(task.addresses[1:])
                print(f"waiting for the other workers, {others}", file=sys.stderr)
        cluster = command.import_tensorflow(lambda: strategy.begin(config.strategy, task))
        import_likelihood(config.likelihood)
        cluster.check(config)
        if task is not None:
            # TensorFlow's coordination of workers has taken SIGTERM for itself.
            interrupts.install()
            cluster.from_chief(check)
        train(config, workdir, cluster)
    except Exception as error:
        if task is not None and strategy.ended(error):
            raise command.RunError(
                "Another worker ended or cannot be reached: start all of them again with the same "
                "command to continue from the last checkpoint."
            ) from error
        reason = unwritable(error)
        if reason is None:
            raise
        raise command.RunError(
            f"{workdir.path} cannot be written ({reason}): its records and its last checkpoint "
            "are kept, and the same command continues from there."
        ) from error
    return command.DONE


def train(config: RunConfig, workdir: Workdir, cluster: Cluster = ONE_PROCESS) -> None:
    """Trains from the workdir's newest checkpoint, or from the start, to the configured step.

    Where a tolerance is relative to a best, the run without an information preference comes
    first, in a workdir of its own inside this one. All workers of a cluster call it.
    """
    from train.loop import assembly, fitting

    dataset = assembly.load_dataset(config)
    if dataset.skipped:
        cluster.say(f"left out {dataset.skipped} image files that cannot be read")
    # Of two phases the first says it.
    if getattr(dataset, "summary", None) and not tolerances.needs_best(config.declared):
        cluster.say(dataset.summary)
    with contextlib.closing(workdir.lock):
        if workdir.config():
            workdir.lock.acquire()
        if tolerances.needs_best(config.declared):
            config = first_phase(config, workdir, dataset, cluster)
        total = config.steps or (config.epochs or 0) * dataset.steps_per_epoch(config.batch_size)
        locked = workdir.lock.held
        with cluster.file(workdir.latest_checkpoint) as checkpoint:
            means = checkpoints.means(checkpoint) if checkpoint else None
            with cluster.scope():
                if checkpoint:
                    model = restoring.load(workdir, checkpoint, config=config)
                    assembly.check_table(model, dataset)
                else:
                    model = assembly.build_model(
                        config,
                        dataset.image_shape,
                        total,
                        getattr(dataset, "latent_shape", None),
                        dataset.classes,
                        getattr(dataset, "table", None),
                    )
        if assembly.jit(config) and not model.jit_compile:
            cluster.say("jit is off: XLA compiles no step that several replicas share")
        if config.best and not checkpoint:
            first = two_phase.neutral_workdir(config, workdir)
            began = cluster.from_chief(lambda: two_phase.begun(first).to_json().encode())
            source = RunConfig.from_json(began, str(first.path))
            with cluster.file(lambda: two_phase.neutral_path(config, workdir)) as neutral:
                assert neutral is not None
                phases.warm_start(
                    model, restoring.load(first, neutral, compiled=False, config=source)
                )
        start = int(model.step.numpy())

        def begun() -> bytes:
            workdir.create(config)
            if not locked and workdir.latest_checkpoint():
                raise InputError(
                    f"Another run began in {workdir.path}: run the same command again."
                )
            workdir.forget_after(start)
            return b""

        cluster.from_chief(begun)
        if start:
            cluster.say(f"continuing {workdir.path} from step {start}")
        fitting.fit(model, dataset, config, workdir, total, means, cluster)


def first_phase(
    config: RunConfig, workdir: Workdir, dataset: Any, cluster: Cluster = ONE_PROCESS
) -> RunConfig:
    """Returns the configuration with what the neutral run reached, training that if need be."""
    neutral = two_phase.neutral_workdir(config, workdir)

    def known() -> bytes:
        there = workdir.config()
        if there is None or there.best is None:
            workdir.create(config)
        return json.dumps(there.best if there else None).encode()

    def measured() -> bytes:
        from train.loop import assembly

        checkpoint = two_phase.neutral_path(config, workdir)
        batches = assembly.once(dataset, config, "validation")
        model = restoring.load(neutral, checkpoint)
        return json.dumps(two_phase.measured(config, model, batches, checkpoint)).encode()

    best = json.loads(cluster.from_chief(known))
    if best:
        return dataclasses.replace(config, best=best)
    if config.best_from is None:
        cluster.say(f"first phase, without an information preference: {neutral.path}")
        train(two_phase.neutral_config(config), neutral, cluster)
    best = json.loads(cluster.from_chief(measured))
    for expression, row in best.items():
        cluster.say(
            f"{expression} <= {row['tolerance']} = {row['eps']:.6g} (best {row['eps_hat']:.6g})"
        )
    return dataclasses.replace(config, best=best)


if __name__ == "__main__":
    command.run(main, __doc__)
