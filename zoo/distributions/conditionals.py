"""Conditional distributions p(x|z) and q(z|x): a network with a family or with noise."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo import errors
from zoo.distributions import probes
from zoo.distributions.implicit import Implicit
from zoo.distributions.likelihoods import DECLARED, MEAN, Likelihood
from zoo.distributions.replicas import ALONE, Replica
from zoo.networks import own
from zoo.objectives.capabilities import IMPLICIT_ENCODER, Capabilities


class BaseConditional(keras.layers.Layer):
    """Base class of conditional distributions.

    A conditional takes tensors, eager or traced, but not a keras.Input, because a distribution
    cannot be a node of a Functional model. Use `conditional.network` there.

    If `condition_shape` is not given it is the shape of the network's input, which must be a
    Functional model. With `c_shape`, the shape of one example of a model's condition c, network
    and conditional take a list, [x, c] or [z, c].
    """

    network: keras.Model
    event_shape: tuple[int, ...]

    def __init__(
        self,
        network: keras.Model | dict[str, Any],
        condition_shape: Sequence[int] | None = None,
        c_shape: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype="float32", **kwargs)
        if isinstance(network, dict):
            network = keras.saving.deserialize_keras_object(network)
        self.network = network
        given = condition_shape is not None
        self._condition_shape = tuple(int(s) for s in condition_shape or ()) if given else None
        self.c_shape = None if c_shape is None else tuple(int(size) for size in c_shape)

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of the distributions that calling it returns."""
        raise NotImplementedError

    def example(self) -> Any:
        """Returns an example of the distributions that calling it returns, batch shape [1]."""
        raise NotImplementedError

    @property
    def has_density(self) -> bool:
        """Whether log densities can be evaluated."""
        return self.capabilities.has_density

    @property
    def has_mean(self) -> bool:
        """Whether there is a mean."""
        return self.capabilities.has_mean

    @property
    def kind(self) -> str:
        """The name of the family, or "implicit"."""
        raise NotImplementedError

    @property
    def condition_shape(self) -> tuple[int, ...]:
        """The shape of one example of the condition."""
        if self._condition_shape is not None:
            return self._condition_shape
        shape = self.network.input_shape
        return tuple((shape if self.c_shape is None else shape[0])[1:])

    @property
    def _input_shapes(self) -> list[tuple[int, ...]]:
        """The shapes of one example of the inputs: the variable, and c if any."""
        return [self.condition_shape, *([] if self.c_shape is None else [self.c_shape])]

    def mean(self, inputs: Any, training: bool = False) -> tf.Tensor:
        """Returns the conditional's mean, [B, ...]; raises InputError if it has none."""
        if not self.has_mean:
            raise errors.InputError(
                f"A conditional of the family {self.kind} has no mean: use mean_or_sample."
            )
        return self(inputs, training=training).mean()

    def mean_or_sample(self, distribution: Any, seed: Any = (0, 0)) -> tf.Tensor:
        """Returns the mean of a `distribution` from this conditional, or a sample, [B, ...].

        It returns a sample if there is no mean. `seed` as in `stateless_seed`.
        """
        if self.has_mean:
            return distribution.mean()
        return tf.cast(distribution.sample(seed=stateless_seed(seed)), tf.float32)

    def relaxed_sample(self, distribution: Any, seed: Any, replica: Replica = ALONE) -> tf.Tensor:
        """Returns a differentiable sample of `distribution`, which this conditional returned.

        `seed` as in `stateless_seed`; `replica` says which part of the batch it is.
        """
        return replica.drawn(distribution, stateless_seed(seed))

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        raise errors.InputError(
            f"{type(self).__name__} {self.name!r} was called on a keras.Input, but its output is a "
            "distribution: call its .network in a Functional model."
        )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["dtype"]
        if self._condition_shape is not None:
            config["condition_shape"] = list(self._condition_shape)
        if self.c_shape is not None:
            config["c_shape"] = list(self.c_shape)
        return {**config, "network": keras.saving.serialize_keras_object(self.network)}


