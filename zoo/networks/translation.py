"""Common parts of image-to-image networks: shapes, normalisation and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from zoo import errors
from zoo.networks.construction import Layers, positive, shape
from zoo.networks.group_normalization import GROUPS, in_groups

NORMALIZATIONS = ("group", "instance", "none")
SQUASHES = ("sigmoid", "none")
SMALLEST = 8


def sizes(image_shape: Sequence[int]) -> tuple[int, int, int]:
    """Returns (H, W, C) of an image whose sides are multiples of 4, from 8 on.

    Raises:
      InputError: the shape is another.
    """
    found = shape(image_shape)
    if len(found) != 3 or any(side < SMALLEST or side % 4 for side in found[:2]):
        raise errors.InputError(
            f"Networks on image pairs cannot take images of shape {found}: they need "
            f"[H, W, C] with sides that are multiples of 4, from {SMALLEST} on, such as 28 or 256."
        )
    return found[0], found[1], found[2]


def both_sizes(
    image_shape: Sequence[int], output_shape: Sequence[int]
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Returns the input and output shapes of a translator, with equal height and width.

    Raises:
      InputError: the sides differ, or `sizes` refuses them.
    """
    start, end = sizes(image_shape), sizes(output_shape)
    if start[:2] != end[:2]:
        raise errors.InputError(
            f"Images of shape {start} cannot be translated into {end}: a translator keeps height "
            "and width, so resize one of the two sets."
        )
    return start, end


def normalised(features: Any, name: str, normalization: str) -> Any:
    """Returns features [B, H, W, F] with zero mean and unit variance over each group of maps.

    "group": groups of an eighth of the maps (Wu & He 2018), which keep differences in brightness
    between maps of a group; "instance": each map alone (Ulyanov et al. 2016); "none". The examples
    of a batch are independent.
    """
    if normalization not in NORMALIZATIONS:
        raise errors.unknown("normalization", str(normalization), NORMALIZATIONS)
    if normalization == "none":
        return features
    return in_groups(features, name, features.shape[-1] if normalization == "instance" else GROUPS)


def activated(features: Any, name: str, normalization: str, function: str = "relu") -> Any:
    """Returns the activation `function` of normalised features."""
    features = normalised(features, name, normalization)
    return keras.layers.Activation(function, name=f"{name}_{function}")(features)


def outputs(
    layer: Any, layers: Layers, features: Any, channels: int, params: int, squash: str, **size: Any
) -> Any:
    """Returns parameters [B, H, W, channels * params] in float32; `layer` makes a convolution.

    The first `channels` maps are the locations: with squash "sigmoid" they lie in (0, 1), as
    pixels do. The others, such as raw scales, are never squashed.
    """
    if squash not in SQUASHES:
        raise errors.unknown("squash", str(squash), SQUASHES)
    others = channels * (positive("params_per_element", params) - 1)
    activation = "sigmoid" if squash == "sigmoid" else None
    options = {**size, "exact": True, "dtype": "float32", "activation": activation}
    location = layer(channels, "location", **options)(features)
    if not others:
        return location
    raw = layer(others, "raw", **{**options, "activation": None})(features)
    return keras.layers.Concatenate(name="params", dtype="float32")([location, raw])
