"""The step: samples, terms, then what every player does with them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import tensorflow as tf

from zoo import multipliers, terms
from zoo.batch import Batch
from zoo.condition import Condition
from zoo.critics.sample_history import SampleHistory
from zoo.distributions import replicas
from zoo.distributions.conditionals import BaseConditional
from zoo.distributions.replicas import ReplicatedModel
from zoo.errors import InputError
from zoo.model.joints import SampledJoints
from zoo.model.lagrangian import Lagrangian
from zoo.model.optimizers import FusedAdam, adam, descend
from zoo.model.running_means import RunningMeans
from zoo.model.weight_averages import WeightAverages
from zoo.objectives import critic_defaults
from zoo.objectives.objective import Objective
from zoo.priors import Prior

_TRAIN, _TEST = 0, 1


class LagrangianStep(ReplicatedModel):
    """The one train_step of every model, on the parts that `LagrangianModel` holds.

    primal   theta  <- theta - grad [ sum_i c_i(lambda) surrogate_i ] / (|alpha| + sum lambda)
    critic   phi    <- phi   - grad [ critic losses on the same samples ]
    dual     mu     <- clip( moved by (D - eps) / scale ),   lambda = mu size / scale

    With `on_nan` "skip", set before `fit`, a batch after which a term, a weight, a moment of an
    optimizer or a multiplier is not finite leaves everything as it was but `step`; how many were
    skipped is logged as `skipped`. It needs a second copy of the weights, and one replica.

    Under a strategy a step on several replicas is that of one process on the whole batch: see
    `zoo.replicas`.
    """

    on_nan: str = "stop"
    precision: str = "float32"  # of the products in training, as `zoo.build` was asked for

    objective: Objective
    encoder: BaseConditional
    decoder: BaseConditional
    prior_layer: Prior
    condition: Condition | None
    critics: dict[str, keras.Model]
    lagrangian: Lagrangian
    multipliers: multipliers.MultiplierRule
    slacks: list[float]
    margins: Any
    step: Any
    seed: int
    feed: Callable[[Any], Any] | None
    averages: WeightAverages | None
    histories: dict[str, SampleHistory]
    _terms: dict[str, terms.Term]
    _readings: dict[str, terms.Term]
    _batches: keras.metrics.Metric
    _means: RunningMeans

    def compile(
        self,
        optimizer: Any = None,
        critic_optimizer: Any = None,
        critic_steps: int | None = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
    ) -> None:
        """Chooses the players' optimizers, those of `adam` unless given.

        Critics take `critic_steps` steps for each of the other players', all on the same images
        but with other noise; None: as many as `critic_defaults.critic_steps` says. XLA compiles
        no step that several replicas share: `jit_compile` is for one.

        Raises:
          InputError: critic_steps is no positive whole number.
        """
        if critic_steps is None:
            critic_steps = critic_defaults.critic_steps(self.objective)
        if not isinstance(critic_steps, int) or critic_steps < 1:
            raise InputError(f"critic_steps is {critic_steps!r}: give a positive whole number.")
        optimizer = keras.optimizers.get(optimizer or self.adam())
        self.critic_optimizer = keras.optimizers.get(critic_optimizer or self.critic_adam())
        self.critic_steps = critic_steps
        jit_compile = jit_compile if self.replicas == 1 else False
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

    def adam(self, learning_rate: float | None = None) -> FusedAdam:
        """Returns `zoo.model.optimizers.adam` for the encoder and the decoder."""
        penalised = critic_defaults.penalises_critics(self.objective)
        return adam(learning_rate, self.adversarial, penalised)

    def critic_adam(self, learning_rate: float | None = None) -> FusedAdam:
        """Returns `zoo.model.optimizers.adam` for the critics, faster where they lead."""
        if learning_rate is None and critic_defaults.constrains_codes(self.objective):
            learning_rate = critic_defaults.CRITIC_LEARNING_RATE
        return self.adam(learning_rate)

    @property
    def parts(self) -> dict[str, keras.layers.Layer]:
        """The layers of the primal player by name; the critics are the other player's."""
        return {"encoder": self.encoder, "decoder": self.decoder, "prior": self.prior_layer}

    @property
    def primal_variables(self) -> list[Any]:
        """The trainable variables of all parts, each once, though parts may share layers."""
        return _distinct(v for part in self.parts.values() for v in part.trainable_variables)

    @property
    def statistics(self) -> list[Any]:
        """What parts keep and nothing trains, such as moving averages of activations."""
        return _distinct(v for part in self.parts.values() for v in part.non_trainable_variables)

    @property
    def critic_variables(self) -> list[Any]:
        return [v for critic in self.critics.values() for v in critic.trainable_variables]

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step on a batch; with `feed`, as many steps as `data` has on its leading axis."""
        if self.feed is None:
            return self._trained_on(self._batch(data))
        feed, (first, *_) = self.feed, tf.nest.flatten(data)
        steps = tf.shape(first)[0]

        def batch_of(index: tf.Tensor) -> Any:
            return feed(tf.nest.map_structure(lambda d: d[index], data))

        # The loop carries each batch to its step. Made there, XLA would join what makes it into
        # each of its readers, and make it four times. A block's last is made twice.
        def one(index: tf.Tensor, batch: Any) -> tuple[tf.Tensor, Any]:
            self._trained_on(self._batch(batch))
            return index + 1, batch_of(tf.minimum(index + 1, steps - 1))

        tf.while_loop(
            lambda index, _: index < steps,
            one,
            (0, batch_of(tf.constant(0))),
            parallel_iterations=1,
        )
        return self._trained_logs()

    def _trained_on(self, batch: Batch) -> dict[str, Any]:
        """One step on a batch, undone if `on_nan` says so."""
        if self.on_nan == "stop":
            return self._moved_on(batch)
        if self.replicas > 1:
            raise InputError("on_nan 'skip' needs one replica: use --strategy=one.")
        state = self._moving
        before = [tf.identity(variable.value) for variable in state]
        self._moved_on(batch)
        numbers = [v.value for v in state if tf.as_dtype(v.dtype).is_floating]
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(number)) for number in numbers])

        def undo() -> tf.Tensor:
            for variable, value in zip(state, before, strict=True):
                variable.assign(value)
            return tf.constant(1)

        skipped = tf.cond(finite, lambda: tf.constant(0), undo)
        self._skipped.update_state(skipped)
        return self._trained_logs()

    def _trained_logs(self) -> dict[str, Any]:
        logs = self._logs(("loss", *self._terms))
        return logs if self.on_nan == "stop" else {**logs, "skipped": self._skipped.result()}

    @property
    def _moving(self) -> list[Any]:
        """What a step changes, but for `step` itself."""
        constant = {id(self.step), id(self.multipliers.floor)}
        weights = [v for v in self.variables if id(v) not in constant]
        optimizers = self.optimizer.variables + self.critic_optimizer.variables
        return weights + optimizers + self._means.variables

    @functools.cached_property
    def _skipped(self) -> keras.metrics.Metric:
        return keras.metrics.Sum(name="skipped", dtype="int64")

    def _moved_on(self, batch: Batch) -> dict[str, Any]:
        x, z, c = batch.parts()
        seed = self._step_seed(_TRAIN, self.step)
        for extra in range(1, self.critic_steps if self.adversarial else 1):
            self._critics_alone(batch, tf.random.experimental.stateless_fold_in(seed, extra))
        with tf.GradientTape(persistent=True) as tape:
            joints = self.joints(x, seed, training=True, z=z, c=c)
            estimates = {name: term(joints, training=True) for name, term in self._terms.items()}
            surrogates = {name: estimate.surrogate for name, estimate in estimates.items()}
            own = {name: estimate.value for name, estimate in estimates.items()}
            values, examples = joints.replica.mean(own, tf.shape(x)[0])
            violations = self._violations(values)
            acting = self.multipliers.effective(violations)
            # sum_i c_i(lambda) surrogate_i / (|alpha| + sum lambda), learned lambdas in slacks
            primal = self.lagrangian.value(surrogates, acting)
            count = joints.replica.equal(tf.shape(x)[0], examples)
            primal /= self.lagrangian.size(acting * self.slacks) * count
            critic = _critic_loss(estimates, count)
        descend(self.optimizer, tape, primal, self.primal_variables)
        if critic is not None:
            descend(self.critic_optimizer, tape, critic, self.critic_variables)
        del tape
        if self.averages is not None:
            self.averages.update()
        loss = self.lagrangian.value(values, self.multipliers.value)
        if self.lagrangian.learned:
            self.multipliers.update(violations)
        self.step.assign_add(1)
        return self._track({"loss": loss, **values}, examples)

    def _critics_alone(self, batch: Batch, seed: tf.Tensor) -> None:
        """One more step of the critics, before the others move."""
        x, z, c = batch.parts()
        with tf.GradientTape() as tape:
            joints = self.joints(x, seed, training=True, z=z, c=c)
            loss = _critic_loss(
                {name: self._terms[name](joints, training=True) for name in self.critics},
                self.replicas,
            )
        descend(self.critic_optimizer, tape, loss, self.critic_variables)

    def test_step(self, data: Any) -> dict[str, Any]:
        x, z, c = self._batch(data).parts()
        number = self._batches.result()
        self._batches.update_state(1)
        own = self.held_out_values(x, number, z, c)
        values, examples = replicas.present().mean(own, tf.shape(x)[0])
        loss = self.lagrangian.value(values, self.multipliers.value)
        return self._track({"loss": loss, **values}, examples)

    def held_out_values(
        self, x: Any, number: Any, z: Any = None, c: Any = None
    ) -> dict[str, tf.Tensor]:
        """Returns what `evaluate` logs of batch `number`: `term_values`, and `mse` if any."""
        values = self.term_values(x, self._step_seed(_TEST, number), z, c)
        if not self.has_mse:
            return values
        # mse = mean (x - E[x|z])^2 at z = E[z|x]
        return {**values, "mse": tf.reduce_mean(tf.square(x - self.call(self._read(x, c))))}

    @property
    def has_mse(self) -> bool:
        """Whether reconstructions are means, of which there is a squared error."""
        return self.encoder.has_mean and self.decoder.has_mean

    @property
    def readable_terms(self) -> set[str]:
        """Names of the terms that `term_values` returns."""
        return {*self._terms, *self._readings}

    def term_values(self, x: Any, seed: Any, z: Any = None, c: Any = None) -> dict[str, tf.Tensor]:
        """Returns every term of the form, and REC_x and RATE where they exist, on images x.

        Scalars, nats per example, with the estimators that training uses; `seed`, `z` and `c` as
        in joints.
        """
        joints = self.joints(x, seed, z=z, c=c)
        return {
            name: term(joints, training=False).value
            for name, term in {**self._terms, **self._readings}.items()
        }

    def surrogates(self, x: Any, seed: Any, z: Any = None, c: Any = None) -> dict[str, tf.Tensor]:
        """Returns what the primal step descends of each trained term, on images x.

        Scalars that mean nothing but by their gradients in `primal_variables`; `seed`, `z` and
        `c` as in joints.
        """
        joints = self.joints(x, seed, z=z, c=c)
        return {name: term(joints, training=False).surrogate for name, term in self._terms.items()}

    @functools.cached_property
    def traced_terms(self) -> Any:
        """`term_values` as a tf.function, compiled as the training step is."""
        jit = bool(self.jit_compile)
        return tf.function(self.term_values, jit_compile=jit, autograph=False)

    @functools.cached_property
    def traced_held_out_values(self) -> Any:
        """`held_out_values` as a tf.function."""
        return tf.function(self.held_out_values, autograph=False, reduce_retracing=True)

    def joints(
        self,
        x: Any,
        seed: Any,
        training: bool = False,
        z: Any = None,
        relaxed: bool = True,
        c: Any = None,
    ) -> SampledJoints:
        """Returns the samples of both joints that the terms are estimated on.

        `z` are samples of the prior, where that is a data set of its own; `c` is the condition, as
        users give it; `relaxed` as in `SampledJoints`.
        """
        c = self._encoded_condition(c, x)
        parts = self.encoder, self.decoder, self.prior_layer.distribution
        replica = replicas.present()
        return SampledJoints(x, *parts, seed, training, z, self.histories, replica, relaxed, c)

    def term(self, name: str) -> terms.Term:
        """Returns the term called `name`, as it is trained or read."""
        return {**self._terms, **self._readings}[name]

    @property
    def metrics(self) -> list[Any]:
        skipped = [self._skipped] if self.on_nan == "skip" else []
        return [self._batches, self._means, *skipped]

    def _encoded_condition(self, condition: Any, variable: Any) -> tf.Tensor | None:
        """Returns what networks see of the condition of `variable` [B, ...], None without one."""
        raise NotImplementedError

    def _read(self, variable: Any, condition: Any) -> Any:
        """Returns what a conditional of `variable` [B, ...] reads: a list with the condition."""
        raise NotImplementedError

    def _batch(self, data: Any) -> Batch:
        """Returns a batch as it was given, checked."""
        raise NotImplementedError

    def _track(self, values: Mapping[str, Any], examples: Any) -> dict[str, Any]:
        self._means.update_state(values, examples)
        return self._logs(values)

    def _logs(self, names: Iterable[str]) -> dict[str, Any]:
        means = self._means.result()
        return self.with_constraints({name: means[name] for name in names})

    def with_constraints(self, terms_read: Mapping[str, Any]) -> dict[str, Any]:
        """Returns logs with each learned constraint's value and multiplier beside its terms."""
        logs = dict(terms_read)
        if self.lagrangian.learned:
            reached = self.lagrangian.constraint_values(logs)
            multipliers_now = self.multipliers.value
            for index, constraint in enumerate(self.lagrangian.learned):
                logs[f"D: {constraint.expression}"] = reached[index]
                logs[f"lambda: {constraint.expression}"] = multipliers_now[index]
        return logs

    def aim(self, margins: Any) -> None:
        """Has the dual step aim at eps less these margins [m], in the constraints' units."""
        self.margins.assign(margins)
        # A divergence that a critic reads below 0 is 0: so far above what is aimed at.
        floors = self.lagrangian.floors
        self.multipliers.floor.assign(
            [-math.inf if f is None else f + m for f, m in zip(floors, margins, strict=True)]
        )

    def _violations(self, values: Mapping[str, Any]) -> tf.Tensor:
        """Returns D - (eps - margin) of each learned constraint."""
        return self.lagrangian.violations(values) + self.margins

    def _step_seed(self, stream: int, step: Any) -> tf.Tensor:
        """Returns the noise seed of this step."""
        return tf.random.experimental.stateless_fold_in([self.seed, stream], tf.cast(step, "int32"))


def _distinct(variables: Iterable[Any]) -> list[Any]:
    return list({id(variable): variable for variable in variables}.values())


def _critic_loss(estimates: Mapping[str, terms.Estimate], replica_count: Any) -> tf.Tensor | None:
    losses = [e.critic_loss for e in estimates.values() if e.critic_loss is not None]
    return tf.add_n(losses) / replica_count if losses else None
