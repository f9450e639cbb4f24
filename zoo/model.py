"""LagrangianModel: any admissible objective of the family as a Keras model, with one train_step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo import multipliers, priors, slack, terms
from zoo.affine import rational
from zoo.conditionals import Conditional, stateless_seed
from zoo.errors import InputError
from zoo.joints import SampledJoints
from zoo.lagrangian import Lagrangian
from zoo.objective import Objective

_TRAIN, _TEST = 0, 1


@keras.saving.register_keras_serializable("zoo")
class LagrangianModel(keras.Model):
    """Encoder, decoder, prior and critics, trained on the tractable form of one objective.

        primal   theta  <- theta - grad [ sum_i c_i(lambda) surrogate_i ] / (|alpha| + sum lambda)
        critic   phi    <- phi   - grad [ critic losses on the same samples ]
        dual     mu     <- clip( moved by (D - eps) / scale ),   lambda = mu size / scale

    Players without variables are dropped. `fit` and `evaluate` take batches of x, or of
    (x, labels), whose labels are ignored. Logs: `loss`, the Lagrangian
    sum_i c_i term_i - sum_j lambda_j eps_j without constants; each term by name; each learned
    constraint as "D: EXPRESSION" and its multiplier as "lambda: EXPRESSION". `evaluate` adds
    REC_x, RATE and `mse`, the squared error per element of reconstructions at the posterior mean.
    All in nats per example but `mse`.

    The dual step aims at eps less `margins`, 0 unless somebody sets them: what a constraint costs
    more on data the model has not seen.

    Args:
      objective: what is trained, or its config.
      encoder: q(z|x).
      decoder: p(x|z).
      prior: p(z), any tfd distribution over vectors [K], or its config.
      critics: term name -> Keras model giving one logit per example, for terms that need one.
      term_options: term name -> options of its estimator.
      multiplier_rule: how learned multipliers move; `zoo.multipliers.default` if None.
      slacks: the slack of each learned constraint, the unit of its violation.
      seed: all noise is a function of it and the step.

    Raises:
      InputError: the objective is not admissible, a term has no estimator, a critic is missing,
        or the parts' shapes do not fit.
    """

    def __init__(
        self,
        objective: Objective,
        encoder: Conditional,
        decoder: Conditional,
        prior: Any,
        critics: Mapping[str, keras.Model] | None = None,
        term_options: Mapping[str, Mapping[str, Any]] | None = None,
        multiplier_rule: multipliers.MultiplierRule | None = None,
        slacks: Sequence[float] | None = None,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.objective = objective
        self.lagrangian = Lagrangian(objective.tractable())
        check_trainable(self.lagrangian.terms, objective.name)
        self.encoder = encoder
        self.decoder = decoder
        self.prior = prior
        self.critics = dict(critics or {})
        self.term_options = {name: dict(o) for name, o in (term_options or {}).items()}
        self.seed = int(seed)
        self._check_shapes()
        self._terms = {name: self._term(name) for name in self.lagrangian.terms}
        for name in (*self.critics, *self.term_options):
            if name not in self._terms:
                raise InputError(
                    f"{objective.name} trains {', '.join(self._terms)}: remove what is given "
                    f"for {name!r}."
                )
        self._readings = {
            name: term for name, term in self._monitors().items() if name not in self._terms
        }
        self.slacks = [float(s) for s in slacks or slack.slacks(objective, {})]
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
            aggregation="mean",
        )
        self.step = self.add_weight(
            name="step",
            shape=(),
            dtype="int64",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )
        self._batches = keras.metrics.Sum(name="batches", dtype="int64")
        self._trackers = {
            name: keras.metrics.Mean(name=name.replace(":", ""))
            for name in ("loss", *self._terms, *self._readings, "mse")
        }
        self.built = True

    # The two conditionals and the prior

    def encode(self, x: Any) -> Any:
        """Returns q(z|x), a tfd distribution, for images x [B, ...] with values in [0, 1]."""
        return self.encoder(_checked(x, self.encoder.network.input_shape, "images"))

    def decode(self, z: Any) -> Any:
        """Returns p(x|z), a tfd distribution, for latents z [B, K]."""
        return self.decoder(_checked(z, self.decoder.network.input_shape, "latents"))

    def reconstruct(self, x: Any) -> tf.Tensor:
        """Returns E[x|z] at the mean of q(z|x), [B, ...]."""
        return self.decode(self.encode(x).mean()).mean()

    def sample(self, n: int, seed: int = 0) -> tf.Tensor:
        """Returns E[x|z] for n draws z ~ p(z), [n, ...]."""
        return self.decode(self.prior.sample(n, seed=stateless_seed([self.seed, seed]))).mean()

    def call(self, x: Any, training: bool = False) -> tf.Tensor:
        return self.decoder.mean(self.encoder.mean(x, training=training), training=training)

    # Training

    def compile(
        self,
        optimizer: Any = None,
        critic_optimizer: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
    ) -> None:
        """Chooses the players' optimizers; the defaults are Adam(1e-3) and Adam(2e-4, beta_1=0.5).

        With critics the primal default is Adam(2e-4, beta_1=0.5) as well (Radford et al. 2015).
        """
        optimizer = keras.optimizers.get(optimizer or _adam(self.adversarial))
        self.critic_optimizer = keras.optimizers.get(critic_optimizer or _adam(True))
        super().compile(
            optimizer=optimizer,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
        )
        optimizer.build(self.primal_variables)
        self.critic_optimizer.build(self.critic_variables)

    @property
    def adversarial(self) -> bool:
        """Whether a critic is trained."""
        return bool(self.critics)

    @property
    def primal_variables(self) -> list[Any]:
        return self.encoder.trainable_variables + self.decoder.trainable_variables

    @property
    def critic_variables(self) -> list[Any]:
        return [v for critic in self.critics.values() for v in critic.trainable_variables]

    def train_step(self, data: Any) -> dict[str, Any]:
        x = self._images(data)
        replicas = self.distribute_strategy.num_replicas_in_sync
        with tf.GradientTape(persistent=True) as tape:
            joints = self.joints(x, self._step_seed(_TRAIN, self.step), training=True)
            estimates = {name: term(joints, training=True) for name, term in self._terms.items()}
            surrogates = {name: estimate.surrogate for name, estimate in estimates.items()}
            values = {name: estimate.value for name, estimate in estimates.items()}
            violations = self._violations(values)
            acting = self.multipliers.effective(violations)
            # sum_i c_i(lambda) surrogate_i / (|alpha| + sum lambda), learned lambdas in slacks
            primal = self.lagrangian.value(surrogates, acting)
            primal /= self.lagrangian.size(acting * self.slacks) * replicas
            losses = [e.critic_loss for e in estimates.values() if e.critic_loss is not None]
            critic = tf.add_n(losses) / replicas if losses else None
        _descend(self.optimizer, tape, primal, self.primal_variables)
        if critic is not None:
            _descend(self.critic_optimizer, tape, critic, self.critic_variables)
        del tape
        loss = self.lagrangian.value(values, self.multipliers.value)
        if self.lagrangian.learned:
            self.multipliers.update(violations)
        self.step.assign_add(1)
        return self._track({"loss": loss, **values}, x)

    def test_step(self, data: Any) -> dict[str, Any]:
        x = self._images(data)
        seed = self._step_seed(_TEST, self._batches.result())
        self._batches.update_state(1)
        values = self.term_values(x, seed)
        loss = self.lagrangian.value(values, self.multipliers.value)
        # mse = mean (x - E[x|z])^2 at z = E[z|x]
        error = tf.reduce_mean(tf.square(x - self.call(x)))
        return self._track({"loss": loss, **values, "mse": error}, x)

    @property
    def readable_terms(self) -> set[str]:
        """Names of the terms that `term_values` returns."""
        return {*self._terms, *self._readings}

    def term_values(self, x: Any, seed: Any) -> dict[str, tf.Tensor]:
        """Returns every term of the form, and REC_x and RATE where they exist, on images x.

        Scalars, nats per example, with the estimators that training uses; `seed` as in joints.
        """
        joints = self.joints(x, seed)
        return {
            name: term(joints, training=False).value
            for name, term in {**self._terms, **self._readings}.items()
        }

    def joints(self, x: Any, seed: Any, training: bool = False) -> SampledJoints:
        """Returns the samples of both joints that the terms are estimated on."""
        return SampledJoints(x, self.encoder, self.decoder, self.prior, seed, training)

    @property
    def metrics(self) -> list[Any]:
        return [self._batches, *self._trackers.values()]

    def _images(self, data: Any) -> tf.Tensor:
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return _checked(x, self.encoder.network.input_shape, "images")

    def _track(self, values: Mapping[str, Any], x: Any) -> dict[str, Any]:
        for name, value in values.items():
            self._trackers[name].update_state(value, sample_weight=tf.shape(x)[0])
        logs = {name: self._trackers[name].result() for name in values}
        if self.lagrangian.learned:
            reached = self.lagrangian.constraint_values(logs)
            multipliers_now = self.multipliers.value
            for index, constraint in enumerate(self.lagrangian.learned):
                logs[f"D: {constraint.expression}"] = reached[index]
                logs[f"lambda: {constraint.expression}"] = multipliers_now[index]
        return logs

    def _violations(self, values: Mapping[str, Any]) -> tf.Tensor:
        """Returns D - (eps - margin) of each learned constraint, averaged over replicas."""
        violations = self.lagrangian.violations(values) + self.margins
        replica = tf.distribute.get_replica_context()
        if replica is not None and replica.num_replicas_in_sync > 1:
            violations = replica.all_reduce(tf.distribute.ReduceOp.MEAN, violations)
        return violations

    def _step_seed(self, stream: int, step: Any) -> tf.Tensor:
        """Returns the noise seed of this step, and of this replica."""
        seed = tf.random.experimental.stateless_fold_in([self.seed, stream], tf.cast(step, "int32"))
        replica = tf.distribute.get_replica_context()
        if replica is not None and replica.num_replicas_in_sync > 1:
            seed = tf.random.experimental.stateless_fold_in(seed, replica.replica_id_in_sync_group)
        return seed

    def _term(self, name: str) -> terms.Term:
        return terms.make(name, critic=self.critics.get(name), **self.term_options.get(name, {}))

    def _monitors(self) -> dict[str, terms.Term]:
        """Returns what evaluation reads even where the objective does not train it."""
        names = ["REC_x"] if self.decoder.has_density else []
        names += ["RATE"] if self.encoder.has_density else []
        return {name: self._term(name) for name in names}

    def _check_shapes(self) -> None:
        latent, image = (priors.latent_dim(self.prior),), self.decoder.event_shape
        for what, found, needed in (
            ("The encoder's latents", self.encoder.event_shape, latent),
            ("The decoder's input", tuple(self.decoder.network.input_shape[1:]), latent),
            ("The encoder's input", tuple(self.encoder.network.input_shape[1:]), image),
        ):
            if tuple(found) != tuple(needed):
                raise InputError(f"{what} have shape {found} where {needed} is needed.")

    # Saving

    def get_config(self) -> dict[str, Any]:
        serialise = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "objective": self.objective.to_config(),
            "encoder": serialise(self.encoder),
            "decoder": serialise(self.decoder),
            "prior": priors.serialise(self.prior),
            "critics": {name: serialise(critic) for name, critic in self.critics.items()},
            "term_options": self.term_options,
            "multiplier_rule": serialise(self.multipliers),
            "slacks": self.slacks,
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
                "prior": priors.deserialise(config["prior"]),
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
            "run_eagerly": self.run_eagerly,
            "steps_per_execution": self.steps_per_execution,
            "jit_compile": self.jit_compile,
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))


def check_trainable(names: tuple[str, ...], objective: str) -> None:
    """Raises InputError if a term of the trained form has no estimator."""
    missing = [name for name in names if name not in terms.available()]
    if missing:
        raise InputError(
            f"{objective} trains {', '.join(missing)}, for which there is no estimator yet: terms "
            f"that train are {', '.join(sorted(terms.available()))}."
        )


def _adam(adversarial: bool) -> keras.optimizers.Optimizer:
    if adversarial:
        return keras.optimizers.Adam(2e-4, beta_1=0.5)
    return keras.optimizers.Adam(1e-3)


def _descend(optimizer: Any, tape: tf.GradientTape, loss: tf.Tensor, variables: list) -> None:
    if variables:
        gradients = tape.gradient(loss, [v.value for v in variables], unconnected_gradients="zero")
        optimizer.apply_gradients(zip(gradients, variables, strict=True))


def _checked(values: Any, input_shape: tuple, what: str) -> tf.Tensor:
    tensor = tf.convert_to_tensor(values)
    if not tensor.dtype.is_floating:
        raise InputError(
            f"These {what} are {tensor.dtype.name}: give floats, and pixels between 0 and 1."
        )
    tensor = tf.cast(tensor, tf.float32)
    expected = tf.TensorShape([None, *input_shape[1:]])
    if not expected.is_compatible_with(tensor.shape):
        raise InputError(
            f"These {what} have shape {_shape_text(tensor.shape)}: the model needs "
            f"{_shape_text(expected)}."
        )
    return tensor


def _shape_text(shape: tf.TensorShape) -> str:
    return f"({', '.join('batch' if size is None else str(size) for size in shape)})"
