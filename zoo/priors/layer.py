"""The prior as a layer: fixed, with a distribution's variables, or a user's class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow_probability as tfp

from zoo.errors import InputError
from zoo.priors import fixed, written

tfd = tfp.distributions


class Prior(keras.layers.Layer):
    """The prior p(z) as a layer: calling it returns a tfd distribution at the present weights.

    To write a prior, create weights in `make`, return a distribution from `call`, and register the
    class with `keras.saving.register_keras_serializable`, so that models can be loaded:

    ```python
    @keras.saving.register_keras_serializable("mine")
    class Shifted(zoo.priors.Prior):
        def make(self, encoder):
            self.mean = self.add_weight(shape=encoder.event_shape, name="mean")

        def call(self):
            return tfd.MultivariateNormalDiag(tf.convert_to_tensor(self.mean))
    ```

    `zoo.build(..., prior=Shifted())` trains its weights with those of encoder and decoder. The
    distribution has batch shape [] and float32 events [K]; log densities are differentiable in
    the weights.
    """

    is_data = False
    built: bool
    # The fix in errors, if a term needs reparameterised samples and `pathwise` is False.
    remedy = "use a prior whose samples are reparameterised"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        self._encoder: Callable[[], Any] | None = None

    def make(self, encoder: Any) -> None:
        """Creates the weights; `encoder` has `event_shape` [K] and `condition_shape` [H, W, C]."""

    def call(self) -> Any:
        """Returns p(z), a tfd distribution with batch shape [] and event shape [K]."""
        raise NotImplementedError

    def __call__(self) -> Any:  # Keras cannot call a layer without an input.
        return self.distribution

    @property
    def distribution(self) -> Any:
        """p(z) at the present weights."""
        return self.call()

    @property
    def pathwise(self) -> bool:
        """Whether samples are reparameterised in all weights: grad E_p f(z) = E_p grad f(z)."""
        return bool(self.distribution.reparameterization_type == tfd.FULLY_REPARAMETERIZED)

    @property
    def encoder(self) -> Any:
        """q(z|x) of the model with this prior."""
        if self._encoder is None:
            raise InputError(f"The {type(self).__name__} {self.name!r} is in no model yet.")
        return self._encoder()

    def attach(self, encoder: Any) -> None:
        """Creates the weights and stores q(z|x); a model calls it once.

        Raises:
          InputError: another model has this layer.
        """
        if self._encoder is not None and self._encoder() is not encoder:
            raise InputError(
                f"The {type(self).__name__} {self.name!r} is the prior of another model: make one "
                "for each."
            )
        # In a function, so that Keras does not track its layers here and save them twice.
        self._encoder = lambda: encoder
        if not self.built:
            self.make(encoder)
            self.built = True

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["dtype"]
        return config


class FixedPrior(Prior):
    """A fixed tfd distribution; every call returns the same object."""

    def __init__(self, distribution: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        fixed.event_shape(distribution)
        self._fixed = lambda: distribution
        self.is_data = fixed.is_data(distribution)

    def call(self) -> Any:
        return self._fixed()


@keras.saving.register_keras_serializable("zoo")
class TrainedPrior(Prior):
    """A tfd distribution with trained variables, which become weights of this layer.

    Every call makes the distribution from the present weights. Weights are unconstrained, like the
    variables: a scale may become negative. A subclass of `Prior` can apply a softplus instead.

    Args:
      template: the distribution as written by `zoo.priors.written.template`.
      initial: the variables' initial values, arrays or nested lists.
    """

    def __init__(self, template: dict[str, Any], initial: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._template = lambda: template
        self._initial = [np.asarray(value, np.float32) for value in initial]
        self._values = [
            self.add_weight(
                name=f"variable_{index}",
                shape=value.shape,
                initializer=keras.initializers.Constant(value),
                autocast=False,
            )
            for index, value in enumerate(self._initial)
        ]
        fixed.event_shape(self.distribution)

    def call(self) -> Any:
        return written.from_template(self._template(), self._values)

    def get_config(self) -> dict[str, Any]:
        initial = [value.tolist() for value in self._initial]
        return {**super().get_config(), "template": self._template(), "initial": initial}


def as_prior(prior: Any) -> Prior:
    """Returns `prior` if it is a layer, or a layer for a tfd distribution.

    Trainable variables of a distribution become weights of the layer with the same initial values;
    the variables do not change.

    Raises:
      InputError: it is neither, its shape is not that of a prior, or it has variables that cannot
        be trained, such as those of a bijector.
    """
    if isinstance(prior, Prior):
        return prior
    fixed.event_shape(prior)
    if not written.variables_of(prior):
        return FixedPrior(prior)
    kind = type(prior).__name__
    try:
        template, variables = written.template(prior)
    except InputError as error:
        raise InputError(
            f"The prior, a {kind}, has variables that would not be trained ({error}): write a "
            "subclass of zoo.priors.Prior with these weights, or pass their values."
        ) from None
    for variable in variables:
        if keras.backend.standardize_dtype(variable.dtype) != "float32":
            raise InputError(
                f"The prior, a {kind}, has a trainable variable of dtype "
                f"{keras.backend.standardize_dtype(variable.dtype)}: make it float32."
            )
    return TrainedPrior(template, [keras.ops.convert_to_numpy(v) for v in variables])


def to_config(prior: Prior) -> dict[str, Any]:
    """Returns a prior as plain data: by `serialise` if it is fixed, otherwise by Keras."""
    if isinstance(prior, FixedPrior):
        return written.serialise(prior.distribution)
    return keras.saving.serialize_keras_object(prior)


def from_config(config: dict[str, Any], custom_objects: Any = None) -> Any:
    """Returns the distribution or the layer from a config of `to_config`.

    Raises:
      InputError: the config is neither.
    """
    if not isinstance(config, dict) or "config" not in config:
        return written.deserialise(config)
    prior = keras.saving.deserialize_keras_object(config, custom_objects)
    if not isinstance(prior, Prior):
        raise InputError(f"The prior is a {type(prior).__name__}: it must be a zoo.priors.Prior.")
    return prior


def check_learned(prior: Prior, terms: Mapping[str, Any]) -> None:
    """Checks that the trained terms give a learned prior its correct gradient.

    Raises:
      InputError: a term gives a wrong gradient, or no term depends on the prior.
    """
    if not prior.trainable_variables:
        return
    kind = type(prior).__name__
    reads = {name: term.reads_prior(prior.distribution) for name, term in terms.items()}
    for name, how in reads.items():
        if how == "fixed":
            raise InputError(
                f"{name} leaves out the entropy of p(z), which is not constant for a learned prior "
                f"such as this {kind}: use a fixed prior, or an objective without {name}."
            )
        if how == "samples" and not prior.pathwise:
            raise InputError(
                f"{name} needs gradients through samples of the prior, which this {kind} does not "
                f"have in all its weights: {prior.remedy}."
            )
    if not {"density", "samples"} & set(reads.values()):
        raise InputError(
            f"None of the trained terms, {', '.join(reads)}, reads the prior, so that the {kind} "
            "would never be trained: use a fixed prior, or an objective with RATE."
        )
