"""Networks: plain Keras models, layers only, by name."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from zoo import errors
from zoo.networks import dcgan, mlp, own, resnet, similarity, unet
from zoo.networks.construction import Role

_NETWORKS: dict[str, ModuleType] = {
    "dcgan": dcgan,
    "mlp": mlp,
    "resnet": resnet,
    "similarity": similarity,
    "unet": unet,
}


def names() -> list[str]:
    """Returns the names of the networks."""
    return sorted(_NETWORKS)


def get(name: str) -> Any:
    """Returns the network called `name`: its module, whose functions each build one role.

    "my_parts:name" is a user's own: the object `name` of the module my_parts, which has to be
    imported already. Its functions are the same, and need only be those that are used.

        encoder(image_shape, outputs)              [B, ...] -> [B, outputs]
        decoder(latent_dim, image_shape, params)   [B, K] -> [B, ..., C * params]
        critic_x(image_shape)                      [B, ...] -> [B]
        critic_z(latent_dim)                       [B, K] -> [B]
        critic_xz(image_shape, latent_dim)         [B, ...], [B, K] -> [B]

    With a keyword `condition_shape` each makes a network with one more input, c, the last but
    noise: [x, c], [z, c], [x, z, c] or [x, c, e].

    or, where z is images as x is ("resnet", "unet", "similarity", and "mlp" too):

        translator(image_shape, output_shape, params)   [B, H, W, C] -> [B, H, W, C' * params]
        critic_x(image_shape)                           [B, H, W, C] -> [B, P], one per patch

    Each takes keyword options, listed in its `.options`. Raises InputError for an unknown name.
    """
    if own.module_of(name) is not None:
        return own.find(name)
    if name not in _NETWORKS:
        raise errors.unknown("network", name, names())
    return _NETWORKS[name]


def roles(name: str) -> dict[str, Role]:
    """Returns the parts that the network called `name` has, by name; raises as `get`."""
    if own.module_of(name) is not None:
        return own.roles(name)
    return {role: f for role, f in vars(get(name)).items() if isinstance(f, Role)}
