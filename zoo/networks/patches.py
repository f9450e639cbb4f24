"""PatchGAN: a critic of images with a logit for every patch (Isola et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from zoo.networks.construction import Layers, Role, positive
from zoo.networks.translation import sizes

WIDTH = 32
_FULL = 3  # halvings in the paper


@Role
def critic_x(
    image_shape: Sequence[int],
    *,
    spectral_norm: bool = False,
    width: int = WIDTH,
    halvings: int | None = None,
    precision: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Returns the critic [B, H, W, C] -> [B, P], a float32 logit for each of P patches.

    It has `halvings` 4x4 convolutions of stride 2, then two of stride 1. Maps double with each,
    from `width` up to 8 * width. The patch of a logit, and the image sides with that default:

        halvings    1         2         3
        patch       16x16     34x34     70x70
        sides       to 32     to 64     above

    The logits are log density ratios of patches. The estimated JS is the mean over patches, and
    like every critic's estimate a lower bound on the JS of whole images. Isola et al.
    "Image-to-Image Translation with Conditional Adversarial Networks." CVPR 2017, section 3.2.2 and
    appendix 6.1.2; without its normalisation, which `spectral_norm` can replace.

    Raises:
      InputError: an option is not a positive whole number, or the sides of the images are not
        multiples of 4, from 8 on.
    """
    layers = Layers("patches/critic_x", seed, precision, spectral_norm)
    shape = sizes(image_shape)
    positive("width", width)
    if halvings is None:
        halvings = 1 if min(shape[:2]) <= 32 else 2 if min(shape[:2]) <= 64 else _FULL
    image = keras.Input(shape, name="image")
    features: Any = image
    for index in range(positive("halvings", halvings) + 1):
        features = layers.conv(
            width * 2 ** min(index, 3),
            f"conv_{index}",
            strides=2 if index < halvings else 1,
            initializer="he_normal",
            activation="leaky_relu",
            exact=index == 0,
        )(features)
    logits = layers.conv(1, "logit", strides=1, exact=True, dtype="float32")(features)
    return layers.model(image, keras.layers.Flatten(name="patches", dtype="float32")(logits))
