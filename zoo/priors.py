"""Priors p(z): distributions over the latent, written to and read from plain JSON."""

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

tfd = tfp.distributions


def standard_normal(latent_dim: int) -> Any:
    """Returns N(0, I) over a latent of `latent_dim` dimensions."""
    if not isinstance(latent_dim, int) or latent_dim < 1:
        raise errors.InputError(f"latent_dim is {latent_dim!r}: give a positive whole number.")
    return tfd.Independent(
        tfd.Normal(tf.zeros(latent_dim), tf.ones(latent_dim)), reinterpreted_batch_ndims=1
    )


class Empirical(tfp.distributions.Distribution):
    """The prior of latents that are data, such as the second images of CycleGAN.

    It knows the shape of one example alone: its samples come with the batches (x, z), and it has
    no density.

    Args:
      event_shape: the shape of one example, [K] or [H, W, C].
    """

    def __init__(self, event_shape: Sequence[int], name: str = "Empirical") -> None:
        parameters = dict(locals())
        sizes = list(event_shape) if isinstance(event_shape, Sequence) else []
        if not sizes or not all(type(size) is int and size > 0 for size in sizes):
            raise errors.InputError(
                f"An Empirical prior's event_shape is {event_shape!r}: give positive whole "
                "numbers, such as (28, 28, 1)."
            )
        self._shape = tf.TensorShape(sizes)
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    def _batch_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _event_shape(self) -> tf.TensorShape:
        return self._shape

    def _sample_n(self, n: Any, seed: Any = None) -> Any:
        raise errors.InputError(
            "An Empirical prior draws nothing: take z from the batches (x, z) of the data."
        )

    def _log_prob(self, value: Any) -> Any:
        raise errors.InputError(
            "An Empirical prior has no density, as z is data: use terms that need samples alone."
        )


def event_shape(prior: Any) -> tuple[int, ...]:
    """Returns the shape of one latent: [K], or [H, W, C] where latents are images.

    Raises InputError unless the prior is one tfd distribution (batch shape []) over float32
    vectors of a known length, or an Empirical one, over images too.
    """
    if not isinstance(prior, tfd.Distribution):
        raise errors.InputError(f"The prior is {prior!r}: give a tfp.distributions distribution.")
    kind = type(prior).__name__
    if isinstance(prior.event_shape, tf.TensorShape) and isinstance(
        prior.batch_shape, tf.TensorShape
    ):
        event, batch = prior.event_shape, prior.batch_shape
        ranks = (1, 3) if isinstance(prior, Empirical) else (1,)
        if event.rank not in ranks or not event.is_fully_defined() or batch.rank != 0:
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
        return tuple(event.as_list())
    raise errors.InputError(
        f"The prior, a {kind}, has several events: give a distribution over one vector."
    )


def latent_dim(prior: Any) -> int:
    """Returns K for a prior over latents of shape [K].

    Raises InputError for what `event_shape` refuses, and for latents that are images.
    """
    shape = event_shape(prior)
    if len(shape) != 1:
        raise errors.InputError(f"These latents have shape {shape}: give a prior over vectors.")
    return shape[0]


def serialise(prior: Any) -> dict[str, Any]:
    """Returns `prior` as a JSON-able dict, which `deserialise` turns into an equal distribution.

        {"class_name": "Independent", "parameters": {"distribution": {...}, ...}}

    Parameters left at their default are left out. Tensors are written as
    {"dtype": ..., "shape": ..., "values": [...]}, variables by their present value; floats that
    JSON lacks as the strings "inf", "-inf" and "nan".

    Raises InputError naming the parameter if one is neither a number, a tensor, text nor such a
    distribution (a bijector or a function, say), and for a prior that `event_shape` refuses.
    """
    event_shape(prior)
    return _serialise_distribution(prior, "prior")


def deserialise(config: dict[str, Any]) -> Any:
    """Returns the distribution that `serialise` wrote.

    Only public classes of tfp.distributions and `Empirical` are built, and only from numbers, so a
    config may come from a stranger. Raises InputError for anything else.
    """
    prior = _deserialise_distribution(config, "prior")
    event_shape(prior)
    return prior


@functools.cache
def _public_classes() -> dict[str, type]:
    """Returns the classes that a config may name; tfd has an Empirical too, another one."""
    members = {name: getattr(tfd, name) for name in dir(tfd) if not name.startswith("_")}
    public = {
        name: member
        for name, member in members.items()
        if inspect.isclass(member) and issubclass(member, tfd.Distribution)
    }
    return {**public, "zoo.Empirical": Empirical}


def _serialise_distribution(distribution: Any, where: str) -> dict[str, Any]:
    kind = type(distribution)
    class_name = "zoo.Empirical" if kind is Empirical else kind.__name__
    if _public_classes().get(class_name) is not kind:
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
    return {"class_name": class_name, "parameters": parameters}


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
