"""U-Nets from image to image, after pix2pix and DiscoGAN, and their patch critic.

Isola et al. "Image-to-Image Translation with Conditional Adversarial Networks." CVPR 2017, section
3.2.1 and appendix 6.1.1; with leaky ReLU on the way down, ReLU on the way up. Features are
normalised in groups, because one map at the bottom, 2x2, has only four numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from zoo.networks import translation
from zoo.networks.construction import Layers, Role, positive
from zoo.networks.patches import critic_x

__all__ = ["JIT_COMPILE", "WIDTH", "critic_x", "translator"]

WIDTH = 32
JIT_COMPILE = False  # XLA slows convolutions on a CPU
_BOTTOM = 2


@Role
def translator(
    image_shape: Sequence[int],
    output_shape: Sequence[int],
    params_per_element: int = 1,
    *,
    width: int = WIDTH,
    normalization: str = "group",
    skips: bool = True,
    squash: str = "sigmoid",
    precision: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Returns the network [B, H, W, C] -> [B, H, W, C' * params_per_element] of parameters.

    4x4 convolutions of stride 2 halve the image down to 2 pixels (28, 14, 7, 4, 2), with maps
    doubling from `width` to 8 * width. Transposed convolutions lead back, and also read the
    features of their size from the way down. The doubling of an odd side is cropped.

    Args:
      image_shape: [H, W, C], sides multiples of 4, from 8 on.
      output_shape: [H, W, C'].
      params_per_element: parameters for each element of the output, the location first.
      width: maps after the first halving.
      normalization: "group" or "none".
      skips: whether the way up reads the features of the way down. Without them all information
        passes through the bottom, as in DiscoGAN (Kim et al. 2017), and pixels keep no position by
        default.
      squash: "sigmoid" for locations in (0, 1), as pixels are; "none" for logits.
      precision: precision of products in training; layers next to the pixels stay float32.
      seed: seed of the weights.

    Raises:
      InputError: an option is unknown, or the shapes do not fit.
    """
    layers = Layers("unet/translator", seed, precision)
    start, end = translation.both_sizes(image_shape, output_shape)
    positive("width", width)

    image = keras.Input(start, name="image")
    features: Any = image
    passed: list[Any] = []
    while min(features.shape[1:3]) > _BOTTOM:
        index = len(passed)
        passed.append(features)
        down = layers.conv(
            width * 2 ** min(index, 3), f"down_{index}", initializer="he_normal", exact=index == 0
        )
        how = normalization if index else "none"  # as in the paper
        features = translation.activated(down(features), f"down_{index}", how, "leaky_relu")
    for index in range(len(passed) - 1, 0, -1):
        name, beside = f"up_{index}", passed[index]
        up = layers.conv_transpose(beside.shape[-1], name, initializer="he_normal")
        features = translation.activated(up(features), name, normalization)
        rows, columns = (features.shape[axis] - beside.shape[axis] for axis in (1, 2))
        if rows or columns:
            crop = keras.layers.Cropping2D(((0, rows), (0, columns)), name=f"{name}_crop")
            features = crop(features)
        if skips:
            features = keras.layers.Concatenate(name=f"{name}_skip")([features, beside])
    params = translation.outputs(
        layers.conv_transpose, layers, features, end[-1], params_per_element, squash
    )
    return layers.model(image, params)
