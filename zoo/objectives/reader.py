"""A cursor over the tokens of one constraint, for the grammar and its subjects."""

from __future__ import annotations

import re
from fractions import Fraction

from zoo.errors import InputError
from zoo.objectives.affine import exact, rational

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?:/\d+)?"
_TOKEN = re.compile(rf"\s*(?:({_NUMBER})|(\|\||<=|[A-Za-z_]\w*|[(),|*+<=-])|(\S))")


class Reader:
    """The tokens of a text, each with its position, and the index of the next one."""

    def __init__(self, text: str):
        self.text = text
        self.tokens = [
            (match[1] or match[2] or match[3], match.start(match.lastindex or 0))
            for match in _TOKEN.finditer(text)
            if match.lastindex
        ]
        self.index = 0

    def peek(self) -> str:
        """Returns the next token without moving past it; "" at the end."""
        return self.tokens[self.index][0] if self.index < len(self.tokens) else ""

    def take(self) -> str:
        """Returns the next token and moves past it."""
        token = self.peek()
        self.index += 1
        return token

    def take_if(self, token: str) -> bool:
        """Moves past the next token if it is `token`, and returns whether it was."""
        if self.peek() == token:
            self.index += 1
            return True
        return False

    def expect(self, *options: str) -> str:
        """Takes one of `options`; raises `error` at any other token."""
        if self.peek() in options:
            return self.take()
        raise self.error("expected " + " or ".join(repr(option) for option in options))

    def at_number(self) -> bool:
        """Returns whether the next token is a number."""
        return re.fullmatch(_NUMBER, self.peek()) is not None

    def number(self) -> Fraction:
        """Takes a number; raises `error` if the next token is not one."""
        if not self.at_number():
            raise self.error("expected a number")
        return rational(exact(self.take()))

    def error(self, reason: str) -> InputError:
        """Returns an error with `reason` and the position of the next token."""
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
