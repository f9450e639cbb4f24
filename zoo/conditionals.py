"""Conditional distributions p(x|z) and q(z|x): a network and a family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo import errors
from zoo.likelihoods import Family


@keras.saving.register_keras_serializable("zoo")
class Conditional(keras.layers.Layer):
    """A conditional distribution: the network reads the condition, the family reads the network.

    Calling it returns a tfd.Distribution with batch shape [B] and event shape `event_shape`, the
    shape of one example of the variable. `event_shape` is read off the network's output where it
    is not given. Its variables are the network's and, where the family learns one scale for all
    elements, `raw_scale`.

    The network computes in its own precision; the parameters are cast to float32 first thing, so
    log densities (nats, summed over the elements, [B]) are float32 throughout.

    It takes tensors, eager or traced, but no keras.Input: a distribution cannot be a node of a
    Functional model. Compose `conditional.network` there.

    Raises InputError if the network's output does not fit the family and `event_shape`.
    """

    def __init__(
        self,
        network: keras.Model | dict[str, Any],
        family: Family | dict[str, Any],
        event_shape: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype="float32", **kwargs)
        if isinstance(network, dict):
            network = keras.saving.deserialize_keras_object(network)
        if isinstance(family, dict):
            family = keras.saving.deserialize_keras_object(family)
        if not isinstance(family, Family):
            raise errors.InputError(
                f"A Conditional's family is {family!r}: make one with zoo.likelihoods.family()."
            )
        self.network = network
        self.family = family
        self.event_shape = _event_shape(network, family, event_shape)
        self.raw_scale = None
        if family.learns_scale:
            self.raw_scale = self.add_weight(
                name="raw_scale",
                shape=(),
                initializer=keras.initializers.Constant(family.initial_raw_scale),
                autocast=False,
            )
        self.built = True

    @property
    def has_density(self) -> bool:
        """Whether log densities can be evaluated."""
        return self.family.has_density

    def call(self, inputs: Any, training: bool = False) -> Any:
        params = tf.cast(self.network(inputs, training=training), tf.float32)
        raw_scale = None if self.raw_scale is None else tf.convert_to_tensor(self.raw_scale)
        return self.family.distribution(params, raw_scale)

    def mean(self, inputs: Any, training: bool = False) -> tf.Tensor:
        """Returns the conditional's mean, [B, ...]."""
        return self(inputs, training=training).mean()

    def relaxed_sample(self, distribution: Any, seed: Any) -> tf.Tensor:
        """Returns a differentiable sample of `distribution`, which this conditional returned.

        Normal and Laplace: a reparameterised sample. Bernoulli: the mean, a relaxation, because
        its samples carry no gradient; it is what critics are shown. `seed` as in stateless_seed.
        """
        return self.family.relaxed_sample(distribution, stateless_seed(seed))

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        raise errors.InputError(
            f"Conditional {self.name!r} was called on a keras.Input, but its output is a "
            "distribution: call its .network in a Functional model."
        )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["dtype"]
        return {
            **config,
            "network": keras.saving.serialize_keras_object(self.network),
            "family": keras.saving.serialize_keras_object(self.family),
            "event_shape": list(self.event_shape),
        }


def stateless_seed(seed: Any) -> tf.Tensor:
    """Returns `seed`, two whole numbers of any integer type, as the int32 [2] TFP asks for.

    keras.random.SeedGenerator gives int64. One seed draws the same numbers every time, but others
    under XLA than without it. Raises InputError for anything that is no seed.
    """
    seed = tf.convert_to_tensor(seed)
    if seed.shape != (2,) or not seed.dtype.is_integer:
        raise errors.InputError(
            f"A seed has dtype {seed.dtype.name} and shape {seed.shape}: give two whole numbers."
        )
    return tf.cast(seed, tf.int32)


def _event_shape(
    network: keras.Model, family: Family, event_shape: Sequence[int] | None
) -> tuple[int, ...]:
    """Returns the variable's shape, having checked that the network's output fits it."""
    output = tuple(network.output_shape[1:])
    per_element = family.params_per_element
    if event_shape is not None:
        event = tuple(int(size) for size in event_shape)
        needed = event[:-1] + tuple(size * per_element for size in event[-1:])
        if not event or output != needed:
            raise errors.InputError(
                f"Network {network.name!r} returns shape {output} per example, but a "
                f"{family.name} variable of shape {event} with {per_element} parameter(s) per "
                f"element needs {needed}: change the network's last layer."
            )
        return event
    if not output or None in output or output[-1] % per_element:
        raise errors.InputError(
            f"Network {network.name!r} returns shape {output} per example, but a {family.name} "
            f"likelihood reads {per_element} parameter(s) per element: make the last axis a "
            f"multiple of {per_element}."
        )
    return (*output[:-1], output[-1] // per_element)
