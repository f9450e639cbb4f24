"""The grammar of constraints: what reads, what reads back, and what is refused where."""

import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo import Constraint, InputError
from zoo.objectives.divergences import DIVERGENCES
from zoo.objectives.grammar import Parsed, Tolerance, parse, parse_tolerance
from zoo.objectives.subjects import Comparison
from zoo.objectives.subjects.likelihood import LIKELIHOOD_TERMS

SPACES = {"xz": "x,z", "x": "x", "z": "z", "z|x": "z|x", "x|z": "x|z"}


def many(examples):
    return settings(max_examples=examples, deadline=None, derandomize=True)


rationals = st.one_of(
    st.builds(Fraction, st.integers(-40, 40), st.integers(1, 12)),
    st.builds(Fraction, st.integers(-(10**6), 10**6), st.sampled_from((1000, 10**7))),
)
tolerances = st.builds(
    Tolerance, rationals, st.one_of(st.just(Fraction(0)), st.just(Fraction(1)), rationals)
)


@st.composite
def texts(draw):
    """A constraint in its canonical tokens, to be joined by any spacing, and what it says."""
    tokens = []
    weight = draw(st.one_of(st.none(), rationals))
    if weight is not None:
        tokens += [str(weight), "*"]
    if draw(st.booleans()):
        name = draw(st.sampled_from(sorted(DIVERGENCES)))
        space = draw(st.sampled_from(sorted(SPACES)))
        a, b = draw(st.sampled_from(("qp", "pq")))
        inside = re.findall(r"\w|[,|]", SPACES[space])
        tokens += [draw(st.sampled_from((name, name.lower()))), "(", a, "(", *inside, ")", "||"]
        tokens += [b, "(", *inside, ")", ")"]
        facts = DIVERGENCES[name]
        subject = Comparison(facts, space, "qp" if facts.symmetric else a + b)
    else:
        subject = draw(st.sampled_from(list(LIKELIHOOD_TERMS.values())))
        tokens += [subject.name]
    tolerance = draw(st.one_of(st.none(), tolerances))
    if tolerance is not None:
        tokens += ["<=", *str(tolerance).split()]
    return tokens, Parsed(subject, weight, tolerance)


@many(300)
@given(texts(), st.lists(st.sampled_from(("", "", " ", "  ", "\t", "\n ")), min_size=31))
def test_every_spacing_reads_the_same(case, spaces):
    tokens, expected = case
    spaces = iter(spaces)
    spaced = next(spaces) + "".join(token + next(spaces, " ") for token in tokens)
    assert parse(spaced) == expected
    assert parse("".join(tokens)) == expected
    assert parse(" ".join(tokens)) == expected


@many(250)
@given(texts())
def test_a_constraint_reads_back_from_its_own_text(case):
    tokens, expected = case
    if expected.at_most is not None and (expected.weight or 0) < 0:
        with pytest.raises(InputError, match="give a start that is not negative"):
            Constraint(" ".join(tokens))
        return
    constraint = Constraint(" ".join(tokens))
    again = Constraint(str(constraint))
    assert str(again) == str(constraint)
    assert constraint.expression == Constraint(constraint.expression).expression
    if constraint.learned:  # the first value of a learned multiplier is written like a weight
        assert (again.weight, again.at_most) == (constraint.weight, constraint.at_most)
    assert again == constraint


@many(200)
@given(tolerances, st.floats(-1e3, 1e3))
def test_a_tolerance_reads_back_and_is_affine_in_best(tolerance, best):
    assert parse_tolerance(str(tolerance)) == tolerance
    assert parse_tolerance(str(tolerance).replace(" ", "")) == tolerance
    expected = float(tolerance.factor) * best + float(tolerance.offset)
    assert tolerance.at(best) == expected
    assert tolerance.needs_best == (tolerance.factor != 0)


