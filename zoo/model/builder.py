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
      model: a name of `zoo.names()`, or any admissible `zoo.Objective`.
      image_shape: [H, W, C]; (28, 28, 1) if neither it nor x_shape is given.
      latent_dim: K, the length of z.
      network: "mlp" or "dcgan"; "resnet", "unet", "similarity" or "mlp" where z is images; or your
        own, "my_parts:name", see `zoo.networks.get`.
      x_shape: of x that is no image, such as (13,) for vectors. A table's likelihood knows it.
      encoder, decoder: your own Keras models in place of the network's, Functional or subclassed:
        [B, *image_shape] -> the parameters of q(z|x), 2 * latent_dim for a normal one, and
        [B, K] -> [B, H, W, C * the parameters of an element of p(x|z)]. An implicit encoder takes
        [x, noise] and returns z [B, K]. Where z is images, [B, *latent_shape] stands for [B, K].
      critics: term name -> your own Keras model, {"JS_xz": model}: x, z or the list [x, z] to one
        logit per example, [B] or [B, 1].
      condition: the number of classes K of a condition c, given as whole numbers from 0 to K - 1,
        which q(z|x,c), p(x|z,c) and critics read as one-hot vectors; see `LagrangianModel`. Your
        own networks then take one more input, the last: [x, c], [z, c], or [x, z, c].
      condition_shape: in its place, the shape of one example of a condition of floats.
      latents: z as named blocks, "categorical(10), uniform(2), noise(62)", in place of latent_dim,
        posterior and prior; see `zoo.distributions.latents`.
      latent_shape: [H', W', C'] where z is images of a second data set, and batches are pairs
        (x, z) of both. Then q(z|x) is of the family of p(x|z), and a translation, as others see
        it, is its mean.
      likelihood: the family of p(x|z): "bernoulli", "normal", "laplace", one with options, or one
        of your own; see `zoo.distributions.likelihoods.register`. Or a table, `zoo.tables.fit(
        frame)`; `zoo.distributions.tables.TableLikelihood` is the same with options.
      posterior: the family of q(z|x); "normal" has a scale for every element.
      prior: p(z), any tfd distribution over [latent_dim], whose trainable variables are trained;
        a layer that learns, such as `zoo.priors.MixturePrior(50)`, or its text, "mixture:50",
        "vamp:500"; standard normal if None.
      noise_dim: the length of the noise that an implicit encoder turns into z.
      precision: of the products in training, "float32" or "bfloat16"; sums, weights and log
        densities are float32.
      spectral_norm: whether the network's critics are spectrally normalised; None:
        `zoo.objectives.critic_defaults` says so, or, of critics without company, that they pay R1.
        Your own are as you make them.
      share_features: whether the encoder reads the features of the critic of images and trains
        its own last layers alone, as in InfoGAN; see `zoo.critics.features`.
      network_options: the network's own options, e.g. {"hidden": (512, 512)}; each part takes
        those it has, and {"critic_x.hidden": (256,)} is for one part. Critics of codes under a
        learned constraint have sizes of their own: `zoo.objectives.critic_defaults.critic_options`.
      term_options: term name -> its estimator's options, e.g. {"JS_xz": {"r1_gamma": 1.0}}.
      multiplier_rule: how learned multipliers move: "projected", "geco", "pi", "augmented", or
        one with options; by the sign of alpha if None.
      slacks: the slack of each learned constraint; `zoo.objectives.tolerances.slacks` if None.
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
