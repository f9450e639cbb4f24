"""The distributions a network can parametrise: Bernoulli, Normal and Laplace."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from zoo import errors
from zoo.replicas import ALONE, Replica

tfd = tfp.distributions

Scale = float | Literal["learned", "per_element"]
SHOWS = ("sample", "mean")


class Family:
    """Turns a network's raw outputs into the distribution of a variable.

    `params_shape` says how many outputs that takes. Here, for independent elements, it is
    `params_per_element` numbers for each: the network's last axis is that many times as long as
    the variable's. `learns_scale` says that the family needs one trainable scalar beside the
    network, whose first value is `initial_raw_scale`.
    """

    name: ClassVar[str]
    has_density = True
    params_per_element = 1
    learns_scale = False
    initial_raw_scale = 0.0

    @property
    def reads(self) -> str:
        """How many outputs of the network are read, in words."""
        return f"a multiple of {self.params_per_element} along the last axis"

    def params_shape(self, event_shape: Sequence[int]) -> tuple[int, ...]:
        """Returns the shape of what is read for one example of a variable of `event_shape`."""
        last = tuple(size * self.params_per_element for size in event_shape[-1:])
        return (*event_shape[:-1], *last)

    def event_shape(self, params_shape: Sequence[int]) -> tuple[int, ...] | None:
        """Returns the shape of the variable that `params_shape` is for, or `None` if none is."""
        if not params_shape or params_shape[-1] % self.params_per_element:
            return None
        return (*params_shape[:-1], params_shape[-1] // self.params_per_element)

    def distribution(self, params: tf.Tensor, raw_scale: tf.Tensor | None = None) -> Any:
        """Returns the distribution of `params`, float32 [B, ...], with batch shape [B]."""
        raise NotImplementedError

    def relaxed_sample(
        self, distribution: Any, seed: tf.Tensor, replica: Replica = ALONE
    ) -> tf.Tensor:
        """Returns what stands for a sample and lets gradients reach the parameters."""
        return replica.drawn(distribution, seed)

    def get_config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Family:
        return cls(**config)


class _ByLogits(tfd.Bernoulli):  # type: ignore[name-defined]
    """tfd.Bernoulli, whose log density takes one softplus, where TFP's takes two."""

    def _log_prob(self, event: Any) -> Any:
        logits = self.logits_parameter()
        # x l - softplus(l)
        return event * logits - tf.nn.softplus(logits)


@keras.saving.register_keras_serializable("zoo")
class Bernoulli(Family):
    """Independent Bernoulli elements, parametrised by logits.

        log p(x|l) = sum_i [ x_i l_i - softplus(l_i) ]

    For x between 0 and 1 this is minus the cross-entropy, the usual surrogate for grey images
    (it is then no normalised density of x).
    """

    name = "bernoulli"

    def distribution(self, params: tf.Tensor, raw_scale: tf.Tensor | None = None) -> Any:
        # With its default dtype, int32, TFP would round a NumPy x down to whole numbers.
        return _independent(_ByLogits(logits=params, dtype=tf.float32))

    def relaxed_sample(
        self, distribution: Any, seed: tf.Tensor, replica: Replica = ALONE
    ) -> tf.Tensor:
        """Returns the mean: a Bernoulli sample has no gradient, so critics see probabilities."""
        return distribution.mean()


