"""Interface of the subject of a constraint, the quantity that the constraint bounds."""

from __future__ import annotations

import abc
import math

from zoo.objectives.reader import Reader
from zoo.objectives.vectors import Vector, decompose


class Subject(abc.ABC):
    """A quantity that a constraint bounds.

    Each kind is a frozen dataclass in one file, listed in `zoo.objectives.subjects.KINDS`. Two
    subjects with the same fields are equal.
    """

    @classmethod
    @abc.abstractmethod
    def known(cls, name: str) -> bool:
        """Returns whether a constraint that starts with `name` has a subject of this kind."""

    @classmethod
    @abc.abstractmethod
    def read(cls, reader: Reader) -> Subject:
        """Takes a subject from a constraint's tokens; raises InputError if they are not one."""

    @classmethod
    @abc.abstractmethod
    def unit_of(cls, name: str) -> str | None:
        """Returns the unit of the named subject or term; None if it is of another kind."""

    @property
    @abc.abstractmethod
    def expression(self) -> str:
        """The canonical text, which `read` parses."""

    @property
    @abc.abstractmethod
    def term(self) -> str | None:
        """The one term that estimates it; None if a sum of terms does, or nothing can."""

    @property
    @abc.abstractmethod
    def vector(self) -> Vector | None:
        """Its vector of `zoo.objectives.vectors`; None if the form adds it unchanged."""

    @property
    def implies(self) -> frozenset[str]:
        """The spaces, such as "x|z", over which q and p agree at its minimum."""
        return frozenset()

    @property
    def compares(self) -> str:
        """What `term` compares by samples: "x", "z" or "xz"; "" if nothing, or with a `vector`.

        For a subject with a vector, `NAMED_TERMS` says what its terms compare.
        """
        return ""

    @property
    def refusal(self) -> str | None:
        """One sentence on why nothing can estimate it; None if something can."""
        return None

    @property
    def describes(self) -> str:
        """A description in a few words; "" if the name is enough."""
        return ""

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest value to which estimates are clipped."""
        return -math.inf, math.inf

    @property
    def critic(self) -> bool:
        """Whether a critic estimates it, by a supremum."""
        return False

    @property
    def lipschitz(self) -> bool:
        """Whether that supremum is over critics of bounded slope."""
        return False

    @property
    def saturates(self) -> bool:
        """Whether a sure critic gives encoder and decoder no gradient."""
        return False

    @property
    def bounds_elbo(self) -> bool:
        """Whether it is KL(q(x,z)||p(x,z)), whose tolerance bounds -ELBO = KL + H_q(x)."""
        return False

    @property
    def quantity(self) -> str:
        """The measurable quantity: the subject, plus H_q(x) where that is unknown."""
        if self.bounds_elbo:
            return "-ELBO"
        if self.vector is not None and decompose(self.vector)[1]["E_q[log q(x)]"]:
            return f"{self.expression} + H_q(x)"
        return self.expression
