"""Distributions over the latent as JSON."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from zoo import errors
from zoo.priors.fixed import Empirical, event_shape

tfd = tfp.distributions


def serialise(prior: Any) -> dict[str, Any]:
    """Returns `prior` as a JSON-able dict, which `deserialise` turns into an equal distribution.

        {"class_name": "Independent", "parameters": {"distribution": {...}, ...}}

    Parameters at their default are left out. Tensors are written as
    {"dtype": ..., "shape": ..., "values": [...]}, variables by their present value, and floats that
    JSON lacks as the strings "inf", "-inf" and "nan".

    Raises InputError, which names the parameter, if one is not a number, a tensor, text or such a
    distribution (for example a bijector or a function), and for a prior that `event_shape` refuses.
    """
    event_shape(prior)
    return _serialise_distribution(prior, "prior", None)


def variables_of(prior: Any) -> list[Any]:
    """Returns the trainable variables (tf or Keras) of a tfd distribution, without duplicates."""
    found = [*_parameters(prior), *prior.trainable_variables]
    return list({_identity(v): v for v in found if v.trainable}.values())


def template(prior: Any) -> tuple[dict[str, Any], list[Any]]:
    """Returns the dict of `serialise` with {"variable": i} for trainable variables, and these.

    Raises InputError as `serialise`, and if a variable is not a parameter.
    """
    event_shape(prior)
    variables: list[Any] = []
    config = _serialise_distribution(prior, "prior", variables)
    if len(variables) != len(variables_of(prior)):
        raise errors.InputError(
            f"Some variables of the prior, a {type(prior).__name__}, are not parameters of it: "
            "write it as a subclass of zoo.priors.Prior, whose weights are trained."
        )
    return config, variables


def from_template(config: dict[str, Any], values: Sequence[Any]) -> Any:
    """Returns the distribution of a dict from `template`, with `values` for its variables.

    Raises InputError as `deserialise`.
    """
    return _deserialise_distribution(config, "prior", values)


def deserialise(config: dict[str, Any]) -> Any:
    """Returns the distribution of a dict from `serialise`.

    It builds only public classes of tfp.distributions and `Empirical`, and only from numbers, so
    that a config may be untrusted. Raises InputError for anything else.
    """
    prior = _deserialise_distribution(config, "prior", None)
    event_shape(prior)
    return prior


@functools.cache
def _public_classes() -> dict[str, type]:
    """Returns the classes that a config may name; tfd has another `Empirical` than the zoo."""
    members = {name: getattr(tfd, name) for name in dir(tfd) if not name.startswith("_")}
    public = {
        name: member
        for name, member in members.items()
        if inspect.isclass(member) and issubclass(member, tfd.Distribution)
    }
    return {**public, "zoo.Empirical": Empirical}


def _serialise_distribution(
    distribution: Any, where: str, variables: list[Any] | None
) -> dict[str, Any]:
    kind = type(distribution)
    class_name = "zoo.Empirical" if kind is Empirical else kind.__name__
    if _public_classes().get(class_name) is not kind:
        raise errors.InputError(
            f"{where} is a {kind.__name__}, which is not a class of tfp.distributions: build the "
            "prior from those."
        )
    signature = inspect.signature(kind.__init__).parameters
    parameters = {}
    for name, value in distribution.parameters.items():
        default = signature[name].default if name in signature else inspect.Parameter.empty
        plain = isinstance(value, int | str) and type(value) is type(default)
        if value is default or (plain and value == default):
            continue
        parameters[name] = _serialise_value(value, f"{where}.{name}", variables)
    return {"class_name": class_name, "parameters": parameters}


def _serialise_value(value: Any, where: str, variables: list[Any] | None) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"number": str(value)}
    if isinstance(value, tfd.Distribution):
        return _serialise_distribution(value, where, variables)
    if isinstance(value, tf.TensorShape) and value.is_fully_defined():
        return value.as_list()
    if isinstance(value, list | tuple):
        return [_serialise_value(v, f"{where}[{i}]", variables) for i, v in enumerate(value)]
    if isinstance(value, tf.DType):
        return {"dtype": value.name}
    if isinstance(value, type) and issubclass(value, np.generic):
        return {"dtype": np.dtype(value).name}
    if variables is not None and _is_trainable(value):
        known = [_identity(variable) for variable in variables]
        if _identity(value) not in known:
            variables.append(value)
            return {"variable": len(known)}
        return {"variable": known.index(_identity(value))}
    if isinstance(value, np.ndarray | np.generic | tf.Tensor | tf.Variable | keras.Variable):
        return _serialise_tensor(value, where)
    raise errors.InputError(
        f"{where} is a {type(value).__name__}, which cannot be written to a config: build the "
        "prior from numbers, tensors and tfp.distributions classes."
    )


def _serialise_tensor(value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, tf.Tensor) and not hasattr(value, "numpy"):
        raise errors.InputError(
            f"{where} is a tensor without a value: build the prior outside tf.function."
        )
    array = keras.ops.convert_to_numpy(value)
    flat = [
        item if not isinstance(item, float) or math.isfinite(item) else str(item)
        for item in array.reshape(-1).tolist()
    ]
    return {"dtype": tf.as_dtype(array.dtype).name, "shape": list(array.shape), "values": flat}


def _parameters(distribution: Any) -> list[Any]:
    """Returns the trainable variables in a distribution's parameters, at any depth."""
    found, left = [], list(distribution.parameters.values())
    while left:
        value = left.pop(0)
        if isinstance(value, tfd.Distribution):
            left += value.parameters.values()
        elif isinstance(value, list | tuple):
            left += value
        elif _is_trainable(value):
            found.append(value)
    return found


