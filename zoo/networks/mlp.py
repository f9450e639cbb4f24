"""Multilayer perceptrons over flattened examples of any shape.

Encoder and decoder default to two layers of 1024 softplus units, as in the code of the family's
authors; critics to the same sizes with leaky ReLU of slope 0.2. With `condition_shape` each network
has one more input, a condition c, which is last, or before noise; its first layer reads it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from zoo import errors
from zoo.networks import translation
from zoo.networks.construction import (
    Layers,
    Role,
    beside,
    condition_of,
    known_activation,
    listed,
    positive,
    shape,
    with_squares,
)

HIDDEN = (1024, 1024)
JIT_COMPILE = True  # XLA fuses its elementwise work


@Role
def encoder(
    image_shape: Sequence[int],
    outputs: int,
    *,
    hidden: Sequence[int] = HIDDEN,
    activation: str = "softplus",
    condition_shape: Sequence[int] | None = None,
    precision: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Returns the network [B, *image_shape] -> [B, outputs]."""
    layers = Layers("mlp/encoder", seed, precision)
    image = keras.Input(shape(image_shape), name="image")
    condition = condition_of(condition_shape)
    features = _stack(layers, beside(_flat(image), condition), hidden, activation)
    params = layers.dense(positive("outputs", outputs), "params")(features)
    return layers.model(listed(image, condition), params)


@Role
def implicit_encoder(
    image_shape: Sequence[int],
    latent_dim: int,
    noise_dim: int,
    *,
    hidden: Sequence[int] = HIDDEN,
    activation: str = "softplus",
    condition_shape: Sequence[int] | None = None,
    precision: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Returns the network [B, *image_shape], [B, noise_dim] -> z [B, K]; all layers read noise."""
    layers = Layers("mlp/implicit_encoder", seed, precision)
    image = keras.Input(shape(image_shape), name="image")
    noise = keras.Input((positive("noise_dim", noise_dim),), name="noise")
    condition = condition_of(condition_shape)
    features = beside(_flat(image), condition)
    for index, units in enumerate(_sizes(hidden)):
        of_noise = layers.dense(units, f"noise_{index}", use_bias=False)(noise)
        features = layers.dense(units, f"dense_{index}")(features)
        features = keras.layers.Add(name=f"sum_{index}")([features, of_noise])
        features = keras.layers.Activation(known_activation(activation), name=f"act_{index}")(
            features
        )
    both = keras.layers.Concatenate(name="last")([features, noise])
    codes = layers.dense(positive("latent_dim", latent_dim), "latent")(both)
    return layers.model(listed(image, condition, noise), codes)


@Role
def decoder(
    latent_dim: int,
    image_shape: Sequence[int],
    params_per_element: int = 1,
    *,
    hidden: Sequence[int] = HIDDEN,
    activation: str = "softplus",
    condition_shape: Sequence[int] | None = None,
    precision: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Returns the network [B, K] -> [B, ..., C * params_per_element] of raw parameters."""
    layers = Layers("mlp/decoder", seed, precision)
    *sizes, channels = shape(image_shape)
    output_shape = (*sizes, channels * positive("params_per_element", params_per_element))
    latent = keras.Input((positive("latent_dim", latent_dim),), name="latent")
    condition = condition_of(condition_shape)
    features = _stack(layers, beside(latent, condition), hidden, activation)
    params = layers.dense(math.prod(output_shape), "params")(features)
    params = keras.layers.Reshape(output_shape, name="image")(params)
    return layers.model(listed(latent, condition), params)


@Role
def translator(
    image_shape: Sequence[int],
    output_shape: Sequence[int],
    params_per_element: int = 1,
    *,
    hidden: Sequence[int] = HIDDEN,
    activation: str = "softplus",
    squash: str = "sigmoid",
    precision: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Returns the network [B, ..., C] -> [B, ..., C' * params_per_element] of parameters.

    Unlike a convolution, it can move a pixel anywhere. With `hidden` () it is a linear map.
    `squash` is as in `zoo.networks.resnet`.
    """
    layers = Layers("mlp/translator", seed, precision)
    end = shape(output_shape)
    image = keras.Input(shape(image_shape), name="image")
    features = _stack(layers, _flat(image), hidden, activation)

    def dense(channels: int, name: str, **options: Any) -> Any:
        sizes = (*end[:-1], channels)
        make = layers.dense(math.prod(sizes), name, **options)
        return lambda features: keras.layers.Reshape(sizes, name=f"{name}_image")(make(features))

    params = translation.outputs(dense, layers, features, end[-1], params_per_element, squash)
    return layers.model(image, params)


@Role
def critic_x(
    image_shape: Sequence[int],
    *,
    spectral_norm: bool = False,
    hidden: Sequence[int] = HIDDEN,
    activation: str = "leaky_relu",
    condition_shape: Sequence[int] | None = None,
    precision: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Returns the critic [B, *image_shape] -> [B], a float32 logit per example."""
    layers = Layers("mlp/critic_x", seed, precision, spectral_norm)
    image = keras.Input(shape(image_shape), name="image")
    condition = condition_of(condition_shape)
    features = _stack(layers, beside(_flat(image), condition), hidden, activation)
    return layers.model(listed(image, condition), layers.scalar(features))


@Role
def critic_z(
    latent_dim: int,
    *,
    spectral_norm: bool = False,
    hidden: Sequence[int] = HIDDEN,
    activation: str = "leaky_relu",
    squares: bool = False,
    condition_shape: Sequence[int] | None = None,
    precision: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Returns the critic [B, K] -> [B], a float32 logit per example.

    With `squares` it reads z and z^2.
    """
    layers = Layers("mlp/critic_z", seed, precision, spectral_norm)
    latent = keras.Input((positive("latent_dim", latent_dim),), name="latent")
    condition = condition_of(condition_shape)
    seen = beside(with_squares(latent) if squares else latent, condition)
    scalar = layers.scalar(_stack(layers, seen, hidden, activation))
    return layers.model(listed(latent, condition), scalar)


@Role
def critic_xz(
    image_shape: Sequence[int],
    latent_dim: int,
    *,
    spectral_norm: bool = False,
    hidden: Sequence[int] = HIDDEN,
    activation: str = "leaky_relu",
    condition_shape: Sequence[int] | None = None,
    precision: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Returns the critic ([B, *image_shape], [B, K]) -> [B], a float32 logit per pair."""
    layers = Layers("mlp/critic_xz", seed, precision, spectral_norm)
    image = keras.Input(shape(image_shape), name="image")
    latent = keras.Input((positive("latent_dim", latent_dim),), name="latent")
    condition = condition_of(condition_shape)
    pair = keras.layers.Concatenate(name="pair")([_flat(image), latent])
    scalar = layers.scalar(_stack(layers, beside(pair, condition), hidden, activation))
    return layers.model(listed(image, latent, condition), scalar)


def _flat(image: Any) -> Any:
    return keras.layers.Flatten(name="flat")(image)


def _stack(layers: Layers, features: Any, hidden: Sequence[int], activation: str) -> Any:
    activation = known_activation(activation)
    for index, units in enumerate(_sizes(hidden)):
        features = layers.dense(units, f"dense_{index}", activation=activation)(features)
    return features


def _sizes(hidden: Sequence[int]) -> list[int]:
    if isinstance(hidden, str) or not isinstance(hidden, Sequence):
        raise errors.InputError(f"hidden is {hidden!r}: give a list of sizes, such as (512, 512).")
    return [positive(f"hidden[{index}]", units) for index, units in enumerate(hidden)]
