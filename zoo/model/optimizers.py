"""Adam as one operation per variable, and its default learning rates."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

LEAST = 0.02  # final learning rate of a decay, as a share of the first


@keras.saving.register_keras_serializable("zoo")
class FusedAdam(keras.optimizers.Adam):
    """keras.optimizers.Adam with one pass over memory per update.

        m <- m + (1 - beta_1) (g - m),   v <- v + (1 - beta_2) (g^2 - v)
        w <- w - rate sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon)

    Kingma and Ba 2015, section 2. Without XLA, Keras makes about six passes. Several replicas and
    AMSGrad use the update of Keras.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if self.amsgrad or tf.distribute.get_strategy().num_replicas_in_sync > 1:
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, variable.dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, variable.dtype), step),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, variable.dtype),
        )


def adam(
    learning_rate: float | None = None,
    adversarial: bool = False,
    penalised: bool = False,
    steps: int | None = None,
) -> FusedAdam:
    """Returns Adam for a model: beta_1 is 0.5 with critics, else 0.9.

        rate_t = rate [ LEAST + (1 - LEAST) (1 + cos(pi t / steps)) / 2 ]      t <= steps, if given

    The default rate is 1e-3 without critics, 2e-4 with critics (Radford et al. 2015), and 5e-4 with
    critics that are `penalised` by R1. With `steps` it decays as in Loshchilov and Hutter 2017,
    without restarts.
    """
    rate: Any = learning_rate or ((5e-4 if penalised else 2e-4) if adversarial else 1e-3)
    if steps is not None:
        rate = keras.optimizers.schedules.CosineDecay(rate, steps, alpha=LEAST)
    return FusedAdam(rate, beta_1=0.5 if adversarial else 0.9)


def descend(
    optimizer: keras.optimizers.Optimizer, tape: tf.GradientTape, loss: Any, variables: list[Any]
) -> None:
    """Applies the gradient of `loss`, recorded on `tape`, to `variables`, if there are any."""
    if variables:
        gradients = tape.gradient(loss, [v.value for v in variables], unconnected_gradients="zero")
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
