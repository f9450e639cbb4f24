"""LagrangianModel: any admissible objective of the family as a Keras model, with one train_step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo import multipliers, networks, priors, terms  # noqa: F401
from zoo.batch import Batch
from zoo.condition import Condition
from zoo.critics.features import FeatureConditional
from zoo.critics.sample_history import SampleHistory

# latents, tables and networks register what a saved model may be made of.
from zoo.distributions import latents, probes, tables  # noqa: F401
from zoo.distributions.conditionals import BaseConditional
from zoo.errors import InputError
from zoo.model.given import require_read
from zoo.model.inputs import checked
from zoo.model.lagrangian import Lagrangian
from zoo.model.queries import Queries
from zoo.model.running_means import RunningMeans
from zoo.model.step import LagrangianStep
from zoo.model.weight_averages import WeightAverages
from zoo.networks import own
from zoo.objectives import tolerances
from zoo.objectives.affine import rational
from zoo.objectives.capabilities import Capabilities, check, lacking
from zoo.objectives.objective import Objective


@keras.saving.register_keras_serializable("zoo")
class LagrangianModel(Queries, LagrangianStep):
    """Encoder, decoder, prior and critics, trained on the tractable form of one objective.

    `LagrangianStep` has the step. `fit` and `evaluate` take batches of x, or of (x, labels), whose
    labels are ignored; `zoo.model.own_data` says what x may be.

    A model with a condition c takes (x, c) or `zoo.batch.Batch`. Its joints are given c,

        q(x,z|c) = q(x|c) q(z|x,c),   p(x,z|c) = p(z) p(x|z,c),   c ~ q(c)

    and every term is the mean over c of its value given c, such as I_q(x;z|c) and
    E_q(c) KL(q(z|c)||p(z)) = KL(q(z,c)||p(z)q(c)). p(z) does not depend on c. The algebra holds for
    each c, and therefore for the mean.

    Logs, in nats per example: `loss`, the Lagrangian sum_i c_i term_i - sum_j lambda_j eps_j
    without constants; each term by name; each learned constraint as "D: EXPRESSION" and its
    multiplier as "lambda: EXPRESSION". `evaluate` adds REC_x and RATE if q(z|x) and p(x|z) have
    densities, and `mse`, the squared error per element of reconstructions from the posterior mean,
    if they have means.

    Args:
      objective: the objective, or its config.
      encoder: q(z|x): a Conditional; an ImplicitConditional if no term needs its density; or a
        FeatureConditional of one of the critics.
      decoder: p(x|z).
      prior: p(z): a tfd distribution over vectors [K], whose trainable variables are trained; a
        `priors.Prior` layer; or `priors.Empirical` if z is a data set and batches are (x, z).
      critics: term name -> Keras model that returns one logit per example, for terms that need one.
      term_options: term name -> options of its estimator.
      multiplier_rule: how learned multipliers move; `zoo.multipliers.default` if None.
      slacks: the slack of each learned constraint, the unit in which its violation is counted.
      ema: decay of moving averages of encoder, decoder and prior, used by `sample`; None for none.
      history: the number of generated images in the replay buffer of each critic of images, 0 for
        none; see `SampleHistory`.
      seed: all noise is a function of it and the step.
      precision: of matrix products in training, as `zoo.build` set it; recorded only.
      condition: the condition or its config; None for an unconditional model. Encoder and decoder
        have its shape as `c_shape`, and it is the last input of critics.

    Raises:
      InputError: the objective is not admissible, a critic is missing, the shapes of parts do not
        fit, a part lacks what a term needs (`zoo.objectives.capabilities`), or a term gives a
        learned prior no gradient (`priors.check_learned`).
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
        precision: str = "float32",
        condition: Condition | dict[str, Any] | None = None,
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
        self.seed, self.precision = int(seed), precision
        if isinstance(condition, dict):
            condition = Condition.from_config(condition)
        self.condition = condition
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
        if self.condition is not None:
            require_read(self.condition, self, self._terms, history)
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

    def call(self, x: Any, training: bool = False) -> tf.Tensor:
        """Returns reconstructions of x, or of [x, c] as networks see the condition."""
        z = self.encoder.mean_or_sample(self.encoder(x, training=training))
        z = z if self.condition is None else [z, x[1]]
        return self.decoder.mean_or_sample(self.decoder(z, training=training))

    def _batch(self, data: Any) -> Batch:
        x, z, c = Batch.of(data, self.prior_layer.is_data, self.condition is not None).parts()
        x = checked(self.as_x(x), self.encoder.condition_shape, "images")
        if c is None and self.condition is not None:
            raise InputError(
                f"This model has a condition: give batches (x, c), c {self.condition.wants}."
            )
        if self.condition is not None:
            return Batch(x, c=c)
        if c is not None:
            raise InputError("This model has no condition: give batches without c.")
        if not self.prior_layer.is_data and z is not None:
            raise InputError("The prior is no data set: give batches without z.")
        if not self.prior_layer.is_data:
            return Batch(x)
        if z is None:
            raise InputError("The prior is a data set: give batches (x, z) of both.")
        return Batch(x, checked(z, self.decoder.condition_shape, "latents"))

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
        for part in (self.encoder, self.decoder):
            if part.c_shape is not None and self.condition is None:
                raise InputError(
                    f"The {part.name} reads a condition of shape {part.c_shape}, and the model has "
                    "none: give the model condition=."
                )

    def _check_critics(self) -> None:
        """Builds critics that are subclassed models, and checks what each takes and gives."""
        x, z = self.decoder.event_shape, priors.event_shape(self.prior)
        patches = isinstance(self.prior, priors.Empirical)
        for name, critic in self.critics.items():
            estimator = self.term_options.get(name, {}).get("estimator")
            space = terms.critic_space(name, estimator or self.objective.estimators.get(name))
            shapes = [{"x": x, "z": z}[part] for part in space or ""]
            shapes += [] if self.condition is None else [self.condition.shape]
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
        condition = {}
        if self.condition is not None:
            condition["condition"] = self.condition.get_config()
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
            "precision": self.precision,
            **condition,
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
