"""The likelihood of a table's rows: a Normal for numbers, a Categorical for each other column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from zoo import errors
from zoo.distributions import likelihoods
from zoo.distributions.blocks import Blocks
from zoo.distributions.replicas import ALONE, Replica
from zoo.tables.table import Table

tfd = tfp.distributions


@likelihoods.register
class TableLikelihood(likelihoods.Likelihood):
    """Independent columns given z: standardised numbers and one-hot categories.

        log p(x|z) = sum_j [ -(x_j - m_j)^2 / (2 s_j^2) - log s_j - log(2 pi) / 2 ]
                     + sum_c log softmax(l_c)[category of c]

    In nats per row, of standardised values; in the columns' own units it is
    log p(x|z) - `table.log_det`. A mean holds means and probabilities.

    Critics receive draws. Those of a category pass the gradient of its probabilities
    (straight-through: Bengio et al. 2013, "Estimating or propagating gradients through stochastic
    neurons", section 4), which is biased.

    Args:
      table: the columns, or their config.
      scale: s, in units of a column's standard deviation: "learned", one for each number of a row;
        "per_element", from the network for each row; or a positive number.
      floor: of scales that are learned, floor + softplus(raw). Without one the density of a column
        of few values has no bound.

    Raises:
      InputError: scale or floor is none of these, or there are no columns.
    """

    name = "table"

    def __init__(
        self,
        table: Table | Sequence[Mapping[str, Any]] = (),
        scale: likelihoods.Scale = "learned",
        floor: float = 0.01,
    ) -> None:
        self.table = table if isinstance(table, Table) else Table.from_config(table)
        # It checks the two, and turns outputs into a scale.
        self._normal = likelihoods.Normal(scale, floor)
        numbers = self.table.numbers
        self.learns_scale = self._normal.learns_scale and numbers > 0
        self.initial_raw_scale = self._normal.initial_raw_scale
        self.raw_scale_shape = (numbers,) if self.learns_scale else ()
        self._outputs = numbers * self._normal.params_per_element
        self._sizes = [column.width for column in self.table.categorical]

    @property
    def shape(self) -> tuple[int, ...]:
        """The only shape of x that there is a likelihood for."""
        return self.table.shape

    @property
    def has_mean(self) -> bool:
        return True

    @property
    def reparameterised(self) -> bool:
        return not self._sizes

    @property
    def stand_in(self) -> str | None:
        return "straight-through draws" if self._sizes else None

    @property
    def reads(self) -> str:
        return f"{self._outputs + sum(self._sizes)} along the last axis"

    def params_shape(self, event_shape: Sequence[int]) -> tuple[int, ...]:
        if tuple(event_shape) != self.shape:
            raise errors.InputError(
                f"The table's rows have shape {self.shape} and x has {tuple(event_shape)}: leave "
                "x_shape out."
            )
        return (self._outputs + sum(self._sizes),)

    def event_shape(self, params_shape: Sequence[int]) -> tuple[int, ...] | None:
        return self.shape if tuple(params_shape) == self.params_shape(self.shape) else None

    def distribution(self, params: tf.Tensor, raw_scale: tf.Tensor | None = None) -> Any:
        numbers, *logits = tf.split(params, [self._outputs, *self._sizes], axis=-1)
        parts = [tfd.OneHotCategorical(logits=each, dtype=tf.float32) for each in logits]
        if self._outputs:
            parts.insert(0, self._normal.distribution(numbers, raw_scale))
        return Blocks(parts)

    def relaxed_sample(
        self, distribution: Any, seed: tf.Tensor, replica: Replica = ALONE
    ) -> tf.Tensor:
        drawn = replica.drawn(distribution, seed)
        if not self._sizes:
            return drawn
        categories = distribution.distributions[-len(self._sizes) :]
        probabilities = [each.probs_parameter() for each in categories]
        numbers = tf.zeros_like(drawn[..., : self.table.numbers])
        soft = tf.concat([numbers, *probabilities], axis=-1)
        # The value of the draw, and the gradient of the probabilities.
        return drawn + (soft - tf.stop_gradient(soft))

    def get_config(self) -> dict[str, Any]:
        return {
            "table": self.table.to_config(),
            "scale": self._normal.scale,
            "floor": self._normal.floor,
        }