@keras.saving.register_keras_serializable("zoo")
class Conditional(BaseConditional):
    """A conditional distribution: a family whose parameters are the outputs of a network.

    Calling it returns a tfd.Distribution with batch shape [B] and event shape `event_shape`, the
    shape of one example of the variable. If `event_shape` is not given it follows from the
    network's output. Its variables are the network's and, if the family learns scales apart from
    the network, `raw_scale`.

    The network may be a Functional model, or any other model if `condition_shape` is given. It
    computes in its own precision. Its outputs are cast to float32, so that log densities (nats,
    summed over the elements, [B]) are float32.

    Raises InputError if the network's output does not fit the family and `event_shape`.
    """

    def __init__(
        self,
        network: keras.Model | dict[str, Any],
        family: Likelihood | dict[str, Any],
        event_shape: Sequence[int] | None = None,
        condition_shape: Sequence[int] | None = None,
        c_shape: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(network, condition_shape, c_shape, **kwargs)
        if isinstance(family, dict):
            family = keras.saving.deserialize_keras_object(family)
        if not isinstance(family, Likelihood):
            raise errors.InputError(
                f"A Conditional's family is {family!r}: make one with likelihoods.family()."
            )
        self.family = family
        self.event_shape = self._event_shape(event_shape)
        self.raw_scale = None
        if family.learns_scale:
            self.raw_scale = self.add_weight(
                name="raw_scale",
                shape=family.raw_scale_shape,
                initializer=keras.initializers.Constant(family.initial_raw_scale),
                autocast=False,
            )
        self.built = True

    @functools.cached_property
    def capabilities(self) -> Capabilities:
        """The capabilities that the family declares; the others are found by its distribution."""
        family = self.family
        # Outside of any graph being traced, which must not contain these draws.
        with tf.init_scope():
            seen = probes.read(self.example(), family.name)
        said = {name: getattr(family, name) for name in DECLARED}
        declared = {name: value for name, value in said.items() if value is not None}
        found = dataclasses.replace(seen, **declared, stand_in=family.stand_in)
        own = type(family).relaxed_sample is not Likelihood.relaxed_sample
        if not own and found.stand_in not in (None, MEAN):
            raise errors.InputError(
                f"The {family.name} family's stand_in is {found.stand_in!r}: override "
                f"relaxed_sample to return it, or write {MEAN!r}."
            )
        if not own and found.stand_in == MEAN and not found.has_mean:
            raise errors.InputError(
                f"The {family.name} family's stand_in is its mean, and it has none: give its "
                "distribution a mean, or the family another stand_in."
            )
        return found

    def example(self) -> Any:
        params = tf.zeros([1, *self.family.params_shape(self.event_shape)])
        family, raw_scale = self.family, None
        if family.learns_scale:
            raw_scale = tf.fill(family.raw_scale_shape, family.initial_raw_scale)
        return family.distribution(params, raw_scale)

    @property
    def kind(self) -> str:
        return self.family.name

    def call(self, inputs: Any, training: bool = False) -> Any:
        params = tf.cast(self.network(inputs, training=training), tf.float32)
        raw_scale = None if self.raw_scale is None else tf.convert_to_tensor(self.raw_scale)
        return self.family.distribution(params, raw_scale)

    def relaxed_sample(self, distribution: Any, seed: Any, replica: Replica = ALONE) -> tf.Tensor:
        """Returns a differentiable sample of `distribution`, which this conditional returned.

        It is the family's stand-in if there is one, such as the mean of a Bernoulli, else a sample,
        which has a gradient only if `capabilities` says so. `seed` as in `stateless_seed`.
        """
        shown = self.family.relaxed_sample(distribution, stateless_seed(seed), replica)
        return tf.cast(shown, tf.float32)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "family": keras.saving.serialize_keras_object(self.family),
            "event_shape": list(self.event_shape),
        }

    def _event_shape(self, event_shape: Sequence[int] | None) -> tuple[int, ...]:
        """Returns the variable's shape, after checking that the network's output fits it."""
        event = None if event_shape is None else tuple(int(size) for size in event_shape)
        needed = None if event is None else self.family.params_shape(event)
        if self._condition_shape is None:
            output = tuple(self.network.output_shape[1:])
        else:
            what = f"The {self.name}'s network {self.network.name!r}"
            gives = f"[{', '.join(map(str, ('batch', *(needed or ['...']))))}]"
            output = own.output_shape(self.network, self._input_shapes, what, gives)
        if event is not None:
            if not event or output != needed:
                raise errors.InputError(
                    f"Network {self.network.name!r} returns shape {output} per example, but a "
                    f"{self.family.name} variable of shape {event} needs {needed}: change the "
                    "network's last layer."
                )
            return event
        found = None if None in output else self.family.event_shape(output)
        if found is None:
            raise errors.InputError(
                f"Network {self.network.name!r} returns shape {output} per example, but the "
                f"{self.family.name} family reads {self.family.reads}: change the network's last "
                "layer."
            )
        return found


