"""`Turns`: a callback that runs `fit` in bursts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras


class Turns(keras.callbacks.Callback):
    """Runs `fit` in bursts: it pauses after each number of steps in `bursts`, until they end.

    One call of `fit` runs all bursts, so that its start-up is not timed with each of them.

    Args:
      bursts: numbers of steps.
      every: steps in an epoch, a divisor of each of these.
    """

    def __init__(self, bursts: Iterator[int], every: int):
        super().__init__()
        self._bursts = bursts
        self._every = every
        self._left = 0

    def on_train_begin(self, logs: Any = None) -> None:
        self._left = next(self._bursts)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._left -= self._every
        if self._left <= 0:
            self._left = next(self._bursts, 0)
            self.model.stop_training = not self._left
