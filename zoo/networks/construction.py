"""Building blocks of all networks: checked options and seeded, named layers."""

from __future__ import annotations

import functools
import inspect
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Generic, ParamSpec

import keras

from zoo import errors
from zoo.networks import precision as rounded

P = ParamSpec("P")
LOGIT = "logit"  # the last layer of a critic of whole examples


class Role(Generic[P]):
    """A function that builds the network of one role, and refuses unknown options.

    `options` holds the names of its keyword options.
    """

    def __init__(self, function: Callable[P, keras.Model]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        parameters = inspect.signature(function).parameters.values()
        self._names = {parameter.name for parameter in parameters}
        self.options = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> keras.Model:
        for name in kwargs:
            if name not in self._names:
                raise errors.unknown("option", name, self.options)
        return self._function(*args, **kwargs)


class Layers:
    """Makes the layers of one network; their weights depend only on seed, scope and name.

    `scope` names the network ("mlp/encoder"), so that two roles with equal shape and seed differ.
    Without a seed the weights are random. With precision "bfloat16" the products of training are
    bfloat16 (`zoo.networks.precision`) in every layer not made `exact`; weights are float32. With
    `spectral_norm` every kernel is divided by its largest singular value at each call with
    training=True (Miyato et al. 2018, one power iteration per call).
    """

    def __init__(
        self,
        scope: str,
        seed: int | None,
        precision: str = "float32",
        spectral_norm: bool = False,
    ) -> None:
        if seed is not None and not _is_whole(seed):
            raise errors.InputError(f"A network's seed is {seed!r}: give a whole number or none.")
        if precision not in rounded.PRECISIONS:
            raise errors.unknown("precision", str(precision), rounded.PRECISIONS)
        self.scope = scope
        self.seed = seed
        self.precision = precision
        self.spectral_norm = spectral_norm

    def dense(self, units: int, name: str, **options: Any) -> keras.layers.Layer:
        return self._with_kernel("Dense", units, name, **options)

    def conv(self, maps: int, name: str, **options: Any) -> keras.layers.Layer:
        options = {"kernel_size": 4, "strides": 2, "padding": "same", **options}
        return self._with_kernel("Conv2D", maps, name, **options)

    def conv_transpose(self, maps: int, name: str, **options: Any) -> keras.layers.Layer:
        options = {"kernel_size": 4, "strides": 2, "padding": "same", **options}
        return self._with_kernel("Conv2DTranspose", maps, name, **options)

    def scalar(self, features: Any) -> Any:
        """Returns one float32 number per example, [B], from features [B, F]."""
        logit = self.dense(1, LOGIT, exact=True, dtype="float32")(features)
        return keras.layers.Reshape((), name="scalar", dtype="float32")(logit)

    def model(self, inputs: Any, outputs: Any) -> keras.Model:
        """Returns the Functional model, named after its role."""
        model = keras.Model(inputs, outputs, name=self.scope.rpartition("/")[2])
        if self.seed is not None:
            for layer in model.layers:
                if isinstance(layer, keras.layers.SpectralNormalization):
                    vector = layer.vector_u
                    start = keras.initializers.RandomNormal(seed=self.seed_of(layer.name, "u"))
                    vector.assign(start(vector.shape, vector.dtype))
        return model

    def seed_of(self, layer: str, weight: str) -> int | None:
        """Returns the seed of a weight; None if the network has no seed."""
        if self.seed is None:
            return None
        return zlib.crc32(f"{self.seed}/{self.scope}/{layer}/{weight}".encode()) & 0x7FFFFFFF

    def _with_kernel(
        self,
        kind: str,
        size: int,
        name: str,
        *,
        initializer: str = "glorot_uniform",
        exact: bool = False,
        **options: Any,
    ) -> keras.layers.Layer:
        rounds = self.precision == "bfloat16" and not exact
        make = getattr(rounded if rounds else keras.layers, kind)
        config = {"seed": self.seed_of(name, "kernel")}
        kernel = keras.initializers.get({"class_name": initializer, "config": config})
        if not self.spectral_norm:
            return make(size, name=name, kernel_initializer=kernel, **options)
        layer = make(size, name=f"{name}_raw", kernel_initializer=kernel, **options)
        return keras.layers.SpectralNormalization(layer, name=name, dtype=layer.dtype_policy)


def positive(what: str, value: Any) -> int:
    """Returns `value`; raises InputError if it is not a positive whole number."""
    if not _is_whole(value) or value < 1:
        raise errors.InputError(f"{what} is {value!r}: give a positive whole number.")
    return int(value)


def shape(image_shape: Sequence[int]) -> tuple[int, ...]:
    """Returns the shape of one example as a tuple; raises InputError if it is not a shape."""
    sizes = tuple(image_shape)
    if not sizes or not all(_is_whole(size) and size > 0 for size in sizes):
        raise errors.InputError(
            f"image_shape is {sizes!r}: give positive whole numbers, such as (28, 28, 1)."
        )
    return sizes


def condition_of(condition_shape: Sequence[int] | None) -> Any:
    """Returns the input for a condition of that shape; None without a condition."""
    if condition_shape is None:
        return None
    return keras.Input(shape(condition_shape), name="condition")


def listed(*inputs: Any) -> Any:
    """Returns the inputs that are not None: a list, or the only one."""
    there = [each for each in inputs if each is not None]
    return there if len(there) > 1 else there[0]


def beside(features: Any, condition: Any) -> Any:
    """Returns features [B, F], concatenated with a flattened condition if there is one."""
    if condition is None:
        return features
    flat = keras.layers.Flatten(name="flat_condition")(condition)
    return keras.layers.Concatenate(name="with_condition")([features, flat])


def with_squares(latent: Any) -> Any:
    """Returns (z, z^2), in which the log ratio of normals with diagonal covariances is linear."""
    square = keras.layers.Multiply(name="square")([latent, latent])
    return keras.layers.Concatenate(name="with_squares")([latent, square])


def known_activation(name: str) -> str:
    """Returns the name of a Keras activation; raises InputError if it is unknown."""
    known = [n for n, f in vars(keras.activations).items() if inspect.isfunction(f)]
    known = [n for n in known if n not in ("get", "serialize", "deserialize")]
    if name not in known:
        raise errors.unknown("activation", str(name), known)
    return name


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
