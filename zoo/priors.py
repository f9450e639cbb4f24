"""Priors p(z): distributions over the latent, written to and read from plain JSON."""

from __future__ import annotations

import functools
import inspect
import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from zoo import errors

tfd = tfp.distributions


def standard_normal(latent_dim: int) -> Any:
    """Returns N(0, I) over a latent of `latent_dim` dimensions."""
    if not isinstance(latent_dim, int) or latent_dim < 1:
        raise errors.InputError(f"latent_dim is {latent_dim!r}: give a positive whole number.")
    return tfd.Independent(
        tfd.Normal(tf.zeros(latent_dim), tf.ones(latent_dim)), reinterpreted_batch_ndims=1
    )


def latent_dim(prior: Any) -> int:
    """Returns K for a prior over latents of shape [K].

    Raises InputError unless the prior is one tfd distribution (batch shape []) over float32
    vectors of a known length.
    """
    if not isinstance(prior, tfd.Distribution):
        raise errors.InputError(f"The prior is {prior!r}: give a tfp.distributions distribution.")
    kind = type(prior).__name__
    if isinstance(prior.event_shape, tf.TensorShape) and isinstance(
        prior.batch_shape, tf.TensorShape
    ):
        event, batch = prior.event_shape, prior.batch_shape
        if event.rank != 1 or not event.is_fully_defined() or batch.rank != 0:
            raise errors.InputError(
                f"The prior, a {kind}, has batch shape {batch} and event shape {event}: it must "
                "be one distribution over vectors of known length, batch shape () and event "
                "shape (K,); wrap independent dimensions in tfd.Independent."
            )
        if prior.dtype != tf.float32:
            raise errors.InputError(
                f"The prior, a {kind}, has dtype {tf.as_dtype(prior.dtype).name}: latents are "
                "float32, so give its parameters (or its dtype) as float32."
            )
        return int(event[0])
    raise errors.InputError(
        f"The prior, a {kind}, has several events: give a distribution over one vector."
    )


def serialise(prior: Any) -> dict[str, Any]:
    """Returns `prior` as a JSON-able dict, which `deserialise` turns into an equal distribution.

        {"class_name": "Independent", "parameters": {"distribution": {...}, ...}}

    Parameters left at their default are left out. Tensors are written as
    {"dtype": ..., "shape": ..., "values": [...]}, variables by their present value; floats that
    JSON lacks as the strings "inf", "-inf" and "nan".

    Raises InputError naming the parameter if one is neither a number, a tensor, text nor such a
    distribution (a bijector or a function, say), and for a prior that `latent_dim` refuses.
    """
    latent_dim(prior)
    return _serialise_distribution(prior, "prior")


def deserialise(config: dict[str, Any]) -> Any:
    """Returns the distribution that `serialise` wrote.

    Only public classes of tfp.distributions are built and only from numbers, so a config may
    come from a stranger. Raises InputError for anything else.
    """
    prior = _deserialise_distribution(config, "prior")
    latent_dim(prior)
    return prior


@functools.cache
def _public_classes() -> dict[str, type]:
    members = {name: getattr(tfd, name) for name in dir(tfd) if not name.startswith("_")}
    return {
        name: member
        for name, member in members.items()
        if inspect.isclass(member) and issubclass(member, tfd.Distribution)
    }


def _serialise_distribution(distribution: Any, where: str) -> dict[str, Any]:
    kind = type(distribution)
    if _public_classes().get(kind.__name__) is not kind:
        raise errors.InputError(
            f"{where} is a {kind.__name__}, which is no class of tfp.distributions: build the "
            "prior from those."
        )
    signature = inspect.signature(kind.__init__).parameters
    parameters = {}
    for name, value in distribution.parameters.items():
        default = signature[name].default if name in signature else inspect.Parameter.empty
        plain = isinstance(value, int | str) and type(value) is type(default)
        if value is default or (plain and value == default):
            continue
        parameters[name] = _serialise_value(value, f"{where}.{name}")
    return {"class_name": kind.__name__, "parameters": parameters}


def _serialise_value(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"number": str(value)}
    if isinstance(value, tfd.Distribution):
        return _serialise_distribution(value, where)
    if isinstance(value, tf.TensorShape) and value.is_fully_defined():
        return value.as_list()
    if isinstance(value, list | tuple):
        return [_serialise_value(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, tf.DType):
        return {"dtype": value.name}
    if isinstance(value, type) and issubclass(value, np.generic):
        return {"dtype": np.dtype(value).name}
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


def _deserialise_distribution(config: Any, where: str) -> Any:
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
    values = {key: _deserialise_value(item, f"{where}.{key}") for key, item in parameters.items()}
    try:
        return classes[name](**values)
    except (TypeError, ValueError, AttributeError, RuntimeError, tf.errors.OpError) as error:
        raise errors.InputError(
            f"{where} cannot be built, {name} refuses its parameters: {error}"
        ) from error


def _deserialise_value(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [_deserialise_value(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, dict) and "class_name" in value:
        return _deserialise_distribution(value, where)
    try:
        if set(value) == {"number"}:
            return float(value["number"])
        if set(value) == {"dtype"}:
            return tf.as_dtype(value["dtype"])
        if set(value) == {"dtype", "shape", "values"}:
            dtype = tf.as_dtype(value["dtype"])
            array = np.array(value["values"], dtype.as_numpy_dtype)
            return tf.constant(array.reshape(value["shape"]), dtype)
    except (TypeError, ValueError) as error:
        raise errors.InputError(f"{where} cannot be read: {error}") from error
    raise errors.InputError(f"{where} is {value!r}: it must be a number, a tensor or text.")
