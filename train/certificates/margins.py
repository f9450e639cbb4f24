"""`HeldOutMargins`: a Keras callback that sets margins in plain `fit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from train.certificates import aiming
from train.certificates.held_out import TRAINING_BATCH, in_batches
from zoo.errors import InputError

if TYPE_CHECKING:
    from train.loop.phases import Best


class HeldOutMargins(keras.callbacks.Callback):
    """Makes the dual step aim below each learned tolerance by a margin measured on held-out data.

        margin_j = max(0, D_j(held out) - D_j(train)) + 4 standard errors of D_j(held out)

    `train.run` does the same; see `train.certificates.aiming`. Margins are measured at the end of
    every epoch but the last. Before that they are what `compile` set, 0 by default.

    Args:
      held_out: data as `held_out.in_batches` takes it, other than the data of the certificate.
      training: data for fitting critics, needed if a critic estimates a learned constraint.
      best: what `measure_best` returned, needed if tolerances are relative to it.
      every: epochs between two measurements.

    Raises:
      InputError: when training begins: no constraint is learned, or the data does not fit; or a
        critic estimates a constraint and `training` is missing or there are fewer than 40 held-out
        examples.
    """

    def __init__(
        self, held_out: Any, training: Any = None, best: Best | None = None, every: int = 1
    ):
        super().__init__()
        if not isinstance(every, int) or every < 1:
            raise InputError(f"every is {every!r}: give a positive whole number of epochs.")
        self._held_out = held_out
        self._training = training
        self._best = best
        self._every = every

    def on_train_begin(self, logs: Any = None) -> None:
        model = self.model
        if not model.lagrangian.learned:
            raise InputError(
                f"{model.objective.name} has no learned constraint and so no margins: leave "
                "HeldOutMargins out."
            )
        batches = in_batches(model, self._held_out)
        best = None
        if self._best is not None:
            best = aiming.best_on(batches, model, self._best.neutral, self._best.objective)
        self._margins = aiming.Margins(model, lambda: batches, self._samples(batches), best)

    def _samples(self, batches: Any) -> Any:
        names = aiming.read_by_critics(self.model)
        if not names:
            return None
        if self._training is None:
            raise InputError(
                f"A critic estimates {names[0]}: give HeldOutMargins training=, the data to fit "
                "the critic to."
            )
        training = in_batches(self.model, self._training, TRAINING_BATCH)
        samples = aiming.samples_of(self.model, batches, training)
        if samples is None:
            raise InputError(
                f"A critic estimates {names[0]}, which needs at least {2 * aiming.LEAST_HALF} "
                "held-out examples: give HeldOutMargins more."
            )
        return samples

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        last = epoch + 1 == self.params["epochs"]
        if last or (epoch + 1) % self._every:
            return
        reached = [
            float(logs[f"D: {constraint.expression}"])
            for constraint in self.model.lagrangian.learned
        ]
        aiming.apply(self.model, self._margins(np.array(reached)))