@keras.saving.register_keras_serializable("zoo")
class ImplicitConditional(BaseConditional):
    """A conditional with samples but no density: the network maps noise to samples.

        z = network([x, e]),   e ~ N(0, I)

    See Mescheder et al. "Adversarial Variational Bayes." ICML 2017, section 2. Calling it returns
    a `zoo.distributions.implicit.Implicit` with batch shape [B]; its variables are the network's.

    Args:
      network: [B, ...], [B, noise_dim] -> [B, K], or [B, ...] for another variable.
      noise_dim: The length of e.
      draws: The number of e over which mean and standard deviation are computed.

    Raises:
      InputError: the network does not take x and noise of `noise_dim`, or `noise_dim` or `draws` is
        not a positive whole number.
    """

    def __init__(
        self,
        network: keras.Model | dict[str, Any],
        noise_dim: int,
        draws: int = 64,
        condition_shape: Sequence[int] | None = None,
        c_shape: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(network, condition_shape, c_shape, **kwargs)
        for what, value, least in (("noise_dim", noise_dim, 1), ("draws", draws, 2)):
            if type(value) is not int or value < least:
                raise errors.InputError(
                    f"{what} of an ImplicitConditional is {value!r}: give a whole number of "
                    f"{least} or more."
                )
        self.noise_dim = noise_dim
        self.draws = draws
        self.event_shape = self._event_shape()
        self.built = True

    @property
    def capabilities(self) -> Capabilities:
        return dataclasses.replace(IMPLICIT_ENCODER, name="an implicit conditional")

    def example(self) -> Any:
        zeros = [tf.zeros([1, *shape]) for shape in self._input_shapes]
        return self(zeros if len(zeros) > 1 else zeros[0])

    @property
    def kind(self) -> str:
        return "implicit"

    @property
    def condition_shape(self) -> tuple[int, ...]:
        if self._condition_shape is not None:
            return self._condition_shape
        return tuple(self.network.input_shape[0][1:])

    def _event_shape(self) -> tuple[int, ...]:
        if self._condition_shape is not None:
            shapes = [*self._input_shapes, (self.noise_dim,)]
            what = f"The {self.name}'s network {self.network.name!r}"
            return own.output_shape(self.network, shapes, what, "[batch, ...], one z for each x")
        inputs = self.network.input_shape
        rest = [*([] if self.c_shape is None else [self.c_shape]), (self.noise_dim,)]
        if not isinstance(inputs, list) or [shape[1:] for shape in inputs[1:]] != rest:
            listed = "[x, e]" if self.c_shape is None else "[x, c, e]"
            raise errors.InputError(
                f"Network {self.network.name!r} takes shape {inputs}: an implicit conditional's "
                f"takes the condition and {self.noise_dim} numbers of noise, {listed}."
            )
        return tuple(self.network.output_shape[1:])

    def call(self, inputs: Any, training: bool = False) -> Any:
        read = list(inputs) if isinstance(inputs, list | tuple) else [inputs]

        def push(noise: tf.Tensor) -> tf.Tensor:
            return tf.cast(self.network([*read, noise], training=training), tf.float32)

        size = read[0].shape[0]
        batch_size = tf.shape(read[0])[0] if size is None else size
        return Implicit(push, batch_size, self.event_shape, self.noise_dim, self.draws)

    def relaxed_sample(self, distribution: Any, seed: Any, replica: Replica = ALONE) -> tf.Tensor:
        return distribution.sample_of(replica, stateless_seed(seed))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "noise_dim": self.noise_dim, "draws": self.draws}


def stateless_seed(seed: Any) -> tf.Tensor:
    """Returns `seed`, two whole numbers of any integer type, as the int32 [2] that TFP needs.

    keras.random.SeedGenerator returns int64. One seed draws the same numbers every time, but XLA
    draws other numbers than TensorFlow without it. Raises InputError if `seed` is not a seed.
    """
    seed = tf.convert_to_tensor(seed)
    if seed.shape != (2,) or not seed.dtype.is_integer:
        raise errors.InputError(
            f"A seed has dtype {seed.dtype.name} and shape {seed.shape}: give two whole numbers."
        )
    return tf.cast(seed, tf.int32)
