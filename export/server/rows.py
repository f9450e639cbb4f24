"""The request and response bodies of TensorFlow Serving's predict, in rows or columns.

    {"signature_name": "encode", "instances": [image, ...]}        -> {"predictions": [...]}
    {"signature_name": "decode", "inputs": {"z": [[...], ...]}}    -> {"outputs": ...}

"instances" are rows and "inputs" are columns. If the signature has one input, a row is a bare
value, otherwise an object of named values; the same holds for predictions and outputs. Bytes are
{"b64": "..."}.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from export.server.errors import InvalidError
from export.tensors import DEFAULT, Spec

_KINDS = {"f": "numbers", "i": "integers", "u": "integers", "b": "true and false", "O": "strings"}
_TAKEN = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}  # dtype kind -> accepted kinds of JSON value


@dataclass(frozen=True)
class Body:
    """A request: the signature's name, whether it is in rows, and the JSON values."""

    signature: str
    in_rows: bool
    values: Any


def parsed(content: bytes) -> Body:
    """Parses the body of a request.

    Raises:
      InvalidError: it is not a JSON object in one of the two formats. NaN and infinity are not
        JSON.
    """
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InvalidError(f"The body is not JSON: {error}.") from None
    if not isinstance(body, dict):
        raise InvalidError('The body must be a JSON object such as {"instances": [...]}.')
    if len({"instances", "inputs"} & set(body)) != 1:
        raise InvalidError("The body must have either 'instances' (rows) or 'inputs' (columns).")
    if unknown := sorted(set(body) - {"instances", "inputs", "signature_name"}):
        raise InvalidError(f"The body has the unknown key {unknown[0]!r}: remove it.")
    signature = body.get("signature_name", DEFAULT)
    if not isinstance(signature, str):
        raise InvalidError("'signature_name' must be a string.")
    if "inputs" in body:
        return Body(signature or DEFAULT, False, body["inputs"])
    if not isinstance(body["instances"], list) or not body["instances"]:
        raise InvalidError("'instances' must be a list of at least one row.")
    return Body(signature or DEFAULT, True, body["instances"])


def tensors(body: Body, inputs: Mapping[str, Spec], max_batch: int) -> dict[str, np.ndarray]:
    """Returns the signature's input tensors, with its dtypes and shapes.

    Raises:
      InvalidError: a tensor is missing, unknown or of another dtype or shape, or there are too many
        rows.
    """
    if body.in_rows and len(body.values) > max_batch:
        raise _too_many(len(body.values), max_batch)
    columns = (_columns_of_rows if body.in_rows else _columns)(body.values, list(inputs))
    if missing := sorted(set(inputs) - set(columns)):
        raise InvalidError(f"The input {missing[0]!r} is missing: add it.")
    if unknown := sorted(set(columns) - set(inputs)):
        raise InvalidError(f"{unknown[0]!r} is not an input: give {', '.join(sorted(inputs))}.")
    arrays = {name: _array(name, columns[name], spec) for name, spec in inputs.items()}
    batched = {
        name: len(arrays[name])
        for name, spec in inputs.items()
        if spec.shape and spec.shape[0] is None
    }
    if len(set(batched.values())) > 1:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(batched.items()))
        raise InvalidError(f"The inputs have different numbers of rows: {counts}.")
    if batched and max(batched.values()) > max_batch:
        raise _too_many(max(batched.values()), max_batch)
    return arrays


