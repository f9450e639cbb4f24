"""VampPrior: the mixture of the encoder's posteriors at learned pseudo-inputs."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from zoo.errors import InputError
from zoo.priors.layer import Prior
from zoo.priors.mixture import check_components

tfd = tfp.distributions


@keras.saving.register_keras_serializable("zoo")
class VampPrior(Prior):
    """A VampPrior p(z) = 1/K sum_k q(z|u_k) with learned images u_k, by the model's encoder.

    Tomczak and Welling. "VAE with a VampPrior." AISTATS 2018, eq. 9. The encoder also receives
    gradients through the prior. After every step the pseudo-inputs u are clipped to [0, 1], the
    range of images. They start uniform in [0, 1] by the seed, or as images: `start_from`.

    The encoder reads them with `training=False`, so that they do not change the statistics of batch
    normalisation. Samples are reparameterised in all weights, because the weights 1/K are fixed.

    Args:
      components: K.
      seed: seed of the initial pseudo-inputs.

    Raises:
      InputError: components is not a positive whole number; or the encoder has no density, its
        samples have no gradient, its latents are images, or it reads a condition.
    """

    def __init__(self, components: int, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_components("VampPrior", components)
        self.components = components
        self.seed = int(seed)

    def make(self, encoder: Any) -> None:
        if getattr(encoder, "c_shape", None) is not None:
            raise InputError(
                "A VampPrior has pseudo-inputs without a condition, which this encoder needs: use "
                "a MixturePrior, or a fixed prior."
            )
        if not encoder.has_density or len(encoder.event_shape) != 1:
            raise InputError(
                "A VampPrior is a mixture of posteriors q(z|u), which need a density over vectors, "
                f"and this encoder ({encoder.kind}) has none: use a MixturePrior."
            )
        self.pseudo_inputs = self.add_weight(
            name="pseudo_inputs",
            shape=(self.components, *encoder.condition_shape),
            initializer=keras.initializers.RandomUniform(0.0, 1.0, seed=self.seed),
            constraint=_clipped,
            autocast=False,
        )
        if encoder(self.pseudo_inputs).reparameterization_type != tfd.FULLY_REPARAMETERIZED:
            raise InputError(
                "A VampPrior trains its pseudo-inputs through samples and densities of q(z|u), and "
                f"this encoder ({encoder.kind}) is discrete: use a fixed prior."
            )

    @property
    def pathwise(self) -> bool:
        return True

    def start_from(self, images: Any) -> None:
        """Sets the initial pseudo-inputs to images [K, H, W, C] with values in [0, 1].

        Raises:
          InputError: they have another shape, or values outside of [0, 1].
        """
        images = np.asarray(images, np.float32)
        if images.shape != tuple(self.pseudo_inputs.shape):
            raise InputError(
                f"The first pseudo-inputs have shape {images.shape}: give "
                f"{tuple(self.pseudo_inputs.shape)}, one image for each component."
            )
        if not (images.min() >= 0.0 and images.max() <= 1.0):
            raise InputError(
                f"The first pseudo-inputs have values from {images.min():g} to {images.max():g}: "
                "scale the images to [0, 1]."
            )
        self.pseudo_inputs.assign(images)

    def call(self) -> Any:
        posteriors = self.encoder(tf.convert_to_tensor(self.pseudo_inputs), training=False)
        equal = tfd.Categorical(logits=tf.zeros(self.components))
        return tfd.MixtureSameFamily(equal, posteriors)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "components": self.components, "seed": self.seed}


def _clipped(images: Any) -> Any:
    """Returns min(max(u, 0), 1), which the optimizer applies after every step."""
    return keras.ops.clip(images, 0.0, 1.0)
