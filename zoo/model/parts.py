"""The networks of a model's parts: built by role, or given by the user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from zoo import networks
from zoo.errors import InputError, unknown
from zoo.networks import own

HEAD = (128,)  # as in InfoGAN: Chen et al. 2016, appendix C.1
# Set by arguments of `build`, or by the likelihood.
_DECIDED = {"precision", "seed", "spectral_norm", "squash", "condition_shape"}


class Parts:
    """Builds the parts of one network by role; each part receives the options that it knows.

    An option "ROLE.OPTION" is for that role only, and overrides "OPTION". `common` are options
    applied to every part.

    Args:
      given: the user's models by part: "encoder", "decoder", or the name of a critic's term.
    """

    def __init__(
        self,
        network: str,
        options: Mapping[str, Any],
        common: Mapping[str, Any],
        given: Mapping[str, keras.Model],
    ):
        self._network = network
        self._roles = networks.roles(network)
        self._options, self._common = dict(options), dict(common)
        self._given = dict(given)
        for name, model in given.items():
            part = name in ("encoder", "decoder")
            own.model(model, f"The {name} given to build" if part else f"The critic of {name!r}")
        if len({id(model) for model in given.values()}) < len(given):
            raise InputError(
                f"One model was given for two of {', '.join(given)}: give each a separate model."
            )
        known = {name: set(role.options) - _DECIDED for name, role in self._roles.items()}
        names = set().union(*known.values())
        names |= {f"{role}.{option}" for role, its in known.items() for option in its}
        for option in options:
            if option not in names:
                if not names:
                    raise InputError(f"The network {network!r} has no options: drop {option!r}.")
                raise unknown(f"option of {network!r}", option, names)

    def given(self, name: str) -> bool:
        """Whether a part is a user's, so that its shapes must be measured."""
        return name in self._given or own.module_of(self._network) is not None

    def __call__(self, name: str, role: str, *sizes: Any, **more: Any) -> Any:
        """Returns the part called `name`: the given model, or one built by its role."""
        if name in self._given:
            return self._given[name]
        if role not in self._roles:
            raise InputError(
                f"The {self._network} network has no {role}: it has {', '.join(self._roles)}."
            )
        if "condition_shape" in self._common:
            self._require_condition(role)
        taken = {}
        for option in self._roles[role].options:
            for options, key in (
                (self._common, option),
                (self._options, option),
                (self._options, f"{role}.{option}"),
            ):
                if key in options:
                    taken[option] = options[key]
        if own.module_of(self._network) is not None:
            taken["seed"] = self._common["seed"]
        return self._roles[role](*sizes, **{**taken, **more})

    def _require_condition(self, role: str) -> None:
        if "condition_shape" not in self._roles[role].options:
            raise InputError(
                f"The {role} of the {self._network} network reads no condition: use mlp or dcgan, "
                "or give your own function a keyword condition_shape."
            )

    def head(self, features: keras.Model, outputs: int) -> keras.Model:
        """Returns the network from a critic's features to `outputs` parameters of q(z|x)."""
        return networks.mlp.encoder(
            features.output_shape[1:],
            outputs,
            hidden=HEAD,
            activation="leaky_relu",
            seed=self._common["seed"],
        )

    @property
    def other_seed(self) -> int:
        """Returns a seed for a second network of one role, so that its weights differ."""
        return int(self._common["seed"]) + 1

    def critic(
        self, term: str, space: str, image_shape: tuple, latent_shape: tuple, spectral_norm: bool
    ) -> Any:
        """Returns a term's critic on x, z or both; if z is images, it is a critic of images."""
        options: dict[str, Any] = {"spectral_norm": spectral_norm}
        if space == "z" and len(latent_shape) > 1:
            options["seed"] = self.other_seed
            return self(term, "critic_x", latent_shape, **options)
        latent_size = latent_shape[0] if len(latent_shape) == 1 else latent_shape
        sizes = {"x": (image_shape,), "z": (latent_size,), "xz": (image_shape, latent_size)}
        return self(term, f"critic_{space}", *sizes[space], **options)

    def require_normalised(self, term: str, space: str) -> None:
        """Raises InputError if `spectral_norm` cannot normalise a term's critic."""
        role = self._roles.get(f"critic_{space}")
        if term in self._given or (role and "spectral_norm" not in role.options):
            raise InputError(
                f"The critic of {term!r} is your own, which spectral_norm cannot change: leave "
                "spectral_norm out, and normalise its layers yourself."
            )
