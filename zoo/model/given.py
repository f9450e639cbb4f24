"""Conditional models: the model given one value of c, and the check that all parts read c."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from zoo.condition import Condition
from zoo.errors import InputError


class Given:
    """A conditional model at one c, with the interface of an unconditional model for metrics.

        metrics.rate_distortion(model.given(3), images_of_class_3)

    A measure of a conditional model is the mean over c of the measure given c.

    Args:
      model: a LagrangianModel with a condition.
      condition: one value of c: a class, or floats of the condition's shape.

    Raises:
      InputError: the model has no condition, or the value does not fit it.
    """

    def __init__(self, model: Any, condition: Any):
        if model.condition is None:
            raise InputError("This model has no condition: use it as it is.")
        model.condition.encoded(condition, 1)
        self.model = model
        self.condition = condition

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.model, name)

    def encode(self, x: Any) -> Any:
        """Returns q(z|x,c), a tfd distribution, for images x [B, ...]."""
        return self.model.encode(x, self.condition)

    def decode(self, z: Any) -> Any:
        """Returns p(x|z,c), a tfd distribution, for latents z [B, K]."""
        return self.model.decode(z, self.condition)

    def reconstruct(self, x: Any) -> tf.Tensor:
        """Returns `LagrangianModel.reconstruct` at c."""
        return self.model.reconstruct(x, self.condition)

    def sample(self, n: int, seed: int = 0) -> tf.Tensor:
        """Returns `LagrangianModel.sample` at c."""
        return self.model.sample(n, seed, self.condition)

    def draw(self, n: int, seed: int = 0) -> tf.Tensor:
        """Returns `LagrangianModel.draw` at c."""
        return self.model.draw(n, seed, self.condition)


def require_read(
    condition: Condition, model: Any, terms: Mapping[str, Any], history: int = 0
) -> None:
    """Raises InputError if a part of a model, or a term, would ignore the condition."""
    if model.prior_layer.is_data:
        raise InputError("A model whose z is a data set takes no condition: leave out condition.")
    if history:
        raise InputError(
            "A history keeps images without their condition, which critics read: leave out history."
        )
    for part in (model.encoder, model.decoder):
        if part.c_shape != condition.shape:
            raise InputError(
                f"The {part.name} reads a condition of shape {part.c_shape}, and the model's is "
                f"{condition.shape}: give it that c_shape."
            )
    allowed = ("any", "classes") if condition.classes else ("any",)
    for name, term in terms.items():
        if term.conditions not in allowed:
            raise InputError(
                f"{name} compares samples whatever their condition, so that the condition would "
                "not count: use a divergence with a critic, such as JS"
                + (", or MMD." if condition.classes else ".")
            )
