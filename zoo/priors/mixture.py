"""A learned mixture of diagonal normals as the prior."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from zoo.errors import InputError, unknown
from zoo.priors.layer import Prior

tfd = tfp.distributions

WEIGHTS = ("learned", "equal")


def check_components(kind: str, components: Any) -> None:
    """Raises InputError unless `components` is a positive whole number."""
    if type(components) is not int or components < 1:
        raise InputError(f"components of a {kind} is {components!r}: give a positive whole number.")


@keras.saving.register_keras_serializable("zoo")
class MixturePrior(Prior):
    """A mixture prior p(z) = sum_k w_k N(z; m_k, diag(s_k^2)) with learned m, s and w.

        s = floor + softplus(r),   w = softmax(a)

    It starts near N(0, I): means from N(0, 1/2) by the seed, scales sqrt(1/2), equal weights.

    Samples are reparameterised in m and s, because E_p f(z) = sum_k w_k E f(m_k + s_k e), but not
    in w. So terms that differentiate samples of the prior, such as JS_z, are refused if weights are
    learned; equal weights are fixed at 1/K.

    Args:
      components: K.
      weights: "learned" or "equal".
      floor: the smallest scale; without it a component on few codes could collapse to a point.
      seed: seed of the initial means.

    Raises:
      InputError: an option is out of range, or latents are not vectors.
    """

    remedy = (
        "use MixturePrior(..., weights='equal') (--prior=mixture:K:equal) or a VampPrior "
        "(--prior=vamp:K)"
    )

    def __init__(
        self,
        components: int,
        weights: str = "learned",
        floor: float = 0.01,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_components("MixturePrior", components)
        if weights not in WEIGHTS:
            raise unknown("weights of a MixturePrior", str(weights), WEIGHTS)
        if not isinstance(floor, float) or not 0.0 < floor < math.sqrt(0.5):
            raise InputError(
                f"floor of a MixturePrior is {floor!r}: give a number between 0 and the first "
                f"scale, {math.sqrt(0.5):.3g}."
            )
        self.components = components
        self.weighted = weights
        self.floor = floor
        self.seed = int(seed)

    def make(self, encoder: Any) -> None:
        shape = (self.components, *_vector(encoder))
        # softplus(r) = sqrt(1/2) - floor
        raw = math.log(math.expm1(math.sqrt(0.5) - self.floor))
        normal = keras.initializers.RandomNormal(stddev=math.sqrt(0.5), seed=self.seed)
        constant = keras.initializers.Constant(raw)
        self.means = self.add_weight(name="means", shape=shape, initializer=normal, autocast=False)
        self.raw_scales = self.add_weight(
            name="raw_scales", shape=shape, initializer=constant, autocast=False
        )
        self.logits = self.add_weight(
            name="logits",
            shape=shape[:1],
            initializer="zeros",
            trainable=self.weighted == "learned",
            autocast=False,
        )

    @property
    def pathwise(self) -> bool:
        return self.weighted == "equal"

    def call(self) -> Any:
        means, raw, logits = map(tf.convert_to_tensor, (self.means, self.raw_scales, self.logits))
        components = tfd.Normal(means, self.floor + tf.math.softplus(raw))
        return tfd.MixtureSameFamily(
            tfd.Categorical(logits=logits),
            tfd.Independent(components, reinterpreted_batch_ndims=1),
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "components": self.components,
            "weights": self.weighted,
            "floor": self.floor,
            "seed": self.seed,
        }


def _vector(encoder: Any) -> tuple[int]:
    shape = tuple(encoder.event_shape)
    if len(shape) != 1:
        raise InputError(f"A MixturePrior is over vectors, and these latents have shape {shape}.")
    return shape
