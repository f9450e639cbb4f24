"""Requests and responses as TensorFlow Serving has them, without a server."""

import base64
import json

import numpy as np
import pytest

from export.server import rows
from export.server.errors import InvalidError
from export.tensors import Spec

X, Z = Spec(np.dtype("float32"), (None, 2)), Spec(np.dtype("float32"), (None, 1))
BYTES = Spec(np.dtype(object), (None,))
PIXELS = Spec(np.dtype("uint8"), (None, 2))


def tensors(body, inputs, max_batch=8):
    return rows.tensors(rows.parsed(json.dumps(body).encode()), inputs, max_batch)


def b64(content):
    return {"b64": base64.b64encode(content).decode()}


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [[1, 2], [3, 4.5]]},
        {"instances": [{"x": [1, 2]}, {"x": [3, 4.5]}]},
        {"inputs": [[1, 2], [3, 4.5]]},
        {"inputs": {"x": [[1, 2], [3, 4.5]]}},
    ],
)
def test_one_input_in_every_format(body):
    x = tensors(body, {"x": X})["x"]
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, [[1, 2], [3, 4.5]])


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [{"x": [1, 2], "z": [5]}, {"z": [6], "x": [3, 4]}]},
        {"inputs": {"x": [[1, 2], [3, 4]], "z": [[5], [6]]}},
    ],
)
def test_two_inputs_in_both_formats(body):
    found = tensors(body, {"x": X, "z": Z})
    np.testing.assert_array_equal(found["x"], [[1, 2], [3, 4]])
    np.testing.assert_array_equal(found["z"], [[5], [6]])


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [b64(b"\x89P"), b64(b"")]},
        {"instances": [{"x": b64(b"\x89P")}, {"x": b64(b"")}]},
        {"inputs": [b64(b"\x89P"), b64(b"")]},
        {"inputs": {"x": [b64(b"\x89P"), b64(b"")]}},
    ],
)
def test_bytes_in_base64(body):
    assert list(tensors(body, {"x": BYTES})["x"]) == [b"\x89P", b""]


def test_a_string_is_its_bytes():
    assert list(tensors({"instances": ["é"]}, {"x": BYTES})["x"]) == ["é".encode()]


def test_integers_are_whole_and_in_range():
    found = tensors({"instances": [[0, 255]]}, {"x": PIXELS})["x"]
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, [[0, 255]])


def test_the_signature_is_the_default_unless_named():
    assert rows.parsed(b'{"inputs": 1}').signature == "serving_default"
    assert rows.parsed(b'{"inputs": 1, "signature_name": ""}').signature == "serving_default"
    assert rows.parsed(b'{"inputs": 1, "signature_name": "decode"}').signature == "decode"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"instances": [[NaN, 1]]}', "not JSON"),
        (b'{"instances": [[Infinity, 1]]}', "not JSON"),
        (b'{"instances": [[1e999, 1]]}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "must be a JSON object"),
        (b"{}", "either 'instances'"),
        (b'{"instances": [1], "inputs": [1]}', "either 'instances'"),
        (b'{"instances": [1], "signature": "encode"}', "'signature'"),
        (b'{"instances": [1], "signature_name": 3}', "must be a string"),
        (b'{"instances": []}', "at least one row"),
        (b'{"instances": {"x": 1}}', "at least one row"),
    ],
)
def test_bodies_that_are_none(content, message):
    with pytest.raises(InvalidError, match=message):
        rows.parsed(content)


@pytest.mark.parametrize(
    ("body", "inputs", "message"),
    [
        ({"instances": [[1, 2, 3]]}, {"x": X}, r"'x' has shape \[1, 3\], but \[B, 2\] is needed"),
        ({"instances": [1]}, {"x": X}, r"'x' has shape \[1\]"),
        ({"inputs": [[[1, 2]]]}, {"x": X}, r"'x' has shape \[1, 1, 2\]"),
        ({"inputs": []}, {"x": X}, r"'x' has shape \[0\]"),
        ({"instances": [[1, 2], [1]]}, {"x": X}, "differ in length"),
        ({"instances": [[1, "2"]]}, {"x": X}, "must be numbers"),
        ({"instances": [[True, False]]}, {"x": X}, "must be numbers"),
        ({"instances": [[1, None]]}, {"x": X}, "must be numbers"),
        ({"instances": [[1, {"b64": "AA=="}]]}, {"x": X}, "must be numbers"),
        ({"instances": [[1, 1e39]]}, {"x": X}, "out of the range of float32"),
        ({"instances": [[1, 256]]}, {"x": PIXELS}, "out of the range of uint8"),
        ({"instances": [[1, -1]]}, {"x": PIXELS}, "out of the range of uint8"),
        ({"instances": [[1, 0.5]]}, {"x": PIXELS}, "must be integers"),
        ({"instances": [[1, 2]]}, {"x": X, "z": Z}, "must be an object of x, z"),
        ({"instances": [{"x": [1, 2]}]}, {"x": X, "z": Z}, "'z' is missing"),
        ({"instances": [{"y": [1, 2]}]}, {"x": X}, "'x' is missing"),
        ({"instances": [{"x": [1, 2], "y": 1}]}, {"x": X}, "'y' is not an input"),
        ({"instances": [{"x": [1, 2]}, [1, 2]]}, {"x": X}, "must be an object"),
        ({"instances": [{"x": [1, 2]}, {"y": 1}]}, {"x": X}, "different inputs"),
        ({"inputs": [[1, 2]]}, {"x": X, "z": Z}, "must be an object of x, z"),
        ({"inputs": {"x": [[1, 2]], "z": [[1], [2]]}}, {"x": X, "z": Z}, "x 1, z 2"),
        ({"instances": [[0, 0]] * 9}, {"x": X}, "9 rows, more than 8"),
        ({"inputs": [[0, 0]] * 9}, {"x": X}, "9 rows, more than 8"),
        ({"instances": [{"b64": "not base64"}]}, {"x": BYTES}, "not base64"),
        ({"instances": [{"b64": "A"}]}, {"x": BYTES}, "not base64"),
        ({"instances": [{"b64": 3}]}, {"x": BYTES}, "'x' is missing"),
        ({"instances": [7]}, {"x": BYTES}, "b64"),
        ({"inputs": "a"}, {"x": BYTES}, "nested 1 deep"),
    ],
)
def test_tensors_that_are_none(body, inputs, message):
    with pytest.raises(InvalidError, match=message):
        tensors(body, inputs)


def test_one_output_is_bare_and_several_are_named():
    one, two = np.float32([[0.2, 1]]), np.float32([[0.5]])
    assert json.loads(rows.answer({"a": one}, True)) == {"predictions": [[0.2, 1]]}
    assert json.loads(rows.answer({"a": one}, False)) == {"outputs": [[0.2, 1]]}
    assert json.loads(rows.answer({"a": one, "b": two}, True)) == {
        "predictions": [{"a": [0.2, 1], "b": [0.5]}]
    }
    assert json.loads(rows.answer({"a": one, "b": two}, False)) == {
        "outputs": {"a": [[0.2, 1]], "b": [[0.5]]}
    }


def test_numbers_that_are_none_are_written_as_tensorflow_serving_writes_them():
    assert rows.answer({"a": np.float32([np.nan, -np.inf])}, True) == (
        b'{"predictions": [NaN, -Infinity]}'
    )


def test_outputs_without_rows():
    with pytest.raises(InvalidError, match="no common rows"):
        rows.answer({"a": np.float32(1), "b": np.float32([1])}, True)
