"""The training step: samples, terms, then the updates of all players."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import tensorflow as tf

from zoo import terms
from zoo.batch import Batch
from zoo.distributions import replicas
from zoo.model import rollback
from zoo.model.joints import SampledJoints
from zoo.model.logs import LoggedModel
from zoo.model.optimizers import descend

_TRAIN, _TEST = 0, 1


class LagrangianStep(LoggedModel):
    """The train_step of every model, on the parts of a `LagrangianModel`.

    Under a strategy, a step on several replicas equals a step of one process on the whole batch:
    see `zoo.distributions.replicas`.
    """

    _readings: dict[str, terms.Term]

    def train_step(self, data: Any) -> dict[str, Any]:
        """Takes one step on one batch; returns the logs since the last reset.

            samples  z_q ~ q(z|x),   z_p ~ p(z),   x_p ~ p(x|z_p)
            terms    value_i and surrogate_i on the same samples
            primal   theta <- theta - grad [ sum_i c_i surrogate_i ] / (|alpha| + sum lambda)
            critic   phi   <- phi   - grad [ critic losses on the same samples ]
            dual     mu    <- clip( moved by (D - (eps - margin)) / scale )

        with c_i = c_i(lambda) and lambda = mu size / scale.

        Only samples that the form needs are drawn. Players without variables are left out.
        """
        batch = self._batch(data)
        x, z, c = batch.parts()
        seed = self._step_seed(_TRAIN, self.step)
        with self._rollback():
            for extra in range(1, self.critic_steps if self.adversarial else 1):
                self._critics_alone(batch, tf.random.experimental.stateless_fold_in(seed, extra))
            with tf.GradientTape(persistent=True) as tape:
                joints = self.joints(x, seed, training=True, z=z, c=c)
                estimates = {
                    name: term(joints, training=True) for name, term in self._terms.items()
                }
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
            self._track({"loss": loss, **values}, examples)
        self.step.assign_add(1)
        return self.training_logs()

    def _critics_alone(self, batch: Batch, seed: tf.Tensor) -> None:
        """Takes an extra step of the critics, before the step of all players."""
        x, z, c = batch.parts()
        with tf.GradientTape() as tape:
            joints = self.joints(x, seed, training=True, z=z, c=c)
            loss = _critic_loss(
                {name: self._terms[name](joints, training=True) for name in self.critics},
                self.replicas,
            )
        descend(self.critic_optimizer, tape, loss, self.critic_variables)

    def _rollback(self) -> AbstractContextManager[None]:
        """Returns a context that undoes a non-finite step if `on_nan` is "skip"."""
        if self.on_nan == "stop":
            return contextlib.nullcontext()
        constant = {id(self.step), id(self.multipliers.floor)}
        weights = [v for v in self.variables if id(v) not in constant]
        optimizers = self.optimizer.variables + self.critic_optimizer.variables
        moved = weights + optimizers + self._means.variables
        return rollback.unless_finite(moved, self._skipped)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluates one held-out batch; returns the logs since the last reset."""
        x, z, c = self._batch(data).parts()
        number = self._batches.result()
        self._batches.update_state(1)
        own = self.held_out_values(x, number, z, c)
        values, examples = replicas.present().mean(own, tf.shape(x)[0])
        loss = self.lagrangian.value(values, self.multipliers.value)
        self._track({"loss": loss, **values}, examples)
        return self._logs(("loss", *values))

    def held_out_values(
        self, x: Any, number: Any, z: Any = None, c: Any = None
    ) -> dict[str, tf.Tensor]:
        """Returns the logs of `evaluate` for batch `number`: `term_values`, and `mse` if any."""
        values = self.term_values(x, self._step_seed(_TEST, number), z, c)
        if not self.has_mse:
            return values
        # mse = mean (x - E[x|z])^2 at z = E[z|x]
        return {**values, "mse": tf.reduce_mean(tf.square(x - self.call(self._read(x, c))))}

    @property
    def has_mse(self) -> bool:
        """Whether reconstructions are means, so that `mse` is logged."""
        return self.encoder.has_mean and self.decoder.has_mean

    @property
    def readable_terms(self) -> set[str]:
        """Names of the terms that `term_values` returns."""
        return {*self._terms, *self._readings}

    def term_values(self, x: Any, seed: Any, z: Any = None, c: Any = None) -> dict[str, tf.Tensor]:
        """Returns every term of the form on images x, and REC_x and RATE if they exist.

        Values are scalars, in nats per example, by the estimators of training; `seed`, `z` and `c`
        as in `joints`.
        """
        joints = self.joints(x, seed, z=z, c=c)
        return {
            name: term(joints, training=False).value
            for name, term in {**self._terms, **self._readings}.items()
        }

    def surrogates(self, x: Any, seed: Any, z: Any = None, c: Any = None) -> dict[str, tf.Tensor]:
        """Returns the surrogate of each trained term, which the primal step descends, on images x.

        Only the gradients of these scalars in `primal_variables` have a meaning; `seed`, `z` and
        `c` as in `joints`.
        """
        joints = self.joints(x, seed, z=z, c=c)
        return {name: term(joints, training=False).surrogate for name, term in self._terms.items()}

    @functools.cached_property
    def traced_terms(self) -> Any:
        """`term_values` as a tf.function, compiled like the training step."""
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
        """Returns the samples of both joints on which terms are estimated.

        `z` are samples of the prior if it is a data set; `c` is the condition, not encoded;
        `relaxed` as in `SampledJoints`.
        """
        c = self._encoded_condition(c, x)
        parts = self.encoder, self.decoder, self.prior_layer.distribution
        replica = replicas.present()
        return SampledJoints(x, *parts, seed, training, z, self.histories, replica, relaxed, c)

    def term(self, name: str) -> terms.Term:
        """Returns the term called `name`, with the options of the model."""
        return {**self._terms, **self._readings}[name]

    def _encoded_condition(self, condition: Any, variable: Any) -> tf.Tensor | None:
        """Returns the encoded condition for `variable` [B, ...]; None without a condition."""
        raise NotImplementedError

    def _read(self, variable: Any, condition: Any) -> Any:
        """Returns the input of a conditional of `variable` [B, ...]: with the condition, if any."""
        raise NotImplementedError

    def _batch(self, data: Any) -> Batch:
        """Returns the checked batch of `data`: images x, and z or c if the model has one."""
        raise NotImplementedError

    def _violations(self, values: Mapping[str, Any]) -> tf.Tensor:
        """Returns D - (eps - margin) of each learned constraint."""
        return self.lagrangian.violations(values) + self.margins

    def _step_seed(self, stream: int, step: Any) -> tf.Tensor:
        """Returns the noise seed of this step."""
        return tf.random.experimental.stateless_fold_in([self.seed, stream], tf.cast(step, "int32"))


def _critic_loss(estimates: Mapping[str, terms.Estimate], replica_count: Any) -> tf.Tensor | None:
    losses = [e.critic_loss for e in estimates.values() if e.critic_loss is not None]
    return tf.add_n(losses) / replica_count if losses else None
