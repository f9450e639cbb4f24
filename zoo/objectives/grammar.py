"""The grammar of constraints: "0.5*JS(q(x,z)||p(x,z))", "MMD(q(z)||p(z)) <= 1.2 * best + 1e-4".

constraint := [number "*"] subject ["<=" tolerance]
subject    := NAME "(" distribution "||" distribution ")" | "REC_x" | "REC_z" | "RATE"
distribution := ("p" | "q") "(" ("x" | "z" | "x,z" | "x|z" | "z|x") ")"
tolerance  := number | [number "*"] "best" [("+" | "-") number]
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from zoo.errors import InputError, unknown
from zoo.objectives.affine import Number, exact, number_text, rational
from zoo.objectives.divergences import divergence

SPACES = ("xz", "x", "z", "z|x", "x|z")
LIKELIHOOD_TERMS = ("REC_x", "REC_z", "RATE")

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?:/\d+)?"
_TOKEN = re.compile(rf"\s*(?:({_NUMBER})|(\|\||<=|[A-Za-z_]\w*|[(),|*+<=-])|(\S))")


@dataclass(frozen=True)
class Tolerance:
    """eps = factor * best + offset, `best` being what is reachable without a preference.

    [U] section 6: eps = eps_hat + slack; a plain number has factor 0.
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
    """What a constraint says, before it becomes a `zoo.Constraint`."""

    divergence: str
    space: str
    direction: str
    weight: Number | None
    at_most: Tolerance | None


class _Reader:
    """A cursor over the tokens of one constraint, which knows the position of each."""

    def __init__(self, text: str):
        self.text = text
        self.tokens = [
            (match[1] or match[2] or match[3], match.start(match.lastindex or 0))
            for match in _TOKEN.finditer(text)
            if match.lastindex
        ]
        self.index = 0

    def peek(self) -> str:
        return self.tokens[self.index][0] if self.index < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.index += 1
        return token

    def take_if(self, token: str) -> bool:
        if self.peek() == token:
            self.index += 1
            return True
        return False

    def expect(self, *options: str) -> str:
        if self.peek() in options:
            return self.take()
        raise self.error("expected " + " or ".join(repr(option) for option in options))

    def at_number(self) -> bool:
        return re.fullmatch(_NUMBER, self.peek()) is not None

    def number(self) -> Fraction:
        if not self.at_number():
            raise self.error("expected a number")
        return rational(exact(self.take()))

    def error(self, reason: str) -> InputError:
        found, position = (
            self.tokens[self.index]
            if self.index < len(self.tokens)
            else ("the end", len(self.text))
        )
        found = repr(found) if found != "the end" else found
        return InputError(
            f"Constraint {self.text!r}, position {position + 1}: {reason} but found {found}; "
            "write it like '0.5*KL(q(z)||p(z))' or 'MMD(q(z)||p(z)) <= 5e-4'."
        )


def parse(text: str) -> Parsed:
    """Parses one constraint.

    Raises:
      InputError: the text does not parse; the message names the position.
    """
    reader = _Reader(text)
    weight = None
    if reader.at_number():
        weight = reader.number()
        reader.expect("*")
    name = reader.peek()
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise reader.error("expected the name of a divergence")
    if name in LIKELIHOOD_TERMS:
        reader.take()
        subject = (name, "", "")
    else:
        subject = _divergence(reader)
    at_most = _tolerance(reader) if reader.take_if("<=") else None
    if reader.peek():
        raise reader.error("expected '<=' or the end")
    return Parsed(*subject, weight, at_most)


def parse_tolerance(text: str) -> Tolerance:
    """Parses a tolerance alone: "5e-4", "best + 4", "1.2 * best"."""
    reader = _Reader(text)
    tolerance = _tolerance(reader)
    if reader.peek():
        raise reader.error("expected the end")
    return tolerance


def _divergence(reader: _Reader) -> tuple[str, str, str]:
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
    return facts.name, space, "qp" if facts.symmetric else first + second


def _distribution(reader: _Reader) -> tuple[str, str]:
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


def _tolerance(reader: _Reader) -> Tolerance:
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
