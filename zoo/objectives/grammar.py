"""The grammar of constraints: "0.5*JS(q(x,z)||p(x,z))", "MMD(q(z)||p(z)) <= 1.2 * best + 1e-4".

constraint := [number "*"] subject ["<=" tolerance]
subject    := one of the kinds in `zoo.objectives.subjects`:
              NAME "(" distribution "||" distribution ")" | "REC_x" | "REC_z" | "RATE"
distribution := ("p" | "q") "(" ("x" | "z" | "x,z" | "x|z" | "z|x") ")"
tolerance  := number | [number "*"] "best" [("+" | "-") number]
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from zoo.objectives import subjects
from zoo.objectives.affine import Number, number_text
from zoo.objectives.reader import Reader
from zoo.objectives.subjects import Subject


@dataclass(frozen=True)
class Tolerance:
    """A tolerance eps = factor * best + offset.

    `best` is the value reached without an information preference, eps_hat in [U] section 6:
    eps = eps_hat + slack. A plain number has factor 0.
    """

    offset: Fraction
    factor: Fraction = Fraction(0)

    @property
    def needs_best(self) -> bool:
        return self.factor != 0

    def at(self, best: float) -> float:
        return float(self.factor) * best + float(self.offset)

    def __str__(self) -> str:
        if not self.needs_best:
            return number_text(self.offset)
        best = "best" if self.factor == 1 else f"{number_text(self.factor)} * best"
        if not self.offset:
            return best
        sign = "-" if self.offset < 0 else "+"
        return f"{best} {sign} {number_text(abs(self.offset))}"


@dataclass(frozen=True)
class Parsed:
    """A parsed constraint, before it becomes a `zoo.Constraint`."""

    subject: Subject
    weight: Number | None
    at_most: Tolerance | None


def parse(text: str) -> Parsed:
    """Parses one constraint.

    Raises:
      InputError: the text does not parse; the message names the position.
    """
    reader = Reader(text)
    weight = None
    if reader.at_number():
        weight = reader.number()
        reader.expect("*")
    if not re.fullmatch(r"[A-Za-z_]\w*", reader.peek()):
        raise reader.error("expected the name of a divergence")
    subject = subjects.read(reader)
    at_most = _tolerance(reader) if reader.take_if("<=") else None
    if reader.peek():
        raise reader.error("expected '<=' or the end")
    return Parsed(subject, weight, at_most)


def parse_tolerance(text: str) -> Tolerance:
    """Parses a tolerance without its constraint: "5e-4", "best + 4", "1.2 * best"."""
    reader = Reader(text)
    tolerance = _tolerance(reader)
    if reader.peek():
        raise reader.error("expected the end")
    return tolerance


def _tolerance(reader: Reader) -> Tolerance:
    factor = Fraction(1)
    if reader.at_number():
        factor = reader.number()
        if not reader.take_if("*"):
            return Tolerance(offset=factor)
    reader.expect("best")
    if reader.peek() in ("+", "-"):
        sign = 1 if reader.take() == "+" else -1
        return Tolerance(offset=sign * reader.number(), factor=factor)
    if reader.at_number():  # "best+4", whose sign the number took
        return Tolerance(offset=reader.number(), factor=factor)
    return Tolerance(offset=Fraction(0), factor=factor)
