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

from train import command, options
from train.distributed import strategy
from train.distributed.strategy import ONE_PROCESS, Cluster
from train.loop import interrupts, phases, recipes, restoring, two_phase
from train.workdirs import checkpoints
from train.workdirs.config import (
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
flags.adopt_module_key_flags(options)

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
    if values["steps"] is None and values["epochs"] is None:
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
