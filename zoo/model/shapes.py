"""The shape of x, and what is only for x of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo import priors
from zoo.distributions.likelihoods import Likelihood
from zoo.errors import InputError

DEFAULT_IMAGE = (28, 28, 1)
IMAGE_NETWORKS = ("dcgan", "resnet", "similarity", "unet")


def shape_of_x(
    image_shape: Sequence[int] | None,
    x_shape: Sequence[int] | None,
    likelihood: Likelihood,
    network: str,
) -> tuple[int, ...]:
    """Returns the shape of x, one example.

    Raises:
      InputError: both shapes are given, the likelihood is of another, or the network is for images
        and x is none.
    """
    if image_shape is not None and x_shape is not None:
        raise InputError(
            f"image_shape={tuple(image_shape)} and x_shape={tuple(x_shape)} are both the shape of "
            "x: give image_shape for images, x_shape for anything else."
        )
    given = image_shape if image_shape is not None else x_shape
    given = likelihood.shape or DEFAULT_IMAGE if given is None else given
    shape = tuple(int(size) for size in given)
    if likelihood.shape not in (None, shape):
        raise InputError(
            f"x has shape {shape}, and the {likelihood.name} likelihood is of x of shape "
            f"{likelihood.shape}: leave {'x_shape' if image_shape is None else 'image_shape'} out."
        )
    if len(shape) != 3 and network in IMAGE_NETWORKS:
        raise InputError(
            f"The {network} network is for images [H, W, C], and x has shape {shape}: use the mlp "
            "network."
        )
    return shape


def check_prior(prior: Any, likelihood: Likelihood) -> None:
    """Raises InputError for a VampPrior over rows of a table: its pseudo-inputs stay in [0, 1]."""
    if isinstance(prior, priors.VampPrior) and likelihood.shape is not None:
        raise InputError(
            "The pseudo-inputs of a VampPrior are images with pixels from 0 to 1, and x is rows of "
            "a table: use prior='mixture:50'."
        )
