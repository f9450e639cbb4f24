"""Likelihood terms as subjects of constraints: "REC_x <= best + 4", "RATE <= 20"."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.objectives.reader import Reader
from zoo.objectives.subjects.base import Subject
from zoo.objectives.vectors import TERMS, Vector


@dataclass(frozen=True)
class LikelihoodTerm(Subject):
    """REC_x, REC_z or RATE: a mean of log densities.

    Attributes:
      name: the term's name in constraints.
      space: the space over which p and q agree at its minimum: REC_x - H_q(x) = C_x - I_q.
    """

    name: str
    space: str

    @classmethod
    def known(cls, name: str) -> bool:
        return name in LIKELIHOOD_TERMS

    @classmethod
    def read(cls, reader: Reader) -> LikelihoodTerm:
        return LIKELIHOOD_TERMS[reader.expect(*LIKELIHOOD_TERMS)]

    @classmethod
    def unit_of(cls, name: str) -> str | None:
        return None

    @property
    def expression(self) -> str:
        return self.name

    @property
    def term(self) -> str:
        return self.name

    @property
    def vector(self) -> Vector:
        return TERMS[self.name]

    @property
    def implies(self) -> frozenset[str]:
        return frozenset({self.space})


LIKELIHOOD_TERMS = {
    term.name: term
    for term in (
        LikelihoodTerm("REC_x", "x|z"),
        LikelihoodTerm("REC_z", "z|x"),
        LikelihoodTerm("RATE", "z"),
    )
}
