"""The examples for bounds: to fit critics, to choose among them, and to evaluate the bound."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from zoo.batch import Batch
from zoo.errors import InputError

FITTED_TO, CHOSEN_ON, READ_ON = 20_000, 2_000, 10_000  # the most examples of each kind
_LEAST = 40
_BATCH = 256


@dataclasses.dataclass(frozen=True)
class Examples:
    """Data in memory: x [N, ...], z [N, ...] if the prior is a data set, and the condition c."""

    x: np.ndarray
    z: np.ndarray | None = None
    c: np.ndarray | None = None

    @classmethod
    def of(
        cls, batches: Iterable[Any], most: int, paired: bool = False, conditional: bool = False
    ) -> Examples:
        """Returns the first `most` examples of batches, read by `zoo.batch.Batch.of`.

        Raises:
          InputError: there are no examples.
        """
        rows: list[tuple[Any, Any, Any]] = []
        count = 0
        for batch in batches:
            rows.append(Batch.of(batch, paired, conditional).parts())
            count += len(rows[-1][0])
            if count >= most:
                break
        if not count:
            raise InputError("There are no held-out images: give at least one batch.")
        x, z, c = (
            None if column[0] is None else np.concatenate(list(map(np.asarray, column)))[:most]
            for column in zip(*rows, strict=True)
        )
        assert x is not None
        return cls(x, z, c)

    def __len__(self) -> int:
        return len(self.x)

    def part(self, first: int, last: int) -> Examples:
        z, c = (None if part is None else part[first:last] for part in (self.z, self.c))
        return Examples(self.x[first:last], z, c)

    def in_batches(self) -> Iterator[Batch]:
        """Yields the examples as batches with `parts` x, z and c."""
        for start in range(0, len(self), _BATCH):
            batch = self.part(start, start + _BATCH)
            parts = (batch.z, batch.c)
            yield Batch(batch.x, *(() if part is None else part for part in parts))


@dataclasses.dataclass(frozen=True)
class Samples:
    """Three sets of examples, each independent of the others.

    Attributes:
      fit: examples to which critics and densities are fitted.
      choose: examples for the choice between them, and for early stopping.
      read: held-out examples on which bounds are evaluated.
      whole: all held-out examples, for bounds without a fit; `read` if None.
    """

    fit: Examples
    choose: Examples
    read: Examples
    whole: Examples | None = None

    @property
    def held_out(self) -> Examples:
        return self.read if self.whole is None else self.whole

    @classmethod
    def split(cls, held_out: Examples) -> Samples:
        """Splits held-out examples: half to fit, a fifth to choose, the rest to read.

        Raises:
          InputError: there are fewer than 40.
        """
        n = len(held_out)
        if n < _LEAST:
            raise InputError(
                f"There are {n} held-out examples for bounds by a critic: give {_LEAST} or more."
            )
        half, last = n // 2, n // 2 + n // 5
        fit, choose = held_out.part(0, half), held_out.part(half, last)
        return cls(fit, choose, held_out.part(last, n), whole=held_out)
