"""Families of distributions for networks: Bernoulli, Normal, Laplace, and registered ones.

A user's likelihood is a `Likelihood` that defines `distribution`:

```python
@likelihoods.register
class Counts(likelihoods.Likelihood):
    name = "counts"

    def distribution(self, params, raw_scale=None):
        counts = tfd.Poisson(log_rate=params)
        return tfd.Independent(counts, reinterpreted_batch_ndims=len(params.shape) - 1)
```
"""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from zoo import errors
from zoo.distributions.replicas import ALONE, Replica

tfd = tfp.distributions

Scale = float | Literal["learned", "per_element"]
SHOWS = ("sample", "mean")
# Capabilities that are found by its distribution if the family does not declare them.
DECLARED = ("has_density", "has_mean", "reparameterised")
MEAN = "mean"  # the stand-in that needs no code


class Likelihood:
    """A family: maps a network's raw outputs to the distribution of a variable.

    `params_shape` is the shape of the outputs that it needs. For independent elements, the default,
    these are `params_per_element` numbers for each: the network's last axis is that many times as
    long as the variable's. With `learns_scale` the family needs trainable numbers apart from the
    network, one scalar unless `raw_scale_shape` says otherwise, with the initial value
    `initial_raw_scale`. `shape` is the only shape of a variable that the family is for, if any.

    The properties `has_density`, `has_mean`, `reparameterised` and `stand_in` declare the family's
    capabilities; a subclass may set them as class attributes. If one of the first three is None it
    is found by trying the distribution; see `Conditional.capabilities`.
    """

    name: ClassVar[str]  # by default the class's name in small letters
    params_per_element = 1
    learns_scale = False
    raw_scale_shape: tuple[int, ...] = ()
    initial_raw_scale = 0.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not hasattr(cls, "name"):
            cls.name = cls.__name__.lower()
        # So that models with it can be copied and saved, even if `register` is not used.
        keras.saving.register_keras_serializable(cls.__module__)(cls)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The only shape of a variable that the family is for; None: any."""
        return None

    @property
    def has_density(self) -> bool | None:
        """Whether log densities can be evaluated; None to find out from the distribution."""
        return None

    @property
    def has_mean(self) -> bool | None:
        """Whether there is a mean; None to find out from the distribution."""
        return None

    @property
    def reparameterised(self) -> bool | None:
        """Whether samples are reparameterised; None to find out from the distribution."""
        return None

    @property
    def stand_in(self) -> str | None:
        """The name of what `relaxed_sample` returns in place of a sample; None for a sample.

        "mean" needs no code. Another word, such as "relaxation", names what the subclass's
        `relaxed_sample` returns.
        """
        return None

    @property
    def reads(self) -> str:
        """The number of outputs that the network needs, in words."""
        return f"a multiple of {self.params_per_element} along the last axis"

    def params_shape(self, event_shape: Sequence[int]) -> tuple[int, ...]:
        """Returns the shape of the outputs for one example of a variable of `event_shape`."""
        last = tuple(size * self.params_per_element for size in event_shape[-1:])
        return (*event_shape[:-1], *last)

    def event_shape(self, params_shape: Sequence[int]) -> tuple[int, ...] | None:
        """Returns the variable's shape for outputs of `params_shape`, or `None` if none fits."""
        if not params_shape or params_shape[-1] % self.params_per_element:
            return None
        return (*params_shape[:-1], params_shape[-1] // self.params_per_element)

    def distribution(self, params: tf.Tensor, raw_scale: tf.Tensor | None = None) -> Any:
        """Returns the distribution of `params`, float32 [B, ...], with batch shape [B]."""
        raise NotImplementedError

    def relaxed_sample(
        self, distribution: Any, seed: tf.Tensor, replica: Replica = ALONE
    ) -> tf.Tensor:
        """Returns the sample that terms receive, or the mean if `stand_in` says so.

        A family with another stand-in overrides this.
        """
        if self.stand_in == MEAN:
            return distribution.mean()
        return replica.drawn(distribution, seed)

    def get_config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Likelihood:
        return cls(**config)


class _ByLogits(tfd.Bernoulli):  # type: ignore[name-defined]
    """tfd.Bernoulli, whose log density takes one softplus, where TFP's takes two."""

    def _log_prob(self, event: Any) -> Any:
        logits = self.logits_parameter()
        # x l - softplus(l)
        return event * logits - tf.nn.softplus(logits)


@keras.saving.register_keras_serializable("zoo")
class Bernoulli(Likelihood):
    """Independent Bernoulli elements, parametrised by logits.

        log p(x|l) = sum_i [ x_i l_i - softplus(l_i) ]

    For x between 0 and 1 this is minus the cross-entropy, the usual surrogate for grey images; it
    is then not a normalised density of x.
    """

    name = "bernoulli"
    stand_in = MEAN  # a Bernoulli sample has no gradient, so critics receive probabilities

    def distribution(self, params: tf.Tensor, raw_scale: tf.Tensor | None = None) -> Any:
        # With the default dtype, int32, TFP would truncate a NumPy x to whole numbers.
        return _independent(_ByLogits(logits=params, dtype=tf.float32))


class _LocationScale(Likelihood):
    """A location from the network; the scale is fixed, one learned scalar, or from the network.

        scale = floor + softplus(raw)

    The floor keeps the density bounded: without it, an objective that rewards information has no
    lower bound. Learned scales start at 1, or at twice the floor if that is more; a per-element raw
    output of 0 gives the same scale. A fixed scale ignores the floor.
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

    @property
    def stand_in(self) -> str | None:
        return MEAN if self.shows == "mean" else None

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


_FAMILIES: dict[str, type[Likelihood]] = {each.name: each for each in (Bernoulli, Normal, Laplace)}


def register(cls: type[Likelihood]) -> type[Likelihood]:
    """Registers your likelihood by its `name`; a class decorator.

    Then `family`, `zoo.build(..., likelihood=name)` and --likelihood=MODULE:NAME find it, and
    checkpoints with it can be read while its module is imported.

    Raises InputError if another class has that name.
    """
    there = _FAMILIES.get(cls.name)
    # A class may be defined again, as when a notebook cell is run twice.
    if there is not None and (there.__module__, there.__name__) != (cls.__module__, cls.__name__):
        raise errors.InputError(
            f"There is a likelihood {cls.name!r} in {there.__module__}: give yours another name."
        )
    _FAMILIES[cls.name] = cls
    return cls


def is_registered(module: str, class_name: str, registered_name: str) -> bool:
    """Returns whether the class that a Keras config names was registered by `register`."""
    return any(
        (cls.__module__, cls.__name__) == (module, class_name)
        and keras.saving.get_registered_name(cls) == registered_name
        for cls in _FAMILIES.values()
    )


def names() -> list[str]:
    """Returns the names of the likelihoods."""
    return sorted(_FAMILIES)


def family(name: str, **options: Any) -> Likelihood:
    """Returns the likelihood called `name`, e.g. family("normal", scale="learned").

    "my_parts:counts" is the likelihood "counts" that the imported module my_parts registers.

    Raises InputError for an unknown name, a module that is not imported, an unknown option or an
    impossible value.
    """
    module, colon, own = name.rpartition(":")
    if colon:
        name = _of_module(module, own)
    if name not in _FAMILIES:
        raise errors.unknown("likelihood", name, names())
    try:
        known = list(_FAMILIES[name]().get_config())
    except TypeError as error:
        raise errors.InputError(
            f"A {name} likelihood cannot be made by its name ({error}): give its options defaults, "
            "or pass the likelihood itself."
        ) from error
    for option in options:
        if not known:
            raise errors.InputError(f"A {name} likelihood has no option {option!r}: leave it out.")
        if option not in known:
            raise errors.unknown(f"option of the {name} likelihood", option, known)
    return _FAMILIES[name](**options)


def _of_module(module: str, name: str) -> str:
    """Returns `name`, after checking that the module registers such a likelihood."""
    if module not in sys.modules:
        raise errors.InputError(
            f"Likelihood '{module}:{name}' is of the module {module!r}, which is not imported: add "
            f"--import={module}."
        )
    there = list(vars(sys.modules[module]).values())
    own = [each for each, cls in _FAMILIES.items() if cls in there]
    if not own:
        raise errors.InputError(
            f"The module {module!r} registers no likelihood: put @likelihoods.register above "
            "its class."
        )
    if name not in own:
        raise errors.unknown(f"likelihood of {module!r}", name, own)
    return name


def _independent(elements: Any) -> Any:
    """Returns the distribution in which all axes but the first are the event."""
    return tfd.Independent(elements, reinterpreted_batch_ndims=len(elements.batch_shape) - 1)


def is_positive(value: Any) -> bool:
    """Returns whether `value` is a finite number above 0."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return number and math.isfinite(value) and value > 0
