"""LagrangianModel: any admissible objective of the family as a Keras model, with one train_step."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras
import tensorflow as tf

from zoo import multipliers, networks, priors, terms  # noqa: F401
from zoo.critics.features import FeatureConditional
from zoo.critics.sample_history import SampleHistory

# latents, tables and networks register what a saved model may be made of.
from zoo.distributions import latents, probes, tables  # noqa: F401
from zoo.distributions.conditionals import BaseConditional, stateless_seed
from zoo.errors import InputError
from zoo.model.lagrangian import Lagrangian
from zoo.model.own_data import TakesOwnData
from zoo.model.running_means import RunningMeans
from zoo.model.step import LagrangianStep
from zoo.model.weight_averages import WeightAverages
from zoo.networks import own
from zoo.objectives import tolerances
from zoo.objectives.affine import rational
from zoo.objectives.capabilities import DECODER, ENCODER, PRIOR, Capabilities, check, lacking
from zoo.objectives.objective import Objective


@keras.saving.register_keras_serializable("zoo")
class LagrangianModel(TakesOwnData, LagrangianStep):
    """Encoder, decoder, prior and critics, trained on the tractable form of one objective.

    The step is `LagrangianStep`'s; players without variables are dropped. `fit` and `evaluate`
    take batches of x, or of (x, labels), whose labels are ignored; `TakesOwnData` says what x may
    be. Logs: `loss`, the Lagrangian
    sum_i c_i term_i - sum_j lambda_j eps_j without constants; each term by name; each learned
    constraint as "D: EXPRESSION" and its multiplier as "lambda: EXPRESSION". `evaluate` adds
    REC_x, RATE and `mse`, the squared error per element of reconstructions at the posterior mean,
    where q(z|x) and p(x|z) have the densities and means. All in nats per example but `mse`.

    The dual step aims at eps less `margins`, 0 unless somebody sets them: what a constraint costs
    more on data the model has not seen. With `feed` set, a function that makes a batch of images
    of what one step is given, `fit` takes blocks of several steps, each leaf [steps, ...], and
    runs a block as one program: batches are made where the model is, and no step waits for the
    host.

    Args:
      objective: what is trained, or its config.
      encoder: q(z|x), a Conditional, or an ImplicitConditional where no term needs its density,
        or a FeatureConditional of one of the critics.
      decoder: p(x|z).
      prior: p(z), any tfd distribution over vectors [K], whose trainable variables are trained; a
        layer that learns, `priors.Prior`; or `priors.Empirical` where z is a data set, and batches
        are (x, z).
      critics: term name -> Keras model giving one logit per example, for terms that need one.
      term_options: term name -> options of its estimator.
      multiplier_rule: how learned multipliers move; `zoo.multipliers.default` if None.
      slacks: the slack of each learned constraint, the unit of its violation.
      ema: decay of moving averages of encoder, decoder and prior, which `sample` uses; None for
        none.
      history: how many generated images critics are shown again, 0 for none; see `SampleHistory`.
      seed: all noise is a function of it and the step.

    Raises:
      InputError: the objective is not admissible, a critic is missing, the parts' shapes do not
        fit, a term needs what a part cannot do (`zoo.capabilities`), or one does not give a prior
        that learns its gradient (`priors.check_learned`).
    """

    def __init__(
        self,
        objective: Objective,
        encoder: BaseConditional,
        decoder: BaseConditional,
        prior: Any,
        critics: Mapping[str, keras.Model] | None = None,
        term_options: Mapping[str, Mapping[str, Any]] | None = None,
        multiplier_rule: multipliers.MultiplierRule | None = None,
        slacks: Sequence[float] | None = None,
        ema: float | None = None,
        history: int = 0,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.objective = objective
        self.lagrangian = Lagrangian(objective.tractable())
        self.encoder = encoder
        self.decoder = decoder
        self.prior_layer = priors.as_prior(prior)
        self.critics = dict(critics or {})
        self.term_options = {name: dict(o) for name, o in (term_options or {}).items()}
        self.seed = int(seed)
        if isinstance(self.encoder, FeatureConditional):
            self.encoder.read(self.critics)
        self.prior_layer.attach(self.encoder)
        self._check_shapes()
        self._terms = {name: self._term(name) for name in self.lagrangian.terms}
        priors.check_learned(self.prior_layer, self._terms)
        for name in (*self.critics, *self.term_options):
            if name not in self._terms:
                raise InputError(
                    f"{objective.name} trains {', '.join(self._terms)}: remove what is given "
                    f"for {name!r}."
                )
        self._check_critics()
        check(self._terms.values(), *self._offered)
        self._readings = {
            name: term for name, term in self._monitors().items() if name not in self._terms
        }
        self.slacks = [float(s) for s in slacks or tolerances.slacks(objective, {})]
        self.multipliers = multiplier_rule or multipliers.get(
            multipliers.default(rational(objective.alpha_q), rational(objective.alpha_p))
        )
        self.multipliers.start(
            self.lagrangian.initial_multipliers.tolist(),
            scale=self.slacks,
            size=self.lagrangian.fixed_size or 1.0,
            floors=self.lagrangian.floors,
        )
        self.margins = self.add_weight(
            name="margins",
            shape=(len(self.slacks),),
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )
        self.step = self.add_weight(
            name="step",
            shape=(),
            dtype="int64",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )
        self.feed = None
        self.ema, self.remembers = ema, history
        averaged = self.primal_variables + self.statistics
        self.averages = None if ema is None else WeightAverages(ema, averaged)
        generated = {"x_p": self.decoder.event_shape}
        if self.prior_layer.is_data:
            generated["z_q"] = self.encoder.event_shape
        self.histories = {
            name: SampleHistory(history, shape, name=f"history_{name}")
            for name, shape in generated.items()
            if history
        }
        self._batches = keras.metrics.Sum(name="batches", dtype="int64")
        errors = ("mse",) if self.has_mse else ()
        self._means = RunningMeans(("loss", *self._terms, *self._readings, *errors))
        self.built = True

    # The two conditionals and the prior

    @property
    def prior(self) -> Any:
        """p(z), a tfd distribution at the present weights of `prior_layer`."""
        return self.prior_layer.distribution

    def encode(self, x: Any) -> Any:
        """Returns q(z|x), a tfd distribution, for x [B, ...], or what `TakesOwnData` takes."""
        return self.encoder(_checked(self.as_x(x), self.encoder.condition_shape, "images"))

    def decode(self, z: Any) -> Any:
        """Returns p(x|z), a tfd distribution, for latents z [B, K]."""
        return self.decoder(_checked(z, self.decoder.condition_shape, "latents"))

    def reconstruct(self, x: Any) -> tf.Tensor:
        """Returns E[x|z] at the mean of q(z|x), [B, ...]; samples of what has no mean."""
        z = self.encoder.mean_or_sample(self.encode(x), [self.seed, 0])
        return self.decoder.mean_or_sample(self.decode(z), [self.seed, 1])

    def sample(self, n: int, seed: int = 0) -> tf.Tensor:
        """Returns E[x|z] for n draws z ~ p(z), [n, ...]; of the averaged weights, if any are.

        Where p(x|z) has no mean, x ~ p(x|z).
        """
        seeds = stateless_seed([self.seed, seed])
        with self.averaged():
            z = self.prior.sample(n, seed=seeds)
            return self.decoder.mean_or_sample(self.decode(z), seeds + 1)

    def averaged(self) -> AbstractContextManager[None]:
        """Returns a context in which all parts but critics have averaged weights, if any."""
        return contextlib.nullcontext() if self.averages is None else self.averages.in_place()

    def call(self, x: Any, training: bool = False) -> tf.Tensor:
        z = self.encoder.mean_or_sample(self.encoder(x, training=training))
        return self.decoder.mean_or_sample(self.decoder(z, training=training))

    def _batch(self, data: Any) -> tuple[tf.Tensor, tf.Tensor | None]:
        x, z, _ = keras.utils.unpack_x_y_sample_weight(data)
        x = _checked(self.as_x(x), self.encoder.condition_shape, "images")
        if not self.prior_layer.is_data:
            return x, None
        if z is None:
            raise InputError("The prior is a data set: give batches (x, z) of both.")
        return x, _checked(z, self.decoder.condition_shape, "latents")

    def _term(self, name: str) -> terms.Term:
        options = dict(self.term_options.get(name, {}))
        if name in self.objective.estimators:
            options.setdefault("estimator", self.objective.estimators[name])
        return terms.make(name, critic=self.critics.get(name), **options)

    def _monitors(self) -> dict[str, terms.Term]:
        """Returns what evaluation reads even where the objective does not train it."""
        names = ("REC_x", "REC_z" if self.prior_layer.is_data else "RATE")
        found = {name: self._term(name) for name in names}
        return {n: t for n, t in found.items() if not lacking(t, *self._offered)}

    @property
    def capabilities(self) -> dict[str, Capabilities]:
        """What q(z|x), p(x|z) and p(z) can do."""
        learned = bool(self.prior_layer.trainable_variables)
        found = dataclasses.replace(probes.of_prior(self.prior), trained=learned)
        if learned:
            # Samples of equal components carry the whole gradient, which TFP does not know.
            found = dataclasses.replace(found, reparameterised=self.prior_layer.pathwise)
        return {
            ENCODER: self.encoder.capabilities,
            DECODER: self.decoder.capabilities,
            PRIOR: found,
        }

    @property
    def _offered(self) -> tuple[dict[str, Capabilities], Any, Any]:
        """What terms are compared with: capabilities, and q(z|x) and p(z) by their kinds."""
        return self.capabilities, self.encoder.example(), self.prior

    def _check_shapes(self) -> None:
        latent, image = priors.event_shape(self.prior), self.decoder.event_shape
        for what, found, needed in (
            ("The encoder's latents", self.encoder.event_shape, latent),
            ("The decoder's input", self.decoder.condition_shape, latent),
            ("The encoder's input", self.encoder.condition_shape, image),
        ):
            if tuple(found) != tuple(needed):
                raise InputError(f"{what} have shape {found} where {needed} is needed.")

    def _check_critics(self) -> None:
        """Builds critics that are subclassed models, and checks what each takes and gives."""
        x, z = self.decoder.event_shape, priors.event_shape(self.prior)
        patches = isinstance(self.prior, priors.Empirical)
        for name, critic in self.critics.items():
            estimator = self.term_options.get(name, {}).get("estimator")
            space = terms.critic_space(name, estimator or self.objective.estimators.get(name))
            shapes = [{"x": x, "z": z}[part] for part in space or ""]
            what, gives = f"The critic of {name!r}", "one logit per example, [batch] or [batch, 1]"
            found = own.output_shape(critic, shapes, what, gives)
            if found not in ((), (1,)) and not (patches and len(found) == 1):
                raise InputError(
                    f"{what} returns shape {found} per example: return {gives}, as from a last "
                    "layer keras.layers.Dense(1)."
                )

    # Saving

    def get_config(self) -> dict[str, Any]:
        serialise = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "objective": self.objective.to_config(),
            "encoder": serialise(self.encoder),
            "decoder": serialise(self.decoder),
            "prior": priors.to_config(self.prior_layer),
            "critics": {name: serialise(critic) for name, critic in self.critics.items()},
            "term_options": self.term_options,
            "multiplier_rule": serialise(self.multipliers),
            "slacks": self.slacks,
            "ema": self.ema,
            "history": self.remembers,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> LagrangianModel:
        def read(part: Any) -> Any:
            return keras.saving.deserialize_keras_object(part, custom_objects)

        return cls(
            **{
                **config,
                "objective": Objective.from_config(config["objective"]),
                "encoder": read(config["encoder"]),
                "decoder": read(config["decoder"]),
                "prior": priors.from_config(config["prior"], custom_objects),
                "critics": {name: read(critic) for name, critic in config["critics"].items()},
                "multiplier_rule": read(config["multiplier_rule"]),
            }
        )

    def get_compile_config(self) -> dict[str, Any]:
        if not self.compiled:
            return {}
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "critic_optimizer": keras.saving.serialize_keras_object(self.critic_optimizer),
            "critic_steps": self.critic_steps,
            "run_eagerly": self.run_eagerly,
            "steps_per_execution": self.steps_per_execution,
            "jit_compile": self.jit_compile,
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))


def _checked(values: Any, shape: tuple, what: str) -> tf.Tensor:
    tensor = tf.convert_to_tensor(values)
    if not tensor.dtype.is_floating:
        raise InputError(
            f"These {what} are {tensor.dtype.name}: give floats, and pixels between 0 and 1."
        )
    tensor = tf.cast(tensor, tf.float32)
    expected = tf.TensorShape([None, *shape])
    if not expected.is_compatible_with(tensor.shape):
        raise InputError(
            f"These {what} have shape {_shape_text(tensor.shape)}: the model needs "
            f"{_shape_text(expected)}."
        )
    return tensor


def _shape_text(shape: tf.TensorShape) -> str:
    return f"({', '.join('batch' if size is None else str(size) for size in shape)})"
