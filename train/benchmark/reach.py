"""The seconds from a cold start to a given test -ELBO."""

from __future__ import annotations

import dataclasses
import importlib
import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from train.benchmark.cases import Case, Entry
from train.benchmark.child import answering, peak_megabytes
from train.benchmark.rounds import SETTLE, Result

MOST_STEPS = 20_000


@dataclasses.dataclass
class Runner:
    """The state of one case in a race.

    Attributes:
      uses: its settings, as its process reports them.
      steps: training steps so far.
      bound: its test -ELBO after these steps, nats per example.
      start_seconds: from the start of its process until it can train.
      seconds: start and training, without the evaluation on test images.
      megabytes: the peak memory of its process.
      refused, failed: the reason why it cannot run, or the traceback of its failure.
    """

    entry: Entry
    uses: dict[str, Any] = dataclasses.field(default_factory=dict)
    steps: int = 0
    bound: float | None = None
    start_seconds: float = 0.0
    seconds: float = 0.0
    megabytes: float = 0.0
    refused: str | None = None
    failed: str | None = None

    @property
    def stopped(self) -> bool:
        return bool(self.refused or self.failed)

    def reached(self, nats: float) -> bool:
        return self.bound is not None and self.bound <= nats

    def start(self) -> None:
        """Starts its process, and waits until it can train."""
        since = time.perf_counter()
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(self.entry.case, theirs), daemon=True)
        self._process.start()
        theirs.close()
        if answer := self._answer():
            (self.uses,) = answer
            self.start_seconds = self.seconds = time.perf_counter() - since

    def train(self) -> None:
        """Trains for one epoch, then evaluates on the test images."""
        time.sleep(SETTLE)
        self._connection.send(True)
        if answer := self._answer():
            seconds, self.megabytes, self.bound = answer
            self.seconds += seconds
            self.steps += self.entry.case.every

    def close(self) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.join()

    def _answer(self) -> tuple[Any, ...] | None:
        try:
            kind, *found = self._connection.recv()
        except EOFError:
            self._process.join()
            kind, found = "failed", [f"its process ended with code {self._process.exitcode}"]
        if kind in ("refused", "failed"):
            setattr(self, kind, found[0])
            return None
        return tuple(found)


def race(entries: tuple[Entry, ...], nats: float, most: int = MOST_STEPS) -> list[Result]:
    """Trains the cases in turns until each has a test -ELBO of `nats` or has taken `most` steps.

    Returns seconds as rates, and each case's speed relative to the case it is compared with.
    """
    runners = [Runner(entry) for entry in entries]
    try:
        for each in runners:
            each.start()
        while racing := [
            r for r in runners if not (r.stopped or r.reached(nats) or r.steps >= most)
        ]:
            for each in racing:
                each.train()
    finally:
        for each in runners:
            each.close()
    return [_result(each, runners, nats) for each in runners]


def _result(one: Runner, runners: list[Runner], nats: float) -> Result:
    refused = one.refused
    if not one.stopped and not one.reached(nats):
        refused = f"its test -ELBO was {one.bound:.2f} after {one.steps} steps, not {nats:g}"
    if refused or one.failed:
        return Result(one.entry.label, refused=refused, failed=one.failed)
    result = Result(
        one.entry.label,
        uses={**one.uses, "steps": one.steps, "bound": one.bound},
        rates=(one.seconds,),
        start_seconds=round(one.start_seconds, 2),
        megabytes=round(one.megabytes),
    )
    others = [r for r in runners if r.entry.label in one.entry.against and r.reached(nats)]
    if not others:
        return result
    other = min(others, key=lambda each: each.seconds)
    ratio = other.seconds / one.seconds
    return dataclasses.replace(result, against=other.entry.label, ratio=ratio, ratios=(ratio,))


def serve(case: Case, connection: Connection) -> None:
    """Trains in the child process of a case.

    Sends ("ready", settings), then ("trained", seconds, megabytes, -ELBO) after every epoch.
    """

    def bursts() -> Iterator[int]:
        while connection.recv():
            since = time.perf_counter()
            yield case.every
            seconds = time.perf_counter() - since
            connection.send(("trained", seconds, peak_megabytes(), held_out()))

    with answering(connection):
        module = importlib.import_module(f"train.benchmark.{case.by}")
        uses, train, held_out = module.with_held_out(case)
        connection.send(("ready", uses))
        train(bursts())
