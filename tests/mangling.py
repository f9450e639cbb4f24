"""Hypothesis strategies of input as nobody should write it: bytes, JSON and text, mangled."""

import json
import math

from hypothesis import strategies as st

HUGE = "9" * 5000
# What a JSON value may be replaced by.
STRANGE = [
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**63,
    10**30,
    1e308,
    -0.5,
    math.nan,
    math.inf,
    "",
    "nan",
    "1e999",
    "../../outside/bait",
    "/etc/passwd",
    "~nobody_has_this_name/x",
    "a\nb\x1b[31m\x00\u2028\ud800",
    "x" * 5000,
    HUGE,
    "%s{0}$\\frac[/red]",
    [],
    [[]],
    {},
    {"": {}},
    {"class_name": "system", "module": "os", "config": "touch executed", "registered_name": None},
    {"class_name": "__lambda__", "config": {"value": "4wAAAA=="}},
    [1, "x", None],
]

strange = st.one_of(
    st.sampled_from(STRANGE),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside),
        max_leaves=8,
    ),
)


def paths(value, path=()):
    """Returns the path of every part of a JSON value."""
    found = [path]
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            found += paths(item, (*path, key))
    return found


def replaced(value, path, new):
    """Returns a JSON value with one part replaced; deleted if `new` is Ellipsis."""
    if not path:
        return None if new is ... else new
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1 and new is ...:
        del copy[path[0]]
    else:
        copy[path[0]] = replaced(copy[path[0]], path[1:], new)
    return copy


@st.composite
def values(draw, bases):
    """One of `bases`, JSON values, with a part or two replaced, deleted or added."""
    value = draw(st.sampled_from(bases))
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(paths(value)))
        value = replaced(value, path, draw(st.just(...) | strange))
        if isinstance(value, dict) and draw(st.integers(0, 9)) == 0:
            value = {**value, draw(st.text(max_size=8)): draw(strange)}
    return value


def dumped(value):
    """Returns JSON as bytes, with what Python writes beside it: NaN, and surrogates."""
    return json.dumps(value).encode()


@st.composite
def edited(draw, bases):
    """One of `bases`, bytes, with some of them cut out, doubled, changed or put in."""
    content = draw(st.sampled_from(bases))
    for _ in range(draw(st.integers(1, 3))):
        # Both ends are worth more than the middle: that is where headers and directories are.
        size = len(content)
        start = draw(st.sampled_from([0, max(0, size - 300)])) + draw(st.integers(0, 300))
        start = draw(st.just(start) | st.integers(0, max(0, size)))
        stop = start + draw(st.sampled_from([1, 2, 8, 100, size]))
        kind = draw(st.sampled_from(["cut", "change", "insert", "double", "flip"]))
        head, middle, tail = content[:start], content[start:stop], content[stop:]
        if kind == "cut":
            content = head + tail
        elif kind == "change":
            content = head + draw(st.binary(min_size=1, max_size=8)) + content[start + 8 :]
        elif kind == "insert":
            content = head + draw(st.binary(max_size=30)) + content[start:]
        elif kind == "double":
            content = head + middle[:10_000] + middle + tail
        else:
            content = head + bytes(byte ^ 1 for byte in middle[:8]) + content[start + 8 :]
    return content


def documents(bases):
    """JSON files: mangled as values or as bytes, or nothing of the kind."""
    whole = [dumped(base) for base in bases]
    return st.one_of(
        values(bases).map(dumped),
        edited(whole),
        st.binary(max_size=100),
        st.sampled_from(
            [
                b"",
                b"[" * 100_000,
                b'{"a":' * 100_000,
                b'{"steps": 1, "steps": 2}',
                b"\xff\xfe{}",
                b"\xef\xbb\xbf{}",
                HUGE.encode(),
                b'{"objective": NaN}',
            ]
        ),
    )


def texts(words, alphabet="()|<=*+-./:, \n\t\x00e0189qpxzKL"):
    """Text of words of a grammar: one of them edited, or several in any order."""
    pieces = st.sampled_from(words) | st.text(max_size=3) | st.text(alphabet, max_size=4)
    whole = [word.encode() for word in words]
    return st.one_of(
        st.lists(st.sampled_from(words), max_size=8).map("".join),
        st.lists(pieces, max_size=12).map("".join),
        edited(whole).map(lambda content: content.decode(errors="surrogateescape")),
    )
