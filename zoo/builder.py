"""From a declaration and a choice of networks to a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo import family, likelihoods, networks, priors, terms
from zoo.conditionals import Conditional
from zoo.errors import InputError
from zoo.lagrangian import Lagrangian
from zoo.model import LagrangianModel, check_trainable
from zoo.objective import Objective


def build(
    model: str | Objective,
    image_shape: Sequence[int] = (28, 28, 1),
    latent_dim: int = 16,
    network: str = "mlp",
    *,
    likelihood: str | likelihoods.Family = "bernoulli",
    posterior: str | likelihoods.Family = "normal",
    prior: Any = None,
    spectral_norm: bool = False,
    network_options: Mapping[str, Any] | None = None,
    term_options: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    **parameters: Any,
) -> LagrangianModel:
    """Builds a model of the family, ready to `compile` and `fit`.

    Args:
      model: a name of `zoo.names()`, or any admissible `zoo.Objective`.
      image_shape: [H, W, C].
      latent_dim: K, the length of z.
      network: "mlp" or "dcgan".
      likelihood: the family of p(x|z): "bernoulli", "normal", "laplace", or one with options.
      posterior: the family of q(z|x); "normal" has a scale for every element.
      prior: p(z), any tfd distribution over [latent_dim]; standard normal if None.
      spectral_norm: whether critics are spectrally normalised.
      network_options: the network's own options, e.g. {"hidden": (512, 512)}.
      term_options: term name -> its estimator's options, e.g. {"JS_xz": {"r1_gamma": 1.0}}.
      seed: of the initial weights and of all noise.
      **parameters: the named model's own parameters, e.g. beta=4.

    Raises:
      InputError: an unknown name, parameter or option, an objective that is not admissible, or
        a term that no estimator trains.
    """
    if isinstance(model, Objective):
        if parameters:
            raise InputError(f"An Objective takes no parameters; remove {sorted(parameters)}.")
        objective = model
    else:
        objective = family.objective(model, **parameters)
    if objective.implicit_encoder:
        raise InputError(
            f"{objective.name} needs an implicit encoder, which no network here has yet: "
            "choose an objective with an explicit encoder, like 'vae'."
        )
    image_shape = tuple(int(size) for size in image_shape)
    prior = priors.standard_normal(latent_dim) if prior is None else prior
    if priors.latent_dim(prior) != latent_dim:
        raise InputError(
            f"The prior is over {priors.latent_dim(prior)} dimensions and latent_dim is "
            f"{latent_dim}: make them equal."
        )
    if isinstance(likelihood, str):
        likelihood = likelihoods.family(likelihood)
    if posterior in ("normal", "laplace"):
        posterior = likelihoods.family(posterior, scale="per_element")
    elif isinstance(posterior, str):
        posterior = likelihoods.family(posterior)

    layers = networks.get(network)
    options = {**(network_options or {}), "seed": seed}
    encoder = layers.encoder(image_shape, latent_dim * posterior.params_per_element, **options)
    decoder = layers.decoder(latent_dim, image_shape, likelihood.params_per_element, **options)
    critic_of = {
        "x": lambda **o: layers.critic_x(image_shape, **o),
        "z": lambda **o: layers.critic_z(latent_dim, **o),
        "xz": lambda **o: layers.critic_xz(image_shape, latent_dim, **o),
    }
    form = objective.tractable()
    names = Lagrangian(form).terms
    check_trainable(names, objective.name)
    return LagrangianModel(
        objective,
        Conditional(encoder, posterior, (latent_dim,), name="encoder"),
        Conditional(decoder, likelihood, image_shape, name="decoder"),
        prior,
        critics={
            name: critic_of[space](spectral_norm=spectral_norm, **options)
            for name in names
            if (space := terms.critic_space(name))
        },
        term_options=term_options,
        seed=seed,
        name=objective.name,
    )