def _is_trainable(value: Any) -> bool:
    return isinstance(value, tf.Variable | keras.Variable) and bool(value.trainable)


def _identity(variable: Any) -> int:
    return id(variable.value if isinstance(variable, keras.Variable) else variable)


def _deserialise_distribution(config: Any, where: str, variables: Sequence[Any] | None) -> Any:
    if not isinstance(config, dict) or set(config) != {"class_name", "parameters"}:
        raise errors.InputError(
            f"{where} is {config!r}: it must be a dict of 'class_name' and 'parameters'."
        )
    classes = _public_classes()
    name, parameters = config["class_name"], config["parameters"]
    if name not in classes:
        raise errors.unknown("distribution", str(name), classes)
    if not isinstance(parameters, dict):
        raise errors.InputError(f"{where}.parameters is {parameters!r}: it must be a dict.")
    values = {
        key: _deserialise_value(item, f"{where}.{key}", variables)
        for key, item in parameters.items()
    }
    try:
        return classes[name](**values)
    except (TypeError, ValueError, AttributeError, RuntimeError, tf.errors.OpError) as error:
        raise errors.InputError(
            f"{where} cannot be built, {name} refuses its parameters: {error}"
        ) from error


def _deserialise_value(value: Any, where: str, variables: Sequence[Any] | None) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [_deserialise_value(v, f"{where}[{i}]", variables) for i, v in enumerate(value)]
    if isinstance(value, dict) and "class_name" in value:
        return _deserialise_distribution(value, where, variables)
    try:
        if set(value) == {"variable"} and variables is not None:
            return tf.convert_to_tensor(variables[range(len(variables))[value["variable"]]])
        if set(value) == {"number"}:
            return float(value["number"])
        if set(value) == {"dtype"}:
            return tf.as_dtype(value["dtype"])
        if set(value) == {"dtype", "shape", "values"}:
            dtype = tf.as_dtype(value["dtype"])
            array = np.array(value["values"], dtype.as_numpy_dtype)
            return tf.constant(array.reshape(value["shape"]), dtype)
    except (TypeError, ValueError, IndexError) as error:
        raise errors.InputError(f"{where} cannot be read: {error}") from error
    raise errors.InputError(f"{where} is {value!r}: it must be a number, a tensor or text.")
