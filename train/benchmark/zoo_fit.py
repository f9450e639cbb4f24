"""The zoo's `fit` as `python -m train.run` calls it, including its records."""

from __future__ import annotations

import functools
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from train.benchmark.cases import STEPS, Case, run_config
from train.benchmark.turns import Turns
from train.loop import assembly
from train.loop.callbacks import Recorder
from train.workdirs.workdir import Workdir
from zoo.networks import precision


def prepare(case: Case) -> tuple[dict[str, Any], Callable[[Iterator[int]], None]]:
    """Builds the model of `case`; returns its settings and a function that trains in bursts."""
    uses, train, _ = with_held_out(case)
    return uses, train


def with_held_out(
    case: Case,
) -> tuple[dict[str, Any], Callable[[Iterator[int]], None], Callable[[], float]]:
    """Returns the results of `prepare` and a function for the test -ELBO, nats per example."""
    config = run_config(case)
    dataset = assembly.load_dataset(config)
    model = assembly.build_model(config, dataset.image_shape, STEPS)
    if case.idle:
        model.train_step = functools.partial(_nothing, model)
    at_once = math.gcd(assembly.steps_per_execution(config), case.every)
    assembly.compile_for_fit(model, dataset, config, at_once, case.streamed)
    if model.feed is None:
        training, steps = dataset.batches("train", config.batch_size, config.seed), case.every
    else:
        training, steps = model.feed.chunks(0, at_once), case.every // at_once
    uses = {
        "data": "streamed" if model.feed is None else "resident",
        "jit": bool(model.jit_compile),
        "precision": "bfloat16" if _is_bfloat16(model) else "float32",
        "steps_per_execution": at_once,
    }

    def train(bursts: Iterator[int]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            workdir = Workdir(folder)
            workdir.create(config)
            # Records are written every epoch. The run has no end, and so no checkpoint.
            never = sys.maxsize
            recorder = Recorder(
                workdir, dict, never, never, lambda: None, lambda reached: None, never
            )
            model.fit(
                training,
                epochs=never,
                steps_per_epoch=steps,
                shuffle=False,
                verbose=0,
                callbacks=[recorder, Turns(bursts, case.every)],
            )

    def held_out() -> float:
        found = model.evaluate(assembly.once(dataset, config, "test"), return_dict=True, verbose=0)
        return float(found["REC_x"] + found["RATE"])

    return uses, train, held_out


def _is_bfloat16(model: Any) -> bool:
    layers = [*model.encoder.network.layers, *model.decoder.network.layers]
    return any(isinstance(layer, precision.Dense | precision.Conv2D) for layer in layers)


def _nothing(model: Any, data: Any) -> dict[str, Any]:
    """Replaces `train_step` in idle cases."""
    model.step.assign_add(1)
    return model.training_logs()
