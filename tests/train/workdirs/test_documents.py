import math
import os

import pytest

from train.workdirs import documents
from zoo.errors import InputError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "Expecting value"),
        (b"\xff", "utf-8"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' is there twice"),
        (b"[NaN]", "NaN is no number"),
        (b"[-Infinity]", "-Infinity is no number"),
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
    assert documents.read(path, "mend it", {"a": [float]}) == {"a": [1]}
    with pytest.raises(
        InputError, match=r"a\.json cannot be read \(it\['a'\]\[0\] is 1\): mend it"
    ):
        documents.read(path, "mend it", {"a": [str]})
    with pytest.raises(InputError, match="has 10 bytes, where 9 are read"):
        documents.content(path, most=9)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    with pytest.raises(InputError, match=r"link\.json is no file"):
        documents.content(link)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError, match="is no file"):
        documents.content(path)


@pytest.mark.parametrize(
    ("value", "form", "fits"),
    [
        (1, float, True),
        (1.5, float, True),
        (True, float, False),
        (True, int, False),
        (True, bool, True),
        (1.0, int, False),
        (None, (str, None), True),
        (1, (str, None), False),
        ([1, None], [(int, None)], True),
        ({"a": 1}, {"a": int}, True),
        ({"a": 1, "b": 2}, {"a": int}, True),
        ({}, {"a": int}, False),
        ({"x": 1, "y": 2}, {"*": int}, True),
        ({"x": 1, "y": "2"}, {"*": int}, False),
        ([], {"*": int}, False),
        ("anything", object, True),
    ],
)
def test_forms(value, form, fits):
    assert documents.fits(value, form) is fits
