"""Networks by name: plain Keras models."""

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
    """Returns the network called `name`: a module with one function per role.

    "my_parts:name" is a user's network: the object `name` of the module my_parts, which must be
    imported already. It needs only the functions that are used:

        encoder(image_shape, outputs)              [B, ...] -> [B, outputs]
        decoder(latent_dim, image_shape, params)   [B, K] -> [B, ..., C * params]
        critic_x(image_shape)                      [B, ...] -> [B]
        critic_z(latent_dim)                       [B, K] -> [B]
        critic_xz(image_shape, latent_dim)         [B, ...], [B, K] -> [B]

    With a keyword `condition_shape` each builds a network with one more input, c, which is last, or
    before noise e: [x, c], [z, c], [x, z, c] or [x, c, e].

    If z is images as well ("resnet", "unet", "similarity", and "mlp" too), the functions are:

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
    """Returns the roles of the network called `name`; raises as `get`."""
    if own.module_of(name) is not None:
        return own.roles(name)
    return {role: f for role, f in vars(get(name)).items() if isinstance(f, Role)}
