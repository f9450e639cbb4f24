"""The parent process: cases take turns, and each round measures one rate per case."""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

from train.benchmark import child
from train.benchmark.cases import Entry, step_flops

SETTLE = 0.3  # seconds for the threads of the previous case to go to sleep


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of an entry.

    Attributes:
      uses: the settings its process reports: data, jit, precision, steps_per_execution.
      rates: in the contest's unit, one for each round.
      slow: the 99th percentile of a request, one for each round; () if it answers no requests.
      ratios: to the fastest entry it is compared with, one for each round; () without one.
      megabytes: the peak memory of its process.
      start_seconds: from the start of its process to the end of its first steps.
      refused: the reason why the case cannot run.
      failed: the traceback, if it failed.
    """

    label: str
    uses: dict[str, Any] = dataclasses.field(default_factory=dict)
    rates: tuple[float, ...] = ()
    slow: tuple[float, ...] = ()
    against: str | None = None
    ratios: tuple[float, ...] = ()
    ratio: float | None = None
    megabytes: float | None = None
    start_seconds: float | None = None
    refused: str | None = None
    failed: str | None = None


class Child:
    """The process of one case."""

    serve = staticmethod(child.serve)

    def __init__(self, entry: Entry):
        self.entry = entry
        self.uses: dict[str, Any] = {}
        self.refused: str | None = None
        self.failed: str | None = None
        self.megabytes = 0.0
        self.start_seconds = 0.0
        self.rates: list[float] = []
        self.slow: list[float] = []
        self._steps = 0
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        since = time.perf_counter()
        self._process = context.Process(target=self.serve, args=(entry.case, theirs), daemon=True)
        self._process.start()
        theirs.close()
        answer = self._answer()
        if answer is not None:
            self.uses = answer[1]
            self.run(entry.case.every)
            self.start_seconds = time.perf_counter() - since

    @property
    def alive(self) -> bool:
        return self.refused is None and self.failed is None

    def run(self, steps: int) -> float | None:
        """Returns the seconds of a burst; None if the process failed."""
        self._connection.send(steps)
        answer = self._answer()
        if answer is None:
            return None
        seconds, self.megabytes = answer
        return seconds

    def pace(self, seconds: float) -> None:
        """Sets the number of steps in a burst so that it takes about `seconds`."""
        once = self.run(self.entry.case.every)
        if once is not None:
            self._steps = self.entry.case.every * max(1, math.ceil(seconds / once))

    def take_turn(self, unit: str) -> None:
        """Runs a burst and records its rate."""
        time.sleep(SETTLE)
        seconds = self.run(self._steps)
        if seconds is not None:
            self.rates.append(self._rate(unit, seconds / self._steps))

    def close(self) -> None:
        self._connection.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()

    def _rate(self, unit: str, seconds: float) -> float:
        if unit == "us/step":
            return 1e6 * seconds
        if unit == "GFLOP/s":
            return self.uses.get("flops", step_flops(self.entry.case)) / seconds / 1e9
        return self.entry.case.batch_size / seconds / 1e3

    def _answer(self) -> Any | None:
        try:
            answer = self._connection.recv()
        except EOFError:
            self._process.join()
            answer = ("failed", f"its process ended with code {self._process.exitcode}")
        if answer[0] == "refused":
            self.refused = answer[1]
        elif answer[0] == "failed":
            self.failed = answer[1]
        else:
            return answer
        return None


def play(
    match: Sequence[Entry], unit: str, rounds: int, seconds: float, kind: type[Child] = Child
) -> list[Result]:
    """Runs a match, `rounds` bursts of about `seconds` per entry in turns, and returns its results.

    Every other round runs in reverse order, so that no entry always follows the same one.
    """
    children: list[Child] = []
    try:
        for entry in match:
            children.append(kind(entry))
        for each in children:
            if each.alive:
                each.pace(seconds)
        for number in range(rounds):
            for each in children if number % 2 == 0 else reversed(children):
                if each.alive:
                    each.take_turn(unit)
    finally:
        for each in children:
            each.close()
    return [_result(each, children) for each in children]


def _result(one: Child, children: Sequence[Child]) -> Result:
    if not one.alive:
        return Result(one.entry.label, refused=one.refused, failed=one.failed)
    others = [c for c in children if c.alive and c.entry.label in one.entry.against]
    result = Result(
        one.entry.label,
        uses=one.uses,
        rates=tuple(one.rates),
        slow=tuple(one.slow),
        megabytes=round(one.megabytes),
        start_seconds=round(one.start_seconds, 2),
    )
    if not others:
        return result
    other = max(others, key=lambda each: median(each.rates))
    return dataclasses.replace(
        result,
        against=other.entry.label,
        ratio=median(one.rates) / median(other.rates),
        ratios=tuple(a / b for a, b in zip(one.rates, other.rates, strict=True)),
    )
