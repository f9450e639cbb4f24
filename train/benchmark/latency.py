"""The latency of one request, as medians and 99th percentiles; cases take turns."""

from __future__ import annotations

import importlib
import time
from multiprocessing.connection import Connection

import numpy as np

from train.benchmark.cases import Case
from train.benchmark.child import answering, peak_megabytes
from train.benchmark.rounds import SETTLE, Child

_LEAD = 20  # requests that are not timed, to refill caches after the other cases' turns


def serve(case: Case, connection: Connection) -> None:
    """Answers requests in the child process of a case.

    Sends ("ready", settings), then ("asked", seconds of each request, megabytes) for each number of
    requests received.
    """
    with answering(connection):
        uses, ask = importlib.import_module(f"train.benchmark.{case.by}").prepare(case)
        connection.send(("ready", uses))
        while count := connection.recv():
            for _ in range(_LEAD):
                ask()
            times = np.empty(count)
            for index in range(count):
                since = time.perf_counter()
                ask()
                times[index] = time.perf_counter() - since
            connection.send(("asked", times, peak_megabytes()))


class Answering(Child):
    """A case that answers requests; its rates are median latencies in microseconds.

    Attributes:
      slow: the 99th percentile of each round, in microseconds.
    """

    serve = staticmethod(serve)

    def run(self, steps: int) -> float | None:
        self._connection.send(steps)
        answer = self._answer()
        if answer is None:
            return None
        _, self._times, self.megabytes = answer
        return float(np.sum(self._times))

    def take_turn(self, unit: str) -> None:
        time.sleep(SETTLE)
        if self.run(self._steps) is not None:
            median, slow = np.percentile(self._times, (50, 99))
            self.rates.append(1e6 * float(median))
            self.slow.append(1e6 * float(slow))