def answer(outputs: Mapping[str, np.ndarray], in_rows: bool) -> bytes:
    """Returns the response's body.

    Raises:
      InvalidError: the request is in rows, but the outputs have no common rows.
    """
    outputs = {name: _texts(x) if x.dtype.kind == "O" else x for name, x in outputs.items()}
    content: Any = outputs
    if len(outputs) == 1:
        content = next(iter(outputs.values()))
    elif in_rows:
        if len({x.shape[:1] for x in outputs.values()}) != 1 or not all(
            x.ndim for x in outputs.values()
        ):
            raise InvalidError(
                "The outputs have no common rows: use 'inputs' instead of 'instances'."
            )
        rows = zip(*outputs.values(), strict=True)
        content = [dict(zip(outputs, row, strict=True)) for row in rows]
    body = {"predictions" if in_rows else "outputs": content}
    if all(np.isfinite(x).all() for x in outputs.values() if x.dtype.kind == "f"):
        return orjson.dumps(body, lambda x: x.tolist(), orjson.OPT_SERIALIZE_NUMPY)
    # NaN and Infinity are written as in TensorFlow Serving, although JSON does not have them.
    return json.dumps(body, default=lambda x: x.tolist()).encode()


def _texts(x: np.ndarray) -> np.ndarray:
    """Returns strings of bytes as texts, which is what TensorFlow Serving answers."""
    return np.array([each.decode("utf-8", "replace") for each in x.flat], object).reshape(x.shape)


def _too_many(count: int, max_batch: int) -> InvalidError:
    return InvalidError(f"There are {count} rows, more than {max_batch}: send fewer.")


def _columns(values: Any, names: list[str]) -> Mapping[str, Any]:
    if isinstance(values, dict) and not _is_base64(values):
        return values
    if len(names) != 1:
        raise InvalidError(f"'inputs' must be an object of {', '.join(sorted(names))}.")
    return {names[0]: values}


def _columns_of_rows(rows: list[Any], names: list[str]) -> Mapping[str, Any]:
    objects = sum(isinstance(row, dict) and not _is_base64(row) for row in rows)
    if not objects and len(names) == 1:
        return {names[0]: rows}
    if objects != len(rows):
        raise InvalidError(f"Each of 'instances' must be an object of {', '.join(sorted(names))}.")
    if any(row.keys() != rows[0].keys() for row in rows):
        raise InvalidError("The rows of 'instances' have different inputs.")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _array(name: str, value: Any, spec: Spec) -> np.ndarray:
    if spec.is_bytes:
        array = _bytes(name, value, 1 if spec.shape is None else len(spec.shape))
    else:
        array = _numbers(name, value, spec.dtype)
    if not spec.takes(array.shape):
        raise InvalidError(f"{name!r} has shape {list(array.shape)}, but {spec} is needed.")
    return array


def _numbers(name: str, value: Any, dtype: np.dtype) -> np.ndarray:
    try:
        array = np.array(value)
    except (ValueError, OverflowError):
        raise InvalidError(f"{name!r} is not a tensor: its lists differ in length.") from None
    if array.size and array.dtype.kind not in _TAKEN[dtype.kind]:
        raise InvalidError(f"{name!r} must be {_KINDS[dtype.kind]} ({dtype.name}).")
    with np.errstate(over="ignore"):
        converted = array.astype(dtype)
    same = np.isfinite(converted) if dtype.kind == "f" else converted == array
    if not np.all(same):
        raise InvalidError(f"{name!r} has a number out of the range of {dtype.name}.")
    return converted


def _bytes(name: str, value: Any, rank: int) -> np.ndarray:
    flat, shape = [value], []
    for _ in range(rank):
        if not all(isinstance(part, list) for part in flat) or len({*map(len, flat)}) > 1:
            raise InvalidError(f"{name!r} must be lists nested {rank} deep, of equal lengths.")
        shape.append(len(flat[0]) if flat else 0)
        flat = [item for part in flat for item in part]
    array = np.empty(len(flat), object)
    array[:] = [_decoded(name, item) for item in flat]
    return array.reshape(shape)


def _decoded(name: str, value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if not _is_base64(value):
        raise InvalidError(f'{name!r} must be {{"b64": "..."}} or strings.')
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (binascii.Error, ValueError):
        raise InvalidError(f"{name!r} has a value that is not base64.") from None


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)
