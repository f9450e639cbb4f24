"""Exact affine expressions in named multipliers: the numbers of the objective algebra."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational
from typing import Union

from zoo.errors import InputError

Number = Union[Fraction, "Affine"]
NumberLike = Number | int | float | str
_OVERSIZED = re.compile(r"[eE][+-]?\d{4}|\d{400}")  # 1e999999999 would fill the memory
_LARGEST_BITS = 1100  # every float fits, and `number_text` stays readable


@dataclass(frozen=True)
class Affine:
    """constant + sum_k slope_k * symbol_k, with rational constant and slopes.

    A declaration evaluated on symbols instead of numbers gives the printed form of a whole
    model class ("REC_x + beta RATE"). A learned multiplier always stays a symbol.
    """

    constant: Fraction
    slopes: tuple[tuple[str, Fraction], ...] = ()

    @property
    def symbols(self) -> frozenset[str]:
        return frozenset(symbol for symbol, _ in self.slopes)

    def slope(self, symbol: str) -> Fraction:
        return dict(self.slopes).get(symbol, Fraction(0))

    def at(self, values: Mapping[str, Number]) -> Number:
        """Returns the expression with symbols replaced by their `values`."""
        result: Number = self.constant
        for symbol, slope in self.slopes:
            result = result + slope * values.get(symbol, variable(symbol))
        return result

    def __add__(self, other) -> Number:
        other = _affine(other)
        slopes = dict(self.slopes)
        for symbol, slope in other.slopes:
            slopes[symbol] = slopes.get(symbol, Fraction(0)) + slope
        kept = tuple(sorted((s, c) for s, c in slopes.items() if c))
        constant = self.constant + other.constant
        return Affine(constant, kept) if kept else constant

    __radd__ = __add__

    def __neg__(self) -> Number:
        return self * -1

    def __sub__(self, other) -> Number:
        return self + -_affine(other)

    def __rsub__(self, other) -> Number:
        return -self + other

    def __mul__(self, other) -> Number:
        if isinstance(other, Affine):
            raise InputError(f"({self}) * ({other}) is not affine: multipliers enter linearly.")
        factor = exact(other)
        if not isinstance(factor, Fraction):
            return factor * self
        if not factor:
            return Fraction(0)
        return Affine(self.constant * factor, tuple((s, c * factor) for s, c in self.slopes))

    __rmul__ = __mul__

    def __truediv__(self, other) -> Number:
        return self * (1 / rational(exact(other)))

    def __str__(self) -> str:
        parts = [] if self.constant == 0 else [(self.constant, "")]
        parts += [(slope, symbol) for symbol, slope in self.slopes]
        if parts and parts[0][0] < 0:  # "1 - l" reads better than "-l + 1"
            parts.sort(key=lambda part: part[0] < 0)
        return join_signed(parts)


def variable(symbol: str) -> Affine:
    """Returns the expression 1 * `symbol`."""
    return Affine(Fraction(0), ((symbol, Fraction(1)),))


def _affine(value) -> Affine:
    number = exact(value)
    return number if isinstance(number, Affine) else Affine(number)


def exact(value) -> Number:
    """Returns `value` as an exact number; a float is read as the decimal it prints as.

    Raises:
      InputError: `value` is not a finite number ("1/3" and "0.1" are numbers).
    """
    if isinstance(value, Affine | Fraction):
        return value
    if isinstance(value, Rational) and not isinstance(value, bool):
        return Fraction(int(value.numerator), int(value.denominator))
    try:
        if isinstance(value, str) and not _OVERSIZED.search(value):
            number = Fraction(value.strip())
            if max(abs(number.numerator), number.denominator).bit_length() <= _LARGEST_BITS:
                return number
        elif not isinstance(value, str | bool) and math.isfinite(as_float := float(value)):
            return Fraction(repr(as_float))
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        pass
    raise InputError(f"{value!r} is not a finite number: give something like 4, 0.5, 5e-4 or 1/3.")


def rational(number: Number) -> Fraction:
    """Returns the number as a fraction.

    Raises:
      InputError: the number contains a symbol.
    """
    if isinstance(number, Affine):
        raise InputError(f"{number} is still open: give its symbols values first.")
    return number


def is_negative(number: Number) -> bool:
    """Whether a number is negative; if affine, whether it is for some multipliers >= 0."""
    if isinstance(number, Affine):
        return number.constant < 0 or any(slope < 0 for _, slope in number.slopes)
    return number < 0


def number_text(number: Number) -> str:
    """Returns the text of an exact number, such as 4, 0.5, 1/3 or 1 - l; `exact` reads numbers."""
    if isinstance(number, Affine):
        return str(number)
    denominator = number.denominator
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    if number.denominator == 1 or denominator != 1:
        return str(number)
    try:
        decimal = repr(float(number))
    except OverflowError:
        return str(number)
    return decimal if Fraction(decimal) == number else str(number)


def join_signed(parts: list[tuple[Fraction, str]]) -> str:
    """Returns the text of sum_k coefficient_k name_k with its signs: "1 - 2 l"."""
    text = ""
    for coefficient, name in parts:
        magnitude = number_text(abs(coefficient))
        body = " ".join(filter(None, [magnitude if magnitude != "1" or not name else "", name]))
        sign = "-" if coefficient < 0 else "+"
        text += f" {sign} {body}" if text else f"{'-' if coefficient < 0 else ''}{body}"
    return text or "0"
