"""Convolutional networks after DCGAN (Radford et al. 2016), for 28, 32 and 64 pixels a side.

Strided 4x4 convolutions with leaky ReLU of slope 0.2 on the way in (maps double at each halving
of the side, from width to 4 * width), transposed ones with ReLU on the way out (the other way
round). Two things differ from the paper: batch normalisation is optional, because it couples the
examples of a batch; therefore initialisation is He and Glorot, because N(0, 0.02) needs batch
normalisation.

With a convolutional critic without spectral normalisation a decoder easily collapses: train
critics of images with spectral_norm=True.

With `condition_shape` each network has one more input, a condition c, which is last, or before
noise. Every convolution adds a linear function of c to its maps, which equals constant input
channels; decoders and critics of codes read c concatenated with z.

Precision "bfloat16" applies to the inner convolutions. Those next to the pixels have few maps, and
the dense layers are small: they would not become faster.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from zoo import errors
from zoo.networks.batch_normalization import BatchNormalization
from zoo.networks.construction import (
    Layers,
    Role,
    beside,
    condition_of,
    listed,
    positive,
    shape,
    with_squares,
)
from zoo.networks.group_normalization import in_groups

WIDTH = 32
JIT_COMPILE = False  # XLA slows convolutions on a CPU
SIDES = (28, 32, 64)
NORMALIZATIONS = ("none", "layer", "group", "batch")


@Role
def encoder(
    image_shape: Sequence[int],
    outputs: int,
    *,
    width: int = WIDTH,
    normalization: str = "none",
    condition_shape: Sequence[int] | None = None,
    precision: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Returns the network [B, H, W, C] -> [B, outputs]; `width` maps in its first layer."""
    layers = Layers("dcgan/encoder", seed, precision)
    image = keras.Input(_image_shape(image_shape), name="image")
    condition = condition_of(condition_shape)
    features = _features(layers, image, width, normalization, condition=condition)
    params = layers.dense(positive("outputs", outputs), "params", exact=True)(features)
    return layers.model(listed(image, condition), params)


