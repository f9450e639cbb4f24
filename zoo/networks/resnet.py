"""Image-to-image networks with residual blocks, after CycleGAN, and its patch critic.

Johnson et al. "Perceptual Losses for Real-Time Style Transfer and Super-Resolution." ECCV 2016;
Zhu et al. "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks." ICCV
2017, appendix 7.2. Three things differ from the latter: images are padded with zeros, the
background of digits; upsampling has 4x4 kernels, a multiple of the stride 2, which avoid
chequerboard artefacts; and features are normalised in groups, because normalising each map alone
removes the brightness of an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from zoo.networks import translation
from zoo.networks.construction import Layers, Role, positive
from zoo.networks.patches import critic_x

__all__ = ["JIT_COMPILE", "WIDTH", "critic_x", "translator"]

WIDTH = 16
JIT_COMPILE = False  # XLA slows convolutions on a CPU


@Role
def translator(
    image_shape: Sequence[int],
    output_shape: Sequence[int],
    params_per_element: int = 1,
    *,
    width: int = WIDTH,
    blocks: int | None = None,
    normalization: str = "group",
    squash: str = "sigmoid",
    precision: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Returns the network [B, H, W, C] -> [B, H, W, C' * params_per_element] of parameters.

    It has a 7x7 convolution to `width` maps, two convolutions of stride 2 to 4 * width, residual
    blocks (on 7x7 features of a 28x28 image), then the same layers in reverse. With width 64 it is
    the paper's generator, but for outputs in (0, 1) instead of (-1, 1).

    Args:
      image_shape: [H, W, C], sides multiples of 4, from 8 on.
      output_shape: [H, W, C'].
      params_per_element: parameters for each element of the output, the location first.
      width: maps at full resolution.
      blocks: residual blocks; 3 up to 32 pixels a side, 6 up to 128, 9 above.
      normalization: "group", "instance" or "none".
      squash: "sigmoid" for locations in (0, 1), as pixels are; "none" for logits.
      precision: precision of products in training; layers next to the pixels stay float32.
      seed: seed of the weights.

    Raises:
      InputError: an option is unknown, or the shapes do not fit.
    """
    layers = Layers("resnet/translator", seed, precision)
    start, end = translation.both_sizes(image_shape, output_shape)
    positive("width", width)
    if blocks is None:
        blocks = 3 if min(start[:2]) <= 32 else 6 if min(start[:2]) <= 128 else 9
    bias = normalization != "instance"  # which subtracts it

    def convolved(features: Any, maps: int, name: str, kernel: int, strides: int = 1) -> Any:
        return layers.conv(
            maps,
            name,
            kernel_size=kernel,
            strides=strides,
            use_bias=bias,
            initializer="he_normal",
            exact=features.shape[-1] < width,
        )(features)

    image = keras.Input(start, name="image")
    features = convolved(image, width, "first", 7)
    features = translation.activated(features, "first", normalization)
    for index in range(2):
        name = f"down_{index}"
        features = convolved(features, width * 2 ** (index + 1), name, 3, 2)
        features = translation.activated(features, name, normalization)
    for index in range(positive("blocks", blocks)):
        name = f"block_{index}"
        inner = convolved(features, 4 * width, f"{name}_0", 3)
        inner = translation.activated(inner, f"{name}_0", normalization)
        inner = convolved(inner, 4 * width, f"{name}_1", 3)
        inner = translation.normalised(inner, f"{name}_1", normalization)
        features = keras.layers.Add(name=name)([features, inner])
    for index in range(2):
        name = f"up_{index}"
        up = layers.conv_transpose(
            2 * width // 2**index, name, use_bias=bias, initializer="he_normal"
        )
        features = translation.activated(up(features), name, normalization)
    params = translation.outputs(
        layers.conv,
        layers,
        features,
        end[-1],
        params_per_element,
        squash,
        kernel_size=7,
        strides=1,
    )
    return layers.model(image, params)
