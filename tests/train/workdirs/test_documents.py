import math
import os
from typing import Any

import pytest
from typing_extensions import TypedDict

from train.workdirs import documents
from zoo.errors import InputError


class Named(TypedDict):
    a: int


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "Expecting value"),
        (b"\xff", "utf-8"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' occurs twice"),
        (b"[NaN]", "NaN is not a number"),
        (b"[-Infinity]", "-Infinity is not a number"),
        (b"[1e999]", "too large"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b"[" * 150 + b"]" * 150, "nested too deeply"),
        (b"9" * 5000, "digits"),
    ],
)
def test_what_is_no_json_of_ours(text, words):
    with pytest.raises(ValueError, match=words):
        documents.parsed(text)


def test_numbers_that_are_none_where_they_may_be():
    assert math.isnan(documents.parsed(b"NaN", finite=False))


def test_files(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(InputError, match="No such file"):
        documents.content(path)
    path.write_bytes(b'{"a": [1]}')
    assert documents.read(path, "mend it", dict[str, list[float]]) == {"a": [1]}
    with pytest.raises(
        InputError, match=r"a\.json cannot be read \(it\['a'\]\[0\] is 1\): mend it"
    ):
        documents.read(path, "mend it", dict[str, list[str]])
    with pytest.raises(InputError, match="has 10 bytes, more than 9"):
        documents.content(path, most=9)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    with pytest.raises(InputError, match=r"link\.json is not a file"):
        documents.content(link)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError, match="is not a file"):
        documents.content(path)


@pytest.mark.parametrize(
    ("value", "form", "fits"),
    [
        (1, float, True),
        (1.5, float, True),
        (math.nan, float, True),
        (True, float, False),
        (True, int, False),
        (True, bool, True),
        (1, bool, False),
        (1.0, int, False),
        ("1", int, False),
        (None, str | None, True),
        (1, str | None, False),
        ([1, None], list[int | None], True),
        ((1, 2), list[int], False),
        ({"a": 1}, Named, True),
        ({"a": 1, "b": 2}, Named, True),
        ({}, Named, False),
        ({"x": 1, "y": 2}, dict[str, int], True),
        ({"x": 1, "y": "2"}, dict[str, int], False),
        ([], dict[str, int], False),
        ("anything", Any, True),
    ],
)
def test_forms(value, form, fits):
    assert documents.fits(value, form) is fits


@pytest.mark.parametrize(
    ("value", "form", "words"),
    [
        (3, Named, "it is 3"),
        ({}, Named, "it has no 'a'"),
        ({"a": "x" * 200}, Named, r"it\['a'\] is 'x{89} \.\.\.$"),
        ({"x": [1, {}]}, dict[str, list[Named | int]], r"it\['x'\]\[1\] has no 'a'"),
        ({"x": ["1"]}, dict[str, list[int] | list[bool]], r"it\['x'\]\[0\] is '1'"),
        ({"list[int]": 3}, dict[str, list[int] | list[bool]], r"it\['list\[int\]'\] is 3"),
        ([10**400], list[float], r"it\[0\] is 1000"),
    ],
)
def test_sentences_name_the_place(value, form, words):
    with pytest.raises(ValueError, match=words):
        documents.require(value, form)
