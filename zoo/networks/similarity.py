"""Image-to-image networks that only rotate, scale and shift the plane.

It is the smallest network for two sets of images that differ by such a map: with four parameters it
treats all images alike, and so cannot pair them wrongly (Galanti et al. "The Role of Minimal
Complexity Functions in Unsupervised Learning of Semantic Mappings." ICLR 2018).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo import errors
from zoo.networks.construction import Layers, Role, positive, shape
from zoo.networks.mlp import critic_x
from zoo.networks.translation import SQUASHES
from zoo.networks.warping import warp

__all__ = ["JIT_COMPILE", "TURN", "Similarity", "critic_x", "translator"]

TURN = 90.0  # degrees
_BLACKEST = 0.001  # smallest mean if the outputs are logits
JIT_COMPILE = False  # XLA scatters gradients of pixels one by one on a CPU


@keras.saving.register_keras_serializable("zoo")
class Similarity(keras.layers.Layer):
    """A learned similarity map of the plane, the same for all images.

    ```none
    out(r) = in(c + e^s R(a) (r - c) + t L)
    ```

    with c the centre of the image and L half its side. s and t start at 0, and the angle a is
    initially uniform between -`turn` and `turn` degrees: at a = 0 the gradient in a may vanish by
    symmetry. With `logits` the outputs are logits of pixels clipped to [0.001, 0.999]. Jaderberg et
    al. "Spatial Transformer Networks." NeurIPS 2015, eq. 3, with one map for all images.
    """

    def __init__(
        self, turn: float = TURN, logits: bool = False, seed: int | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.turn = turn
        self.logits = logits
        self.seed = seed
        self.angle: Any = None
        self.log_scale: Any = None
        self.shift: Any = None

    def build(self, input_shape: Sequence[int | None]) -> None:
        self._shape: tuple[Any, ...] = (None, *input_shape[1:])
        most = math.radians(self.turn)
        start = keras.initializers.RandomUniform(-most, most, seed=self.seed)
        self.angle = self.add_weight(shape=(), initializer=start, name="angle")
        self.log_scale = self.add_weight(shape=(), initializer="zeros", name="log_scale")
        self.shift = self.add_weight(shape=(2,), initializer="zeros", name="shift")

    def call(self, images: Any) -> Any:
        """Returns images [B, H, W, C] read through the map."""
        images = tf.ensure_shape(images, self._shape)
        _, height, width, _ = self._shape
        scale = tf.exp(self.log_scale)
        cos, sin = scale * tf.cos(self.angle), scale * tf.sin(self.angle)
        # e^s R(a) (r - c) + t L
        shift = self.shift[0] * width / 2, self.shift[1] * height / 2
        read = warp(images, [[cos, -sin], [sin, cos]], shift)
        if not self.logits:
            return read
        read = tf.clip_by_value(read, _BLACKEST, 1.0 - _BLACKEST)
        return tf.math.log(read) - tf.math.log1p(-read)

    def get_config(self) -> dict[str, Any]:
        own = {"turn": self.turn, "logits": self.logits, "seed": self.seed}
        return {**super().get_config(), **own}


@Role
def translator(
    image_shape: Sequence[int],
    output_shape: Sequence[int],
    params_per_element: int = 1,
    *,
    turn: float = TURN,
    squash: str = "sigmoid",
    precision: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Returns the network [B, H, W, C] -> [B, H, W, C * params_per_element] of parameters.

    Locations are the mapped images; other parameters, such as raw scales, are a linear function of
    each pixel.

    Args:
      image_shape: [H, W, C].
      output_shape: the same.
      params_per_element: parameters for each element of the output, the location first.
      turn: the largest initial angle, in degrees to either side.
      squash: "sigmoid" for locations in (0, 1), as mapped images are; "none" for their logits.
      precision: "float32" or "bfloat16", without effect: there are no matrix products.
      seed: seed of the angle.

    Raises:
      InputError: the shapes differ, or `turn` is not between 0 and 180.
    """
    layers = Layers("similarity/translator", seed, precision)
    start, end = shape(image_shape), shape(output_shape)
    if start != end or len(start) != 3:
        raise errors.InputError(
            f"Turning images of shape {start} does not give {end}: give [H, W, C] twice, or use "
            "another network."
        )
    if isinstance(turn, bool) or not isinstance(turn, int | float) or not 0 <= turn <= 180:
        raise errors.InputError(f"turn is {turn!r}: give degrees from 0 to 180.")
    if squash not in SQUASHES:
        raise errors.unknown("squash", str(squash), SQUASHES)
    image = keras.Input(start, name="image")
    seed_of_angle = layers.seed_of("map", "angle")
    mapped = Similarity(float(turn), squash == "none", seed_of_angle, name="map")(image)
    others = end[-1] * (positive("params_per_element", params_per_element) - 1)
    if not others:
        return layers.model(image, mapped)
    raw = layers.conv(others, "raw", kernel_size=1, strides=1, exact=True, dtype="float32")(mapped)
    params = keras.layers.Concatenate(name="params", dtype="float32")([mapped, raw])
    return layers.model(image, params)
