"""Priors p(z): fixed distributions, data sets of latents, and learned priors."""

from __future__ import annotations

from typing import Any

from zoo.objectives import prior_names
from zoo.priors.fixed import Empirical, event_shape, is_data, latent_dim, standard_normal
from zoo.priors.layer import Prior, as_prior, check_learned, from_config, to_config
from zoo.priors.mixture import MixturePrior
from zoo.priors.vamp import VampPrior
from zoo.priors.written import deserialise, serialise

__all__ = [
    "Empirical",
    "MixturePrior",
    "Prior",
    "VampPrior",
    "as_prior",
    "check_learned",
    "deserialise",
    "event_shape",
    "from_config",
    "is_data",
    "latent_dim",
    "named",
    "serialise",
    "standard_normal",
    "to_config",
]


def named(text: str, latent_dim: int, seed: int = 0) -> Any:
    """Returns the prior that `text` names: standard_normal, mixture:K or vamp:K.

    `seed` determines a learned prior's initial weights. Raises InputError as
    `zoo.objectives.prior_names.parse`.
    """
    name = prior_names.parse(text)
    match name.kind:
        case "mixture":
            weights = "equal" if name.equal else "learned"
            return MixturePrior(name.components, weights, seed=seed)
        case "vamp":
            return VampPrior(name.components, seed)
    return standard_normal(latent_dim)
