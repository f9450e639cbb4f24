"""From a declaration and a choice of networks to a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from zoo import family, likelihoods, multipliers, networks, priors, terms
from zoo.conditionals import Conditional, ImplicitConditional
from zoo.errors import InputError, unknown
from zoo.features import FeatureConditional, features_of
from zoo.lagrangian import Lagrangian
from zoo.latents import parse as latents_of
from zoo.model import LagrangianModel
from zoo.normalization import critic_options, normalises_critics, r1_gamma
from zoo.objective import Objective
from zoo.terms.critic import PENALTIES

HEAD = (128,)  # as InfoGAN's: Chen et al. 2016, appendix C.1


def build(
    model: str | Objective,
    image_shape: Sequence[int] = (28, 28, 1),
    latent_dim: int = 16,
    network: str = "mlp",
    *,
    latents: str | None = None,
    latent_shape: Sequence[int] | None = None,
    likelihood: str | likelihoods.Family = "bernoulli",
    posterior: str | likelihoods.Family = "normal",
    prior: Any = None,
    noise_dim: int = 64,
    precision: str = "float32",
    spectral_norm: bool | None = None,
    share_features: bool = False,
    network_options: Mapping[str, Any] | None = None,
    term_options: Mapping[str, Mapping[str, Any]] | None = None,
    multiplier_rule: str | multipliers.MultiplierRule | None = None,
    slacks: Sequence[float] | None = None,
    ema: float | None = None,
    history: int = 0,
    seed: int = 0,
    **parameters: Any,
) -> LagrangianModel:
    """Builds a model of the family, ready to `compile` and `fit`.

    Args:
      model: a name of `zoo.names()`, or any admissible `zoo.Objective`.
      image_shape: [H, W, C].
      latent_dim: K, the length of z.
      network: "mlp" or "dcgan"; "resnet", "unet", "similarity" or "mlp" where z is images.
      latents: z as named blocks, "categorical(10), uniform(2), noise(62)", in place of latent_dim,
        posterior and prior; see `zoo.latents`.
      latent_shape: [H', W', C'] where z is images of a second data set, and batches are pairs
        (x, z) of both. Then q(z|x) is of the family of p(x|z), and a translation, as others see
        it, is its mean.
      likelihood: the family of p(x|z): "bernoulli", "normal", "laplace", one with options, or one
        of your own; see `zoo.likelihoods.register`.
      posterior: the family of q(z|x); "normal" has a scale for every element.
      prior: p(z), any tfd distribution over [latent_dim], whose trainable variables are trained;
        a layer that learns, such as `zoo.priors.MixturePrior(50)`, or its text, "mixture:50",
        "vamp:500"; standard normal if None.
      noise_dim: the length of the noise that an implicit encoder turns into z.
      precision: of the products in training, "float32" or "bfloat16"; sums, weights and log
        densities are float32.
      spectral_norm: whether critics are spectrally normalised; None: `zoo.normalization` says so,
        or, of critics without company, that they pay R1.
      share_features: whether the encoder reads the features of the critic of images and trains
        its own last layers alone, as in InfoGAN; see `zoo.features`.
      network_options: the network's own options, e.g. {"hidden": (512, 512)}; each part takes
        those it has, and {"critic_x.hidden": (256,)} is for one part. Critics of codes under a
        learned constraint have sizes of their own: `zoo.normalization.critic_options`.
      term_options: term name -> its estimator's options, e.g. {"JS_xz": {"r1_gamma": 1.0}}.
      multiplier_rule: how learned multipliers move: "projected", "geco", "pi", "augmented", or
        one with options; by the sign of alpha if None.
      slacks: the slack of each learned constraint; `zoo.slack.slacks` if None.
      ema, history: see `LagrangianModel`.
      seed: of the initial weights and of all noise.
      **parameters: the named model's own parameters, e.g. beta=4.

    Raises:
      InputError: an unknown name, parameter or option, an objective that is not admissible, or
        parts that do not fit together, or that a term needs more of than they can do.
    """
    if isinstance(model, Objective):
        if parameters:
            raise InputError(f"An Objective takes no parameters; remove {sorted(parameters)}.")
        objective = model
    else:
        objective = family.objective(model, **parameters)
    image_shape = tuple(int(size) for size in image_shape)
    names = Lagrangian(objective.tractable()).terms
    options = {term: dict(of_term) for term, of_term in (term_options or {}).items()}
    if isinstance(multiplier_rule, str):
        multiplier_rule = multipliers.get(multiplier_rule)
    if isinstance(likelihood, str):
        likelihood = likelihoods.family(likelihood)
    network_options = {**critic_options(objective, network), **(network_options or {})}
    make = Parts(network, network_options, {"precision": precision, "seed": seed})
    if isinstance(prior, str):
        prior = priors.named(prior, latent_dim, seed)
    if latent_shape is not None:
        if prior is not None:
            raise InputError("Where z is images its prior is their data set: leave out prior=.")
        encoder, decoder, prior = _between_images(
            make, image_shape, tuple(int(size) for size in latent_shape), likelihood, objective
        )
    else:
        prior, encoded = _latent(latents, latent_dim, prior, posterior)
    learned = isinstance(prior, priors.Prior)
    latent_event = (latent_dim,) if learned else priors.event_shape(prior)
    spaces = {
        name: terms.critic_space(
            name, options.get(name, {}).get("estimator", objective.estimators.get(name))
        )
        for name in names
    }
    for name, space in spaces.items():
        gamma = r1_gamma(objective, space) if space and not spectral_norm else 0.0
        if gamma and not set(PENALTIES) & set(options.get(name, {})):
            options.setdefault(name, {})["r1_gamma"] = gamma
    if spectral_norm is None:
        spectral_norm = normalises_critics(objective)
    critics = {
        name: make.critic(space, image_shape, latent_event, spectral_norm)
        for name, space in spaces.items()
        if space
    }
    shared = _shared(objective, spaces, latent_shape) if share_features else None
    if latent_shape is None:
        (latent_dim,) = latent_event
        if objective.implicit_encoder:
            network_of = make("implicit_encoder", image_shape, latent_dim, noise_dim)
            encoder = ImplicitConditional(network_of, noise_dim, name="encoder")
        else:
            (outputs,) = encoded.params_shape((latent_dim,))
            if shared is None:
                network_of = make("encoder", image_shape, outputs)
                encoder = Conditional(network_of, encoded, (latent_dim,), name="encoder")
            else:
                network_of = make.head(features_of(critics[shared]), outputs)
                encoder = FeatureConditional(
                    network_of, encoded, (latent_dim,), shared, name="encoder"
                )
        decoder = Conditional(
            make("decoder", latent_dim, image_shape, likelihood.params_per_element),
            likelihood,
            image_shape,
            name="decoder",
        )
    return LagrangianModel(
        objective,
        encoder,
        decoder,
        prior,
        critics=critics,
        term_options=options,
        multiplier_rule=multiplier_rule,
        slacks=slacks,
        ema=ema,
        history=history,
        seed=seed,
        name=objective.name,
    )


# What `build` decides by arguments of its own, or by the likelihood.
_DECIDED = {"precision", "seed", "spectral_norm", "squash"}


class Parts:
    """Makes the parts of one network by their roles, with those of the options each has.

    An option "ROLE.OPTION" is for that role alone, and stronger than "OPTION". `common` are the
    options of all parts that nobody chooses by name.
    """

    def __init__(self, network: str, options: Mapping[str, Any], common: Mapping[str, Any]):
        self._network = network
        self._roles = networks.roles(network)
        self._options, self._common = dict(options), dict(common)
        known = {name: set(role.options) - _DECIDED for name, role in self._roles.items()}
        names = set().union(*known.values())
        names |= {f"{role}.{option}" for role, own in known.items() for option in own}
        for option in options:
            if option not in names:
                raise unknown(f"option of {network!r}", option, names)

    def __call__(self, role: str, *sizes: Any, **more: Any) -> Any:
        if role not in self._roles:
            raise InputError(
                f"The {self._network} network has no {role}: it has {', '.join(self._roles)}."
            )
        taken = {}
        for name in self._roles[role].options:
            for options, key in (
                (self._common, name),
                (self._options, name),
                (self._options, f"{role}.{name}"),
            ):
                if key in options:
                    taken[name] = options[key]
        return self._roles[role](*sizes, **{**taken, **more})

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
        """A seed for a second network of a role, which would else begin as a copy of the first."""
        return int(self._common["seed"]) + 1

    def critic(
        self, space: str, image_shape: tuple, latent_shape: tuple, spectral_norm: bool
    ) -> Any:
        """Returns a critic on x, z or both; one of images where z is images."""
        if space == "z" and len(latent_shape) > 1:
            seed = self.other_seed
            return self("critic_x", latent_shape, spectral_norm=spectral_norm, seed=seed)
        latent_size = latent_shape[0] if len(latent_shape) == 1 else latent_shape
        sizes = {"x": (image_shape,), "z": (latent_size,), "xz": (image_shape, latent_size)}
        return self(f"critic_{space}", *sizes[space], spectral_norm=spectral_norm)


def _shared(objective: Objective, spaces: Mapping[str, str | None], latent_shape: Any) -> str:
    """Returns the term whose critic's features the encoder reads: the first on x alone."""
    for name, space in spaces.items():
        if space == "x" and latent_shape is None and not objective.implicit_encoder:
            return name
    raise InputError(
        f"The encoder of {objective.name} cannot share a critic's features: that needs a critic of "
        "x alone, an encoder with a density, and z that is no image, as infogan has."
    )


def _latent(
    text: str | None, latent_dim: int, prior: Any, posterior: str | likelihoods.Family
) -> tuple[Any, likelihoods.Family]:
    """Returns p(z) and the family of q(z|x)."""
    if text is not None:
        if prior is not None:
            raise InputError(f"The latents '{text}' have their own prior: leave out prior=.")
        blocks = latents_of(text)
        return blocks.prior, blocks.posterior
    prior = priors.standard_normal(latent_dim) if prior is None else prior
    if not isinstance(prior, priors.Prior) and priors.latent_dim(prior) != latent_dim:
        raise InputError(
            f"The prior is over {priors.latent_dim(prior)} dimensions and latent_dim is "
            f"{latent_dim}: make them equal."
        )
    if posterior in ("normal", "laplace"):
        posterior = likelihoods.family(posterior, scale="per_element")
    elif isinstance(posterior, str):
        posterior = likelihoods.family(posterior)
    return prior, posterior


def _between_images(
    make: Parts,
    image_shape: tuple[int, ...],
    latent_shape: tuple[int, ...],
    likelihood: likelihoods.Family,
    objective: Objective,
) -> tuple[Conditional, Conditional, Any]:
    """Returns q(z|x), p(x|z) and p(z) where z is images: two translators and a data set."""
    if objective.implicit_encoder:
        raise InputError(f"{objective.name} has an implicit encoder, which gives no images.")
    # Locations are pixels. Other parameters, such as logits, nothing may squash.
    options: dict[str, Any] = {"squash": "none"}
    if isinstance(likelihood, likelihoods.Normal | likelihoods.Laplace):
        likelihood = type(likelihood)(**{**likelihood.get_config(), "shows": "mean"})
        options["squash"] = "sigmoid"
    per_element = likelihood.params_per_element
    there = make("translator", image_shape, latent_shape, per_element, **options)
    options["seed"] = make.other_seed
    back = make("translator", latent_shape, image_shape, per_element, **options)
    return (
        Conditional(there, likelihood, latent_shape, name="encoder"),
        Conditional(back, likelihood, image_shape, name="decoder"),
        priors.Empirical(latent_shape),
    )
