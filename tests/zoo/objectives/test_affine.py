"""Exact affine numbers: arithmetic against fractions, and text that reads back."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo import InputError
from zoo.objectives.affine import Affine, exact, join_signed, number_text, variable

SYMBOLS = ("a", "b", "l1")
rationals = st.builds(Fraction, st.integers(-30, 30), st.integers(1, 12))
rows = st.tuples(*[rationals] * 4)
many = settings(max_examples=200, deadline=None, derandomize=True)


def affine(row):
    """row[0] + row[1] a + row[2] b + row[3] l1."""
    total = row[0]
    for slope, symbol in zip(row[1:], SYMBOLS, strict=True):
        total = total + slope * variable(symbol)
    return total


def at(number, point):
    """The number with every symbol replaced."""
    if not isinstance(number, Affine):
        return number
    return number.at(dict(zip(SYMBOLS, point, strict=True)))


@many
@given(rows, rows, rationals, st.tuples(*[rationals] * 3))
def test_arithmetic_is_that_of_the_values(first, second, factor, point):
    a, b = affine(first), affine(second)
    x, y = at(a, point), at(b, point)
    assert x == first[0] + sum(s * v for s, v in zip(first[1:], point, strict=True))
    for number, expected in (
        (a + b, x + y),
        (a - b, x - y),
        (-a, -x),
        (a * factor, x * factor),
        (factor * a, x * factor),
        (factor - a, factor - x),
        (a - factor, x - factor),
        (a + factor, x + factor),
        (a / (factor or 1), x / (factor or 1)),
    ):
        assert at(number, point) == expected


@many
@given(rows, rows)
def test_equal_expressions_are_equal_objects(first, second):
    a, b = affine(first), affine(second)
    assert a + b == b + a
    assert a - a == 0
    assert isinstance(a - a, Fraction)
    assert a + b - b == a
    assert (a == b) == (first == second)
    assert hash(a + b) == hash(b + a)


def test_symbols_and_slopes():
    number = 1 - 2 * variable("a") + variable("b") / 4
    assert number.symbols == {"a", "b"}
    assert number.slope("a") == -2
    assert number.slope("b") == Fraction(1, 4)
    assert number.slope("c") == 0
    assert number.at({"a": Fraction(3)}) == Affine(Fraction(-5), (("b", Fraction(1, 4)),))
    assert number.at({"a": variable("b") / 8}) == 1


def test_multipliers_enter_linearly():
    with pytest.raises(InputError, match=r"\(a\) \* \(1 - b\) is not affine"):
        variable("a") * (1 - variable("b"))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (variable("beta"), "beta"),
        (-variable("a"), "-a"),
        (1 - variable("l"), "1 - l"),
        (variable("l") - 1, "l - 1"),
        (variable("a") + variable("l") - 1, "a + l - 1"),
        (2 * variable("a") - Fraction(1, 3) * variable("b") + "0.25", "0.25 + 2 a - 1/3 b"),
        (Fraction(0), "0"),
        (Fraction(4), "4"),
        (Fraction(-1, 2), "-0.5"),
        (Fraction(1, 3), "1/3"),
        (Fraction(5, 10000), "0.0005"),
        (Fraction(1, 10**30), "1e-30"),
        (Fraction(10**25), "1" + "0" * 25),
        (Fraction(1, 2**70), f"1/{2**70}"),
    ],
)
def test_text(number, text):
    assert number_text(number) == text


def test_join_signed():
    assert join_signed([]) == "0"
    assert join_signed([(Fraction(-1), "x"), (Fraction(1), ""), (Fraction(1, 2), "y")]) == (
        "-x + 1 + 0.5 y"
    )


@settings(max_examples=600, deadline=None, derandomize=True)
@given(
    st.one_of(
        st.fractions(),
        st.builds(Fraction, st.integers(-(10**9), 10**9), st.sampled_from((1, 2, 8, 10**6))),
        st.floats(allow_nan=False, allow_infinity=False).map(Fraction),
    )
)
def test_number_text_reads_back(number):
    if max(abs(number.numerator), number.denominator).bit_length() <= 1000:
        assert exact(number_text(number)) == number
    else:
        assert Fraction(number_text(number)) == number


@many
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_the_decimal_it_prints_as(value):
    assert exact(value) == Fraction(repr(value))
    assert float(exact(value)) == value
    assert exact(number_text(exact(value))) == exact(value)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0.1, Fraction(1, 10)),
        ("0.1", Fraction(1, 10)),
        (" 1/3 ", Fraction(1, 3)),
        ("-5e-4", Fraction(-1, 2000)),
        ("+.5", Fraction(1, 2)),
        (7, Fraction(7)),
        (Fraction(2, 7), Fraction(2, 7)),
        (np.float64(0.3), Fraction(3, 10)),
        (Decimal("0.25"), Fraction(1, 4)),
        (variable("a"), variable("a")),
    ],
)
def test_exact(value, number):
    assert exact(value) == number


def test_numpy_integers_do_not_overflow():
    assert exact(np.int64(2**62)) * 4 == 2**64
    assert exact(np.int32(2**30)) * variable("a") * 8 == 2**33 * variable("a")


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "x", "1/0", "nan", "inf", "-inf", "1,5", "0x10", "1/2/3", "1.5/2", "1e", "--1"),
        *(None, True, False, math.nan, math.inf, -math.inf, 1j, [], {}, object(), np.ones(2)),
    ],
)
def test_what_is_not_a_number_is_refused(value):
    with pytest.raises(InputError, match="is not a finite number: give something like"):
        exact(value)


@pytest.mark.parametrize(
    "text",
    ["1e999999999", "1e-999999999", "1E+12345", "1e999", "-1e-999", "9" * 5000, "1/" + "3" * 5000],
)
def test_oversized_numbers_are_refused_at_once(text):
    # The power of ten alone would take gigabytes, so coming back at all is the test.
    with pytest.raises(InputError, match="is not a finite number"):
        exact(text)


def test_large_numbers_still_print():
    huge = exact("1e300") * exact("1e300") + Fraction(1, 2)
    assert Fraction(number_text(huge)) == huge
