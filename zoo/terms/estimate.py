"""What an estimator returns."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Estimate:
    """An estimated term: what is read, what the model descends, what the critic descends.

    Attributes:
      value: Scalar, nats per example; a distance of W1, a squared one of SW and MMD, and of Stein's
        direction nats per unit step. It goes to the logs and moves the multipliers.
      surrogate: Scalar whose gradient trains encoder, decoder and prior. Only its gradient means
        anything: its value need not be that of the term.
      critic_loss: Scalar which the critic descends, or `None` where there is no critic. To be
        differentiated with respect to the critic's variables alone, and `surrogate` with respect
        to all the others: neither stops gradients by itself.
    """

    value: Any
    surrogate: Any
    critic_loss: Any = None

    @classmethod
    def of(cls, value: Any) -> Estimate:
        """Returns the estimate of a term whose value is its own surrogate."""
        return cls(value=value, surrogate=value)