class _LocationScale(Family):
    """Location from the network; scale fixed, one learned scalar, or from the network too.

        scale = floor + softplus(raw)

    The floor keeps the density bounded: without one, an objective that rewards information has
    no lower bound. Learned scales start at 1 (at twice the floor where that is more), and a
    per-element raw output of 0 means that same scale. A fixed scale is used as given.
    """

    def __init__(
        self,
        scale: Scale = 1.0,
        floor: float = 0.01,
        shows: Literal["sample", "mean"] = "sample",
    ) -> None:
        if isinstance(scale, str):
            if scale not in ("learned", "per_element"):
                raise errors.unknown("scale", scale, ("learned", "per_element"))
        elif not is_positive(scale):
            raise errors.InputError(
                f"A {self.name} likelihood's scale is {scale!r}: give a positive number, "
                "'learned' or 'per_element'."
            )
        if not is_positive(floor):
            raise errors.InputError(
                f"A {self.name} likelihood's floor is {floor!r}: give a positive number."
            )
        self.scale = scale if isinstance(scale, str) else float(scale)
        if shows not in SHOWS:
            raise errors.unknown(f"thing that a {self.name} likelihood shows", str(shows), SHOWS)
        self.floor = float(floor)
        self.shows = shows
        self.params_per_element = 2 if scale == "per_element" else 1
        self.learns_scale = scale == "learned"
        initial_softplus = max(1.0, 2.0 * self.floor) - self.floor
        self.initial_raw_scale = math.log(math.expm1(initial_softplus))

    def distribution(self, params: tf.Tensor, raw_scale: tf.Tensor | None = None) -> Any:
        if self.scale == "per_element":
            location, offset = tf.split(params, 2, axis=-1)
            scale = self.floor + tf.nn.softplus(self.initial_raw_scale + offset)
        elif self.scale == "learned":
            location, scale = params, self.floor + tf.nn.softplus(raw_scale)
        else:
            location, scale = params, tf.constant(self.scale, params.dtype)
        return _independent(self._elements(location, scale))

    def relaxed_sample(
        self, distribution: Any, seed: tf.Tensor, replica: Replica = ALONE
    ) -> tf.Tensor:
        """Returns a reparameterised sample, or the mean if that is what the family shows."""
        return distribution.mean() if self.shows == "mean" else replica.drawn(distribution, seed)

    def _elements(self, location: tf.Tensor, scale: tf.Tensor) -> Any:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {"scale": self.scale, "floor": self.floor, "shows": self.shows}


@keras.saving.register_keras_serializable("zoo")
class Normal(_LocationScale):
    """Independent Normal elements.

        log p(x|m,s) = sum_i [ -(x_i - m_i)^2 / (2 s_i^2) - log s_i - log(2 pi) / 2 ]

    scale: a positive number, "learned" (one trainable scalar) or "per_element" (the network's
    last axis holds the means, then as many raw scales); learned scales are floor + softplus(raw).
    shows: what critics, and the other network, are given for a sample: "sample", or "mean", as the
    deterministic generators of CycleGAN have it. A term that is estimated at samples, such as RATE
    where it has no closed form, needs "sample".
    """

    name = "normal"

    def _elements(self, location: tf.Tensor, scale: tf.Tensor) -> Any:
        return tfd.Normal(location, scale)


@keras.saving.register_keras_serializable("zoo")
class Laplace(_LocationScale):
    """Independent Laplace elements.

        log p(x|m,s) = sum_i [ -|x_i - m_i| / s_i - log(2 s_i) ]

    scale: a positive number, "learned" (one trainable scalar) or "per_element" (the network's
    last axis holds the means, then as many raw scales); learned scales are floor + softplus(raw).
    shows: what critics, and the other network, are given for a sample: "sample", or "mean", as the
    deterministic generators of CycleGAN have it. A term that is estimated at samples, such as RATE
    where it has no closed form, needs "sample".
    """

    name = "laplace"

    def _elements(self, location: tf.Tensor, scale: tf.Tensor) -> Any:
        return tfd.Laplace(location, scale)


_FAMILIES: dict[str, type[Family]] = {each.name: each for each in (Bernoulli, Normal, Laplace)}


def names() -> list[str]:
    """Returns the names of the likelihoods."""
    return sorted(_FAMILIES)


def family(name: str, **options: Any) -> Family:
    """Returns the likelihood called `name`, e.g. family("normal", scale="learned").

    Raises InputError for an unknown name, an unknown option or an impossible value.
    """
    if name not in _FAMILIES:
        raise errors.unknown("likelihood", name, names())
    known = list(_FAMILIES[name]().get_config())
    for option in options:
        if not known:
            raise errors.InputError(f"A {name} likelihood has no option {option!r}: leave it out.")
        if option not in known:
            raise errors.unknown(f"option of the {name} likelihood", option, known)
    return _FAMILIES[name](**options)


def _independent(elements: Any) -> Any:
    """Joins every axis but the first into the event."""
    return tfd.Independent(elements, reinterpreted_batch_ndims=len(elements.batch_shape) - 1)


def is_positive(value: Any) -> bool:
    """Returns whether `value` is a finite number above 0."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return number and math.isfinite(value) and value > 0
