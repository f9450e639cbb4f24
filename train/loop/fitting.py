"""Trains a model to the end of its run: steps, records, checkpoints, plots, certificate."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from train.certificates import aiming, held_out
from train.distributed.strategy import ONE_PROCESS, Cluster
from train.figures import pictures
from train.loop import assembly, certifying, interrupts, two_phase
from train.loop.callbacks import Recorder, summary
from train.workdirs.config import RunConfig
from train.workdirs.records import row
from train.workdirs.workdir import Workdir


def fit(
    model: Any,
    dataset: Any,
    config: RunConfig,
    workdir: Workdir,
    total: int,
    means: Sequence[float] | None = None,
    cluster: Cluster = ONE_PROCESS,
) -> None:
    """Trains up to step `total`, and writes records, checkpoints, plots and certificate."""

    def evaluate(split: str) -> dict[str, float]:
        batches = assembly.once(dataset, config, split)
        if model.replicas > 1:
            return held_out.evaluated(model, batches)
        return model.evaluate(batches, return_dict=True, verbose=0)

    def plot() -> None:
        pictures.draw(model, dataset, assembly.once(dataset, config, "test"), workdir)

    for said in blind(model):
        cluster.say(said)
    margins = None
    if cluster.chief:
        neutral = two_phase.neutral_model(config, workdir)
        margins = aiming.of_run(model, dataset, config, neutral)

    def aim(reached: list[float]) -> None:
        def measured() -> bytes:
            assert margins is not None
            return margins(np.array(reached)).tobytes()

        aiming.apply(model, np.frombuffer(cluster.from_chief(measured)))

    recorder = Recorder(
        workdir,
        lambda: evaluate("validation"),
        total,
        config.checkpoint_every,
        plot,
        aim,
        aiming.interval(total, config.log_every),
        config.keep,
        means,
        cluster,
    )
    assembly.compile_for_fit(model, dataset, config)
    at_once = assembly.steps_per_execution(config)

    def own(step: int, part: tuple[int, int] = (0, 1)) -> Any:
        return dataset.batches("train", config.batch_size, config.seed, start_step=step, part=part)

    with interrupts.at_steps():
        for step, epochs, steps in segments(int(model.step.numpy()), total, config.log_every):
            if model.replicas > 1:
                training = cluster.shared(functools.partial(own, step))
            elif model.feed is None:
                training = own(step).take(epochs * steps)
            else:
                size = math.gcd(at_once, steps)
                steps //= size
                training = model.feed.chunks(step, size).take(epochs * steps)
            model.fit(
                training,
                epochs=epochs,
                steps_per_epoch=steps,
                shuffle=False,
                verbose=0,
                callbacks=[recorder],
            )
    if cluster.chief:
        record = row(total, "test", evaluate("test"))
        workdir.record(record)
        plot()
        print(f"test  {summary(record)}")
        print(certifying.summary(certifying.certify_run(model, dataset, config, workdir)))
        print(f"everything is in {workdir.path}")
    cluster.wait()


def blind(model: Any) -> list[str]:
    """Returns a warning for each learned tolerance that allows known failures of q(z)."""
    from train.certificates.bounding import uninformative

    found = []
    for constraint in model.lagrangian.learned:
        admits = uninformative(model, constraint, float(constraint.at_most.at(0.0)))
        if admits:
            found.append(
                f"{constraint.expression} says nothing: {admits}; give a smaller tolerance"
            )
    return found


def segments(start: int, stop: int, every: int) -> list[tuple[int, int, int]]:
    """Splits start..stop at multiples of `every` into (first step, epochs, steps per epoch)."""
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
