"""From a declaration and a choice of networks to a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from zoo import multipliers, priors, terms
from zoo.condition import Condition
from zoo.critics.features import FeatureConditional, features_of
from zoo.distributions import likelihoods
from zoo.distributions.conditionals import BaseConditional, Conditional, ImplicitConditional
from zoo.distributions.latents import parse as latents_of
from zoo.distributions.tables import TableLikelihood
from zoo.errors import InputError, unknown
from zoo.model.lagrangian import Lagrangian
from zoo.model.lagrangian_model import LagrangianModel
from zoo.model.parts import Parts
from zoo.model.shapes import check_prior, shape_of_x
from zoo.objectives import family
from zoo.objectives.critic_defaults import critic_options, normalises_critics, r1_gamma
from zoo.objectives.objective import Objective
from zoo.tables.table import Table
from zoo.terms.critic import PENALTIES


def build(
    model: str | Objective,
    image_shape: Sequence[int] | None = None,
    latent_dim: int = 16,
    network: str = "mlp",
    *,
    x_shape: Sequence[int] | None = None,
    encoder: keras.Model | None = None,
    decoder: keras.Model | None = None,
    critics: Mapping[str, keras.Model] | None = None,
    condition: int | None = None,
    condition_shape: Sequence[int] | None = None,
    latents: str | None = None,
    latent_shape: Sequence[int] | None = None,
    likelihood: str | likelihoods.Likelihood | Table = "bernoulli",
    posterior: str | likelihoods.Likelihood = "normal",
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
      model: a name in `zoo.names()`, or any admissible `zoo.Objective`.
      image_shape: [H, W, C] of an image; (28, 28, 1) if neither it nor x_shape is given.
      latent_dim: K, the length of z.
      network: "mlp" or "dcgan"; "resnet", "unet", "similarity" or "mlp" if z is an image; or your
        own, "my_parts:name", see `zoo.networks.get`.
      x_shape: the shape of x if it is not an image, such as (13,) for vectors. A table's
        likelihood has it already.
      encoder, decoder: your own Keras models, Functional or subclassed, instead of the network's.
        Encoder: [B, *image_shape] -> the parameters of q(z|x), 2 * latent_dim of them for a normal
        distribution. Decoder: [B, K] -> [B, H, W, C * P], with P parameters for each element of
        p(x|z). An implicit encoder takes [x, noise] and returns z [B, K]. If z is an image,
        replace [B, K] by [B, *latent_shape].
      critics: term name -> your own Keras model, {"JS_xz": model}. It takes x, z or the list
        [x, z], and returns one logit per example, [B] or [B, 1].
      condition: the number of classes K of a condition c. c is a whole number from 0 to K - 1 for
        each example; q(z|x,c), p(x|z,c) and critics read it as a one-hot vector. Your own networks
        take it as their last input: [x, c], [z, c] or [x, z, c]. See `LagrangianModel`.
      condition_shape: the shape of one example of a condition of floats; replaces condition.
      latents: z as named blocks, "categorical(10), uniform(2), noise(62)"; replaces latent_dim,
        posterior and prior. See `zoo.distributions.latents`.
      latent_shape: [H', W', C'] if z is an image from a second data set, and batches are pairs
        (x, z). Then q(z|x) has the family of p(x|z). Critics receive the mean of a translation.
      likelihood: the family of p(x|z): "bernoulli", "normal", "laplace", one of these with options,
        your own (see `zoo.distributions.likelihoods.register`), or a table made by
        `zoo.tables.fit(frame)`. `zoo.distributions.tables.TableLikelihood` is a table with options.
      posterior: the family of q(z|x); "normal" has a scale for every element.
      prior: p(z). A tfd distribution over [latent_dim], whose trainable variables are trained; a
        learned prior such as `zoo.priors.MixturePrior(50)`; or its text, "mixture:50" or
        "vamp:500". None is the standard normal.
      noise_dim: the length of the noise that an implicit encoder reads.
      precision: of matrix products in training, "float32" or "bfloat16". Sums, weights and log
        densities are float32.
      spectral_norm: whether the network's critics are spectrally normalised. None follows
        `zoo.objectives.critic_defaults`, which may choose R1 instead. Your own critics are not
        changed.
      share_features: whether the encoder reads the features of the critic of images and trains
        only its last layers, as in InfoGAN; see `zoo.critics.features`.
      network_options: options of the network, such as {"hidden": (512, 512)}. Each part takes those
        that it has; {"critic_x.hidden": (256,)} is for one part. Critics of codes under a learned
        constraint have other default sizes: `zoo.objectives.critic_defaults.critic_options`.
      term_options: term name -> options of its estimator, such as {"JS_xz": {"r1_gamma": 1.0}}.
      multiplier_rule: how learned multipliers move: "projected", "geco", "pi", "augmented", or one
        of these with options. None chooses by the sign of alpha.
      slacks: the slack of each learned constraint, the unit in which its violation is counted;
        `zoo.objectives.tolerances.slacks` if None.
      ema, history: see `LagrangianModel`.
      seed: the seed of initial weights and of all noise.
      **parameters: parameters of the named model, such as beta=4.

    Raises:
      InputError: a name, parameter or option is unknown, the objective is not admissible, parts do
        not fit together, or a part lacks what a term needs.
    """
    if isinstance(model, Objective):
        if parameters:
            raise InputError(f"An Objective takes no parameters; remove {sorted(parameters)}.")
        objective = model
    else:
        objective = family.objective(model, **parameters)
    names = Lagrangian(objective.tractable()).terms
    options = {term: dict(of_term) for term, of_term in (term_options or {}).items()}
    if isinstance(multiplier_rule, str):
        multiplier_rule = multipliers.get(multiplier_rule)
    if isinstance(likelihood, str):
        likelihood = likelihoods.family(likelihood)
    if isinstance(likelihood, Table):
        likelihood = TableLikelihood(likelihood)
    image_shape = shape_of_x(image_shape, x_shape, likelihood, network)
    network_options = {**critic_options(objective, network), **(network_options or {})}
    c = Condition.of(condition, condition_shape)
    c_shape = None if c is None else c.shape
    common = {"precision": precision, "seed": seed}
    if c is not None:
        common["condition_shape"] = c.shape
        if latent_shape is not None:
            raise InputError("Where z is images there is no condition: leave out condition.")
        if share_features:
            raise InputError("A critic's features include no condition: leave out share_features.")
    parts = {"encoder": encoder, "decoder": decoder, **(critics or {})}
    given = {part: network_of for part, network_of in parts.items() if network_of is not None}
    make = Parts(network, network_options, common, given)
    if isinstance(prior, str):
        prior = priors.named(prior, latent_dim, seed)
    check_prior(prior, likelihood)
    q: BaseConditional
    if latent_shape is not None:
        if prior is not None:
            raise InputError("Where z is images its prior is their data set: leave out prior=.")
        q, p, prior = _between_images(
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
    needed = [name for name, space in spaces.items() if space]
    for name in critics or {}:
        if name not in needed and not needed:
            raise InputError(f"{objective.name} has no critics: leave out critics=.")
        if name not in needed:
            raise unknown(f"critic of {objective.name}", str(name), needed)
    for name, space in spaces.items():
        if space and spectral_norm:
            make.require_normalised(name, space)
        gamma = r1_gamma(objective, space) if space and not spectral_norm else 0.0
        if gamma and not set(PENALTIES) & set(options.get(name, {})):
            options.setdefault(name, {})["r1_gamma"] = gamma
    if spectral_norm is None:
        spectral_norm = normalises_critics(objective)
    played = {
        name: make.critic(name, space, image_shape, latent_event, spectral_norm)
        for name, space in spaces.items()
        if space
    }
    if share_features and encoder is not None:
        raise InputError("share_features makes the encoder of a critic's features: drop encoder=.")
    shared = _shared(objective, spaces, latent_shape) if share_features else None
    if latent_shape is None:
        (latent_dim,) = latent_event
        of_x = image_shape if make.given("encoder") else None
        of_z = (latent_dim,) if make.given("decoder") else None
        if objective.implicit_encoder:
            network_of = make("encoder", "implicit_encoder", image_shape, latent_dim, noise_dim)
            q = ImplicitConditional(
                network_of, noise_dim, condition_shape=of_x, c_shape=c_shape, name="encoder"
            )
        else:
            (outputs,) = encoded.params_shape((latent_dim,))
            if shared is None:
                network_of = make("encoder", "encoder", image_shape, outputs)
                q = Conditional(network_of, encoded, (latent_dim,), of_x, c_shape, name="encoder")
            else:
                network_of = make.head(features_of(played[shared]), outputs)
                q = FeatureConditional(network_of, encoded, (latent_dim,), shared, name="encoder")
        sizes: tuple[Any, ...] = image_shape, likelihood.params_per_element
        if len(image_shape) == 1:  # of a table, columns have different numbers of parameters
            sizes = likelihood.params_shape(image_shape), 1
        network_of = make("decoder", "decoder", latent_dim, *sizes)
        p = Conditional(network_of, likelihood, image_shape, of_z, c_shape, name="decoder")
    return LagrangianModel(
        objective,
        q,
        p,
        prior,
        critics=played,
        term_options=options,
        multiplier_rule=multiplier_rule,
        slacks=slacks,
        ema=ema,
        history=history,
        seed=seed,
        precision=precision,
        condition=c,
        name=objective.name,
    )


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
    text: str | None, latent_dim: int, prior: Any, posterior: str | likelihoods.Likelihood
) -> tuple[Any, likelihoods.Likelihood]:
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
    likelihood: likelihoods.Likelihood,
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
    there = make("encoder", "translator", image_shape, latent_shape, per_element, **options)
    options["seed"] = make.other_seed
    back = make("decoder", "translator", latent_shape, image_shape, per_element, **options)
    of_x = image_shape if make.given("encoder") else None
    of_z = latent_shape if make.given("decoder") else None
    return (
        Conditional(there, likelihood, latent_shape, of_x, name="encoder"),
        Conditional(back, likelihood, image_shape, of_z, name="decoder"),
        priors.Empirical(latent_shape),
    )
