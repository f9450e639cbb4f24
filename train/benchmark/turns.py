"""`fit` in bursts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras


class Turns(keras.callbacks.Callback):
    """Lets `fit` run as many steps as `bursts` says, then waits for the next, until they end.

    `fit` goes on where it was: what it costs to begin is not counted with every burst.

    Args:
      bursts: numbers of steps.
      every: steps in an epoch, a divisor of them.
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
