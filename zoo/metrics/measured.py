"""The result of a measure: a value, its confidence interval and caveats."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from zoo.errors import InputError
from zoo.metrics.intervals import student

NORMAL_95 = 1.959963984540054  # the normal's 97.5% quantile


@dataclasses.dataclass(frozen=True)
class Measured:
    """A measure's value with its 95% interval.

    The interval accounts for sampling noise. `notes` state the bias of the estimator, and whether
    the interval includes it. If the value is only a bound, the interval has one finite end.

    Attributes:
      value: in `units`.
      interval: contains the estimated quantity in 95 of 100 repeats, None if unknown. An end is
        infinite if nothing bounds the truth on that side; each finite end misses it in 2.5 of 100
        repeats.
      size: N, the number of examples.
      estimator: a description of the estimator.
      notes: caveats for the reader; a sentence each.
      ceiling: the largest value that such an estimate can have, if there is one.
      units: the units, by default nats per example.
    """

    value: float
    interval: tuple[float, float] | None
    size: int
    estimator: str
    notes: tuple[str, ...] = ()
    ceiling: float | None = None
    units: str = "nats per example"

    def at_least(self) -> Measured:
        """Returns this value as a lower bound: an interval without an upper end."""
        return self._with_ends(lambda low, high: (low, math.inf))

    def at_most(self) -> Measured:
        """Returns this value as an upper bound: an interval without a lower end."""
        return self._with_ends(lambda low, high: (-math.inf, high))

    def _with_ends(self, change: Callable[[float, float], tuple[float, float]]) -> Measured:
        interval = None if self.interval is None else change(*self.interval)
        return dataclasses.replace(self, interval=interval)

    @classmethod
    def of_mean(
        cls,
        values: np.ndarray,
        estimator: str,
        notes: tuple[str, ...] = (),
        ceiling: float | None = None,
        units: str = "nats per example",
    ) -> Measured:
        """Returns the mean of independent values with Student's interval.

            mean +- t_{N-1} s / sqrt(N)

        Args:
          values: [N], one for each example.

        Raises:
          InputError: there are no values.
        """
        values = np.asarray(values, np.float64)
        if not len(values):
            raise InputError(f"There is nothing to measure ({estimator}): give some examples.")
        mean, n = float(values.mean()), len(values)
        error = float(values.std(ddof=1) / math.sqrt(n)) if n > 3 else None
        interval = None if error is None else around(mean, error, n - 1)
        return cls(mean, interval, n, estimator, notes, ceiling, units)


def around(value: float, error: float, degrees: float = math.inf) -> tuple[float, float]:
    """Returns the 95% interval value +- t error, for a standard error with these degrees."""
    half = error * (NORMAL_95 if math.isinf(degrees) else student(NORMAL_95, degrees))
    return value - half, value + half