@Role
def implicit_encoder(
    image_shape: Sequence[int],
    latent_dim: int,
    noise_dim: int,
    *,
    width: int = WIDTH,
    normalization: str = "none",
    condition_shape: Sequence[int] | None = None,
    precision: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Returns the network [B, H, W, C], [B, noise_dim] -> z [B, K]; every layer reads noise."""
    layers = Layers("dcgan/implicit_encoder", seed, precision)
    image = keras.Input(_image_shape(image_shape), name="image")
    noise = keras.Input((positive("noise_dim", noise_dim),), name="noise")
    condition = condition_of(condition_shape)
    features = _features(layers, image, width, normalization, noise, condition)
    both = keras.layers.Concatenate(name="last")([features, noise])
    codes = layers.dense(positive("latent_dim", latent_dim), "latent")(both)
    return layers.model(listed(image, condition, noise), codes)


@Role
def decoder(
    latent_dim: int,
    image_shape: Sequence[int],
    params_per_element: int = 1,
    *,
    width: int = WIDTH,
    normalization: str = "none",
    condition_shape: Sequence[int] | None = None,
    precision: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Returns the network [B, K] -> [B, H, W, C * params_per_element] of raw parameters."""
    layers = Layers("dcgan/decoder", seed, precision)
    side, _, channels = _image_shape(image_shape)
    outputs = channels * positive("params_per_element", params_per_element)
    start = 7 if side == 28 else 4
    doublings = int(math.log2(side // start))
    maps = [max(4 * positive("width", width) // 2**index, width) for index in range(doublings)]

    latent = keras.Input((positive("latent_dim", latent_dim),), name="latent")
    options = {"initializer": "he_normal", "use_bias": normalization != "batch"}
    condition = condition_of(condition_shape)
    dense = layers.dense(start * start * maps[0], "dense", exact=True, **options)
    features = dense(beside(latent, condition))
    features = keras.layers.Reshape((start, start, maps[0]), name="start")(features)
    features = _activate(features, "start", normalization, "relu")
    for index, size in enumerate(maps[1:]):
        name = f"deconv_{index}"
        features = layers.conv_transpose(size, name, **options)(features)
        features = _activate(features, name, normalization, "relu")
    params = layers.conv_transpose(outputs, "params", exact=True)(features)
    return layers.model(listed(latent, condition), params)


@Role
def critic_x(
    image_shape: Sequence[int],
    *,
    spectral_norm: bool = False,
    width: int = WIDTH,
    condition_shape: Sequence[int] | None = None,
    precision: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Returns the critic [B, H, W, C] -> [B], a float32 logit per image."""
    layers = Layers("dcgan/critic_x", seed, precision, spectral_norm)
    image = keras.Input(_image_shape(image_shape), name="image")
    condition = condition_of(condition_shape)
    features = _features(layers, image, width, condition=condition)
    return layers.model(listed(image, condition), layers.scalar(features))


@Role
def critic_z(
    latent_dim: int,
    *,
    spectral_norm: bool = False,
    width: int = WIDTH,
    squares: bool = False,
    condition_shape: Sequence[int] | None = None,
    precision: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Returns the critic [B, K] -> [B] with two dense layers of 16 * width units.

    With `squares` it reads z and z^2.
    """
    layers = Layers("dcgan/critic_z", seed, precision, spectral_norm)
    latent = keras.Input((positive("latent_dim", latent_dim),), name="latent")
    condition = condition_of(condition_shape)
    seen = beside(with_squares(latent) if squares else latent, condition)
    features = _dense(layers, seen, 16 * positive("width", width), "latent_0")
    features = _dense(layers, features, 16 * width, "latent_1")
    return layers.model(listed(latent, condition), layers.scalar(features))


@Role
def critic_xz(
    image_shape: Sequence[int],
    latent_dim: int,
    *,
    spectral_norm: bool = False,
    width: int = WIDTH,
    condition_shape: Sequence[int] | None = None,
    precision: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Returns the critic ([B, H, W, C], [B, K]) -> [B], a float32 logit per pair.

    As in ALI and BiGAN (Dumoulin et al. 2017, Donahue et al. 2017), convolutional features of the
    image and dense features of the latent are concatenated for one more dense layer.
    """
    layers = Layers("dcgan/critic_xz", seed, precision, spectral_norm)
    image = keras.Input(_image_shape(image_shape), name="image")
    latent = keras.Input((positive("latent_dim", latent_dim),), name="latent")
    condition = condition_of(condition_shape)
    of_image = _features(layers, image, width, condition=condition)
    of_latent = _dense(layers, latent, 8 * width, "latent_0")
    of_latent = _dense(layers, of_latent, 8 * width, "latent_1")
    pair = keras.layers.Concatenate(name="pair")([of_image, of_latent])
    features = _dense(layers, beside(pair, condition), 8 * width, "joint")
    return layers.model(listed(image, latent, condition), layers.scalar(features))


def _features(
    layers: Layers,
    image: Any,
    width: int,
    normalization: str = "none",
    noise: Any = None,
    condition: Any = None,
) -> Any:
    """Returns features [B, F] of the image, halved down to 4x4.

    If noise or a condition is given, a linear function of it is added to every map.
    """
    added = {"noise": noise}
    if condition is not None:
        added["condition"] = keras.layers.Flatten(name="of_condition")(condition)
    features, side, index = image, image.shape[1], 0
    while side > 4:
        name = f"conv_{index}"
        maps = positive("width", width) * 2 ** min(index, 2)
        options = {"initializer": "he_normal", "use_bias": normalization != "batch"}
        features = layers.conv(maps, name, exact=index == 0, **options)(features)
        for what, vector in added.items():
            if vector is None:
                continue
            of_maps = layers.dense(maps, f"{what}_{index}", exact=True, use_bias=False)(vector)
            suffix = f"{index}" if what == "noise" else f"{what}_{index}"
            of_maps = keras.layers.Reshape((1, 1, maps), name=f"shape_{suffix}")(of_maps)
            features = keras.layers.Add(name=f"sum_{suffix}")([features, of_maps])
        features = _activate(features, name, normalization, "leaky_relu")
        side, index = math.ceil(side / 2), index + 1
    return keras.layers.Flatten(name="flat")(features)


def _dense(layers: Layers, features: Any, units: int, name: str) -> Any:
    options = {"initializer": "he_normal", "activation": "leaky_relu"}
    return layers.dense(units, name, exact=True, **options)(features)


def _activate(features: Any, name: str, normalization: str, function: str) -> Any:
    if normalization == "layer":
        features = in_groups(features, name, groups=1)
    elif normalization == "group":
        features = in_groups(features, name)
    elif normalization == "batch":
        features = BatchNormalization(name=f"{name}_norm")(features)
    elif normalization != "none":
        raise errors.unknown("normalization", str(normalization), NORMALIZATIONS)
    return keras.layers.Activation(function, name=f"{name}_{function}")(features)


def _image_shape(image_shape: Sequence[int]) -> tuple[int, int, int]:
    sizes = shape(image_shape)
    if len(sizes) != 3 or sizes[0] != sizes[1] or sizes[0] not in SIDES or sizes[2] not in (1, 3):
        raise errors.InputError(
            f"The dcgan network cannot take images of shape {sizes}: it works for 28x28, 32x32 "
            "and 64x64 with 1 or 3 channels; use --network=mlp for other shapes."
        )
    return sizes[0], sizes[1], sizes[2]