@pytest.mark.parametrize(
    ("text", "offset", "factor"),
    [
        ("5e-4", "1/2000", 0),
        ("-90", -90, 0),
        ("best", 0, 1),
        ("best + 4", 4, 1),
        ("best+4", 4, 1),
        ("best +4", 4, 1),
        ("best- .5", "-1/2", 1),
        ("best - -4", 4, 1),
        ("1.2*best", 0, "6/5"),
        ("1.2 * best - 1/3", "-1/3", "6/5"),
        ("0 * best + 4", 4, 0),
        ("-1 * best", 0, -1),
    ],
)
def test_tolerances(text, offset, factor):
    assert parse_tolerance(text) == Tolerance(Fraction(offset), Fraction(factor))


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("kl( q(z) || p(z) )", "KL(q(z)||p(z))"),
        ("KL(p(z,x)||q(z,x))", "KL(p(x,z)||q(x,z))"),
        ("JS(p(x)||q(x))", "JS(q(x)||p(x))"),
        ("mmd(p(z)||q(z))<=.0005", "MMD(q(z)||p(z)) <= 0.0005"),
        ("CHI2(p(x)||q(x))", "CHI2(p(x)||q(x))"),
        ("1*RATE<=20", "RATE <= 20"),
        ("+2 * REC_x <= best+4", "2*REC_x <= best + 4"),
        ("1/3*KL(q(z|x)||p(z|x))", "1/3*KL(q(z|x)||p(z|x))"),
        ("2e-5*KL(q(x|z)||p(x|z))", "2e-05*KL(q(x|z)||p(x|z))"),
    ],
)
def test_canonical_text(text, canonical):
    assert str(Constraint(text)) == canonical
    assert str(Constraint(canonical)) == canonical


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("", 1, "expected the name of a divergence but found the end"),
        ("   ", 4, "expected the name of a divergence but found the end"),
        ("0.5 KL(q(z)||p(z))", 5, "expected '*' but found 'KL'"),
        ("*KL(q(z)||p(z))", 1, "expected the name of a divergence but found '*'"),
        ("KL(q(z)|p(z))", 8, "expected '||' but found '|'"),
        ("KL(q(z)||p(z)", 14, "expected ')' but found the end"),
        ("KL(r(z)||p(z))", 4, "expected 'p' or 'q' but found 'r'"),
        ("KL(q(y)||p(y))", 6, "expected 'x' or 'z' but found 'y'"),
        ("KL(q(z|z)||p(z|x))", 8, "expected 'x' but found 'z'"),
        ("KL(q(z)||p(z)) < 4", 16, "expected '<=' or the end but found '<'"),
        ("KL(q(z)||p(z)) <= ", 19, "expected 'best' but found the end"),
        ("KL(q(z)||p(z)) <= worst", 19, "expected 'best' but found 'worst'"),
        ("KL(q(z)||p(z)) <= best + x", 26, "expected a number but found 'x'"),
        ("KL(q(z)||p(z)) <= 2 best", 21, "expected '<=' or the end but found 'best'"),
        ("KL(q(z)||p(z)) * 2", 16, "expected '<=' or the end but found '*'"),
        ("KL(q(z)||p(z)) \x00", 16, r"expected '<=' or the end but found '\x00'"),
        ("RATE + REC_x", 6, "expected '<=' or the end but found '+'"),
        ("KL(q(z)||q(z))", 1, "KL must compare p with q over the same variables"),
        ("2*KL(q(z)||p(x))", 3, "not q(z) with p(x)"),
    ],
)
def test_errors_name_their_position(text, position, reason):
    with pytest.raises(InputError) as caught:
        parse(text)
    message = str(caught.value)
    assert message.startswith(f"Constraint {text!r}, position {position}: ")
    assert reason in message
    assert "write it like" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("KL2(q(z)||p(z))", "Unknown divergence 'KL2': did you mean 'KL'"),
        ("MDM(q(z)||p(z))", "Unknown divergence 'MDM': did you mean 'MMD'?"),
        ("RATES", "Unknown term 'RATES': did you mean 'RATE'?"),
        ("REC_y <= 4", "Unknown term 'REC_y': did you mean 'REC_"),
        ("banana", "Unknown term 'banana': choose one of RATE, REC_x, REC_z."),
    ],
)
def test_unknown_names_offer_the_nearest(text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        parse(text)


PIECES = ["KL", "JS", "MMD", "W1", "REC_x", "RATE", "best", "(", ")", "||", "|", ",", "*", "<="]
PIECES += ["+", "-", "p", "q", "x", "z", "0.5", "1/3", "1e9", "1e99999", "/", "=", "<", ".", " "]
PIECES += ["é", "²", "٣"]


@many(2000)
@given(
    st.one_of(
        st.lists(st.sampled_from(PIECES), max_size=20).map("".join),
        st.lists(st.sampled_from(PIECES), max_size=20).map(" ".join),
        st.text(max_size=30),
    )
)
def test_garbage_is_refused_with_one_sentence(text):
    for read in (Constraint, parse_tolerance):
        try:
            result = read(text)
        except InputError as error:
            message = str(error)
        else:  # it was not garbage
            message = ""
            assert read(str(result)) == result
        assert len(message.splitlines()) <= 1


@many(400)
@given(texts(), st.integers(0, 200), st.sampled_from(PIECES), st.booleans())
def test_damaged_constraints_are_refused_or_read_back(case, position, piece, insert):
    tokens, _ = case
    index = position % len(tokens)
    damaged = [*tokens[:index], *([piece] if insert else []), *tokens[index + (not insert) :]]
    try:
        constraint = Constraint("".join(damaged))
    except InputError:
        return
    assert Constraint(str(constraint)) == constraint


@pytest.mark.parametrize(
    "text",
    [
        "1e999999999*KL(q(z)||p(z))",
        "KL(q(z)||p(z)) <= 1e-999999999",
        "KL(q(z)||p(z)) <= 1e99999*best",
        "9" * 20000 + "*RATE",
        "((((" * 5000,
        "RATE <= best" + " + 1" * 5000,
        "a" * 20000,
    ],
)
def test_oversized_input_is_refused_at_once(text):
    # 10**999999999 would take gigabytes, so coming back at all is the test.
    with pytest.raises(InputError):
        Constraint(text)
