"""Moving averages of weights, which give better samples than the last weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from zoo.errors import InputError


@keras.saving.register_keras_serializable("zoo", name="Averages")
class WeightAverages(keras.layers.Layer):
    """Exponential moving averages of the weights and statistics of encoder and decoder.

        average_0 = w_0,   average_t = decay average_{t-1} + (1 - decay) w_t

    Adversarial training oscillates around its equilibrium, and the average is nearer to it: Yazici
    et al. "The Unusual Effectiveness of Averaging in GAN Training." ICLR 2019.

    Args:
      decay: from 0 to below 1; the average covers about 1 / (1 - decay) steps.
      variables: the averaged variables.

    Raises:
      InputError: decay is out of range.
    """

    def __init__(self, decay: float, variables: Sequence[Any], **kwargs: Any):
        super().__init__(dtype="float32", **kwargs)
        if not isinstance(decay, float | int) or not 0 <= decay < 1:
            raise InputError(f"The averages' decay is {decay!r}: give a number from 0 to below 1.")
        self.decay = float(decay)
        # In a function, so that Keras does not track them as weights here and save them twice.
        self._averaged = lambda: variables
        self._averages = [
            self.add_weight(
                name=f"average_{index}",
                shape=variable.shape,
                initializer="zeros",
                trainable=False,
                aggregation="only_first_replica",
            )
            for index, variable in enumerate(variables)
        ]
        for average, variable in zip(self._averages, self._averaged(), strict=True):
            average.assign(variable)
        self.built = True

    def update(self) -> None:
        """Moves every average one step towards its weight."""
        for average, variable in zip(self._averages, self._averaged(), strict=True):
            # average <- decay average + (1 - decay) w
            average.assign(average + (1.0 - self.decay) * (variable - average))

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Replaces the weights by their averages within a with block."""
        present = [keras.ops.convert_to_numpy(variable) for variable in self._averaged()]
        for average, variable in zip(self._averages, self._averaged(), strict=True):
            variable.assign(average)
        try:
            yield
        finally:
            for value, variable in zip(present, self._averaged(), strict=True):
                variable.assign(value)
