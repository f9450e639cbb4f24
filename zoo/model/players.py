"""The players (encoder, decoder and prior; critics; multipliers): variables and optimizers."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np

from zoo import multipliers
from zoo.condition import Condition
from zoo.critics.sample_history import SampleHistory
from zoo.distributions.conditionals import BaseConditional
from zoo.distributions.replicas import ReplicatedModel
from zoo.errors import InputError, unknown
from zoo.model import chunks
from zoo.model.lagrangian import Lagrangian
from zoo.model.optimizers import FusedAdam, adam
from zoo.model.weight_averages import WeightAverages
from zoo.objectives import critic_defaults
from zoo.objectives.objective import Objective
from zoo.priors import Prior

ON_NAN = ("stop", "skip")


class Players(ReplicatedModel):
    """The players of a `LagrangianModel`: primal parts, critics and multipliers."""

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
    averages: WeightAverages | None
    histories: dict[str, SampleHistory]
    feed: Callable[[Any], Any] | None = None
    on_nan: str = "stop"

    def compile(
        self,
        optimizer: Any = None,
        critic_optimizer: Any = None,
        critic_steps: int | None = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        on_nan: str = "stop",
        margins: Sequence[float] | None = None,
        feed: Callable[[Any], Any] | None = None,
    ) -> None:
        """Sets the optimizers, by default those of `adam` and `critic_adam`, and the step options.

        Args:
          optimizer, critic_optimizer: of encoder, decoder and prior, and of the critics.
          critic_steps: critic steps per step of the other players, on the same images with other
            noise; `critic_defaults.critic_steps` if None.
          run_eagerly, steps_per_execution: as in Keras.
          jit_compile: as in Keras for one replica; XLA is not used with several.
          on_nan: "skip" restores all variables but `step` after a non-finite step; logs count such
            batches as `skipped`. It needs a second copy of the weights, and one replica. "stop"
            restores nothing.
          margins: how far below each learned tolerance the dual step aims, [m], in the
            constraints' units; None keeps the present ones, initially 0. See `aim`.
          feed: makes the batch of one step on the model's device. `fit` then takes chunks of
            steps, each leaf [steps, ...], and runs a chunk as one program: no step waits for the
            host.

        Raises:
          InputError: critic_steps is not a positive whole number, on_nan is unknown, the margins
            do not fit, or `feed` or "skip" is used with several replicas.
        """
        if critic_steps is None:
            critic_steps = critic_defaults.critic_steps(self.objective)
        if not isinstance(critic_steps, int) or critic_steps < 1:
            raise InputError(f"critic_steps is {critic_steps!r}: give a positive whole number.")
        if on_nan not in ON_NAN:
            raise unknown("on_nan", str(on_nan), ON_NAN)
        if self.replicas > 1 and (on_nan == "skip" or feed is not None):
            what = "feed" if feed is not None else "on_nan='skip'"
            raise InputError(f"{what} needs one replica and there are {self.replicas}: drop it.")
        if feed is not None and steps_per_execution != 1:
            raise InputError(
                f"steps_per_execution is {steps_per_execution} where feed takes chunks of steps: "
                "leave it out, and give larger chunks."
            )
        if margins is not None:
            self.aim(margins)
        optimizer = keras.optimizers.get(optimizer or self.adam())
        self.critic_optimizer = keras.optimizers.get(critic_optimizer or self.critic_adam())
        self.critic_steps, self.on_nan, self.feed = critic_steps, on_nan, feed
        super().compile(
            optimizer=optimizer,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile if self.replicas == 1 else False,
        )
        optimizer.build(self.primal_variables)
        self.critic_optimizer.build(self.critic_variables)

    def make_train_function(self, force: bool = False) -> Any:
        if self.feed is None:
            return super().make_train_function(force)
        if self.train_function is None or force:
            chunk = functools.partial(chunks.train_chunk, self, self.feed)
            run = self._on_replicas(chunk, bool(self.jit_compile))
            self.train_function = lambda iterator: run(next(iterator))
        return self.train_function

    def aim(self, margins: Any) -> None:
        """Sets the margins [m]: the dual step aims at eps - margin, in the constraints' units.

        Raises:
          InputError: the margins are not one finite number for each learned constraint.
        """
        values = np.asarray(margins, np.float64)
        learned = len(self.lagrangian.learned)
        if values.shape != (learned,) or not np.all(np.isfinite(values)):
            raise InputError(
                f"The margins are {values.tolist()}: give one finite number for each of the "
                f"{learned} learned constraints."
            )
        self.margins.assign(values)
        # The smallest violation: a critic's estimate below 0 counts as 0.
        floors = self.lagrangian.floors
        self.multipliers.floor.assign(
            [-math.inf if f is None else f + m for f, m in zip(floors, values, strict=True)]
        )

    @property
    def adversarial(self) -> bool:
        """Whether the model has critics."""
        return bool(self.critics)

    def adam(self, learning_rate: float | None = None, steps: int | None = None) -> FusedAdam:
        """Returns `zoo.model.optimizers.adam` for the encoder and the decoder.

        With `steps` the rate decays over so many steps, and starts higher if the objective
        constrains codes by a critic.
        """
        if learning_rate is None and steps and critic_defaults.constrains_codes(self.objective):
            learning_rate = critic_defaults.LEARNING_RATE
        return self._adam(learning_rate, steps)

    def critic_adam(
        self, learning_rate: float | None = None, steps: int | None = None
    ) -> FusedAdam:
        """Returns `zoo.model.optimizers.adam` for the critics; faster if they constrain codes."""
        if learning_rate is None and critic_defaults.constrains_codes(self.objective):
            learning_rate = critic_defaults.CRITIC_LEARNING_RATE
        return self._adam(learning_rate, steps)

    def _adam(self, learning_rate: float | None, steps: int | None) -> FusedAdam:
        penalised = critic_defaults.penalises_critics(self.objective)
        return adam(learning_rate, self.adversarial, penalised, steps)

    @property
    def parts(self) -> dict[str, keras.layers.Layer]:
        """The layers of the primal player by name, without critics."""
        return {"encoder": self.encoder, "decoder": self.decoder, "prior": self.prior_layer}

    @property
    def primal_variables(self) -> list[Any]:
        """The trainable variables of all parts, without duplicates if parts share layers."""
        return _distinct(v for part in self.parts.values() for v in part.trainable_variables)

    @property
    def statistics(self) -> list[Any]:
        """The non-trainable variables of parts, such as moving averages of activations."""
        return _distinct(v for part in self.parts.values() for v in part.non_trainable_variables)

    @property
    def critic_variables(self) -> list[Any]:
        return [v for critic in self.critics.values() for v in critic.trainable_variables]

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
            "on_nan": self.on_nan,
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))


def _distinct(variables: Iterable[Any]) -> list[Any]:
    return list({id(variable): variable for variable in variables}.values())
