"""The result of an estimator: value, surrogate and critic loss."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Estimate:
    """An estimated term: its value, and the losses of the model and of the critic.

    Attributes:
      value: Scalar for logs and multipliers, in nats per example; for W1 a distance, for SW and MMD
        a squared distance, for Stein's direction nats per unit step.
      surrogate: Scalar whose gradient trains encoder, decoder and prior. Only its gradient means
        anything: its value need not be that of the term.
      critic_loss: Scalar loss of the critic; `None` without a critic. Differentiate it in the
        critic's variables only, and `surrogate` in the others only: neither stops gradients.
    """

    value: Any
    surrogate: Any
    critic_loss: Any = None

    @classmethod
    def of(cls, value: Any) -> Estimate:
        """Returns the estimate of a term whose surrogate is its value."""
        return cls(value=value, surrogate=value)
