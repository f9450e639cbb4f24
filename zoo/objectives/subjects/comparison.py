"""Divergences between p and q as subjects of constraints: "MMD(q(z)||p(z))"."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from zoo.errors import unknown
from zoo.objectives import divergences
from zoo.objectives.divergences import Divergence, divergence
from zoo.objectives.reader import Reader
from zoo.objectives.subjects.base import Subject
from zoo.objectives.subjects.likelihood import LIKELIHOOD_TERMS
from zoo.objectives.vectors import TERMS, Vector, kl

# "MMD_z", "CHI2_x_pq" or "MMD(q(z)||p(z))"
_NAMED = re.compile(
    rf"({divergences.NAME.pattern})(?:_(?:{'|'.join(divergences.SPACES)})(?:_(?:qp|pq))?$|\()"
)


@dataclass(frozen=True)
class Comparison(Subject):
    """D(a(s)||b(s)), a divergence between p and q over the same variables.

    Attributes:
      facts: the properties of the divergence D.
      space: the variables s: "xz", "x", "z", "z|x" or "x|z".
      direction: "qp" for D(q||p), "pq" for D(p||q); "qp" if D is symmetric.
    """

    facts: Divergence
    space: str
    direction: str

    @classmethod
    def known(cls, name: str) -> bool:
        return name.upper() in divergences.DIVERGENCES

    @classmethod
    def read(cls, reader: Reader) -> Comparison:
        start = reader.index
        name = reader.take()
        if reader.peek() != "(":
            raise unknown("term", name, LIKELIHOOD_TERMS)
        facts = divergence(name)
        reader.expect("(")
        first, space = _distribution(reader)
        reader.expect("||")
        second, other_space = _distribution(reader)
        reader.expect(")")
        if space != other_space or first == second:
            reader.index = start
            raise reader.error(
                f"{name} must compare p with q over the same variables, "
                f"not {first}({space}) with {second}({other_space}),"
            )
        return cls(facts, space, "qp" if facts.symmetric else first + second)

    @classmethod
    def unit_of(cls, name: str) -> str | None:
        found = _NAMED.match(name)
        known = divergences.DIVERGENCES.get(found[1]) if found else None
        return None if known is None else known.unit

    @property
    def expression(self) -> str:
        first, second = tuple(self.direction)
        variables = "x,z" if self.space == "xz" else self.space
        return f"{self.facts.name}({first}({variables})||{second}({variables}))"

    @property
    def term(self) -> str | None:
        if self.vector is not None:
            return next((name for name, target in TERMS.items() if target == self.vector), None)
        if self._conditional:
            return None
        suffix = "" if self.facts.symmetric else f"_{self.direction}"
        return f"{self.facts.name}_{self.space}{suffix}"

    @property
    def vector(self) -> Vector | None:
        return kl(self.direction, self.space) if self.facts.name == "KL" else None

    @property
    def implies(self) -> frozenset[str]:
        return frozenset({self.space})

    @property
    def compares(self) -> str:
        return "" if self.vector is not None or self._conditional else self.space

    @property
    def refusal(self) -> str | None:
        if self.vector is not None or not self._conditional:
            return None
        name = self.facts.name
        return (
            f"{self.expression} compares conditionals, which no sample-based estimate of "
            f"{name} can: use KL, or {name}(q(x,z)||p(x,z))."
        )

    @property
    def describes(self) -> str:
        return self.facts.describes

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, math.inf if self.facts.largest is None else self.facts.largest

    @property
    def critic(self) -> bool:
        return self.facts.critic

    @property
    def lipschitz(self) -> bool:
        return self.facts.lipschitz

    @property
    def saturates(self) -> bool:
        return self.facts.saturates

    @property
    def bounds_elbo(self) -> bool:
        return self.vector is not None and (self.direction, self.space) == ("qp", "xz")

    @property
    def _conditional(self) -> bool:
        return "|" in self.space


def _distribution(reader: Reader) -> tuple[str, str]:
    side = reader.expect("p", "q")
    reader.expect("(")
    first = reader.expect("x", "z")
    other = "z" if first == "x" else "x"
    space = first
    if reader.peek() in (",", "|"):
        separator = reader.take()
        reader.expect(other)
        space = "xz" if separator == "," else f"{first}|{other}"
    reader.expect(")")
    return side, space
