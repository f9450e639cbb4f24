"""What a constraint bounds: what the rest of the zoo asks of it, whatever its kind."""

from __future__ import annotations

import abc
import math

from zoo.objectives.reader import Reader
from zoo.objectives.vectors import Vector, decompose


class Subject(abc.ABC):
    """A quantity that a constraint bounds.

    One class for each kind, in a file of its own; `zoo.objectives.subjects.KINDS` lists them. A
    kind is a frozen dataclass: constraints that bound the same are equal.
    """

    @classmethod
    @abc.abstractmethod
    def known(cls, name: str) -> bool:
        """Returns whether a constraint that starts with `name` bounds a quantity of this kind."""

    @classmethod
    @abc.abstractmethod
    def read(cls, reader: Reader) -> Subject:
        """Takes a subject from a constraint's tokens; raises InputError where there is none."""

    @classmethod
    @abc.abstractmethod
    def unit_of(cls, name: str) -> str | None:
        """Returns the unit of a subject or of its term, by its text; None for another kind's."""

    @property
    @abc.abstractmethod
    def expression(self) -> str:
        """The canonical text, which `read` reads back."""

    @property
    @abc.abstractmethod
    def term(self) -> str | None:
        """The term that estimates it; None where a sum of terms does, or nothing can."""

    @property
    @abc.abstractmethod
    def vector(self) -> Vector | None:
        """It over the basic terms of `zoo.objectives.vectors`; None if it is added as it is."""

    @property
    def implies(self) -> frozenset[str]:
        """The spaces, such as "x|z", over which q and p agree where it is as small as can be."""
        return frozenset()

    @property
    def compares(self) -> str:
        """What `term` compares by samples, if it is added as it is: "x", "z", "xz"; "" if nothing.

        The terms of a vector say for themselves what they compare.
        """
        return ""

    @property
    def refusal(self) -> str | None:
        """One sentence on why nothing can estimate it; None if something can."""
        return None

    @property
    def describes(self) -> str:
        """What it is, in a few words; "" if its name says it."""
        return ""

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest value it can have, as far as estimates are held to them."""
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
        """Whether a sure critic gives the players no gradient."""
        return False

    @property
    def bounds_elbo(self) -> bool:
        """Whether it is KL(q(x,z)||p(x,z)), whose tolerance bounds -ELBO = KL + H_q(x)."""
        return False

    @property
    def quantity(self) -> str:
        """What can be measured of it: it, or what is left of it without the unknown H_q(x)."""
        if self.bounds_elbo:
            return "-ELBO"
        if self.vector is not None and decompose(self.vector)[1]["E_q[log q(x)]"]:
            return f"{self.expression} + H_q(x)"
        return self.expression
