"""GECO: ascent on the logarithms of the multipliers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo.multipliers.base import MultiplierRule, Violation, in_range


@keras.saving.register_keras_serializable("zoo")
class GECO(MultiplierRule):
    """Ascent on log mu with a slow moving average; steps are relative to the multiplier's size.

        xi_t = smoothing xi_{t-1} + (1 - smoothing) g_t,   smoothing 0.99
        log mu <- clip( log mu + rate xi_t, log lower, log upper ),   rate 1e-3

    [G] algorithm 1 with C = D - eps, here divided by the slack. Larger steps diverge: `horizon`
    gives a rate of at most 2e-3. The clip's lower end is above 0, because mu = 0 could not grow.
    """

    pace = 5.0
    fastest = 2e-3
    default_smoothing = 0.99
    default_clip = (1e-3, 1e3)

    def __init__(
        self,
        rate: float | None = None,
        horizon: int | None = None,
        smoothing: float | None = None,
        clip: Sequence[float] | None = None,
        hold: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(rate, horizon, smoothing, clip, hold, **kwargs)
        in_range("The clip's lower end", self.clip[0], above=0)

    def moved(self, mu: tf.Tensor, g: Violation) -> tf.Tensor:
        # log mu <- log mu + rate xi_t
        return mu * tf.exp(self.rate * g.average)
