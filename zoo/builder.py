"""From a declaration and a choice of networks to a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zoo import family, likelihoods, multipliers, networks, priors, terms
from zoo.conditionals import Conditional
from zoo.errors import InputError, unknown
from zoo.lagrangian import Lagrangian
from zoo.model import LagrangianModel, check_trainable
from zoo.normalization import normalises_critics
from zoo.objective import Objective

ROLES = ("encoder", "decoder", "critic_x", "critic_z", "critic_xz")


def build(
    model: str | Objective,
    image_shape: Sequence[int] = (28, 28, 1),
    latent_dim: int = 16,
    network: str = "mlp",
    *,
    likelihood: str | likelihoods.Family = "bernoulli",
    posterior: str | likelihoods.Family = "normal",
    prior: Any = None,
    spectral_norm: bool | None = None,
    network_options: Mapping[str, Any] | None = None,
    term_options: Mapping[str, Mapping[str, Any]] | None = None,
    multiplier_rule: str | multipliers.MultiplierRule | None = None,
    slacks: Sequence[float] | None = None,
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
      spectral_norm: whether critics are spectrally normalised; None: `normalises_critics` says.
      network_options: the network's own options, e.g. {"hidden": (512, 512)}; each part takes
        those it has.
      term_options: term name -> its estimator's options, e.g. {"JS_xz": {"r1_gamma": 1.0}}.
      multiplier_rule: how learned multipliers move: "projected", "geco", "pi", "augmented", or
        one with options; by the sign of alpha if None.
      slacks: the slack of each learned constraint; a tenth of its tolerance if None.
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

    if isinstance(multiplier_rule, str):
        multiplier_rule = multipliers.get(multiplier_rule)

    part = _parts(network, {**(network_options or {}), "seed": seed})
    encoder = part("encoder", image_shape, latent_dim * posterior.params_per_element)
    decoder = part("decoder", latent_dim, image_shape, likelihood.params_per_element)
    sizes = {"x": (image_shape,), "z": (latent_dim,), "xz": (image_shape, latent_dim)}
    form = objective.tractable()
    names = Lagrangian(form).terms
    check_trainable(names, objective.name)
    if spectral_norm is None:
        spectral_norm = normalises_critics(objective)
    return LagrangianModel(
        objective,
        Conditional(encoder, posterior, (latent_dim,), name="encoder"),
        Conditional(decoder, likelihood, image_shape, name="decoder"),
        prior,
        critics={
            name: part(f"critic_{space}", *sizes[space], spectral_norm=spectral_norm)
            for name in names
            if (space := terms.critic_space(name))
        },
        term_options=term_options,
        multiplier_rule=multiplier_rule,
        slacks=slacks,
        seed=seed,
        name=objective.name,
    )


def _parts(network: str, options: Mapping[str, Any]) -> Callable[..., Any]:
    """Returns a function that builds a part of the network by its role."""
    roles = {role: getattr(networks.get(network), role) for role in ROLES}
    known = {option for role in roles.values() for option in role.options}
    for option in options:
        if option not in known:
            raise unknown(f"option of {network!r}", option, known)

    def build_part(role: str, *sizes: Any, **more: Any) -> Any:
        taken = {name: value for name, value in options.items() if name in roles[role].options}
        return roles[role](*sizes, **taken, **more)

    return build_part
