"""What a model is asked: its prior and conditionals, samples and reconstructions."""

from __future__ import annotations

import contextlib
import dataclasses
from contextlib import AbstractContextManager
from typing import Any

import tensorflow as tf

from zoo import priors
from zoo.condition import Condition
from zoo.distributions import probes
from zoo.distributions.conditionals import BaseConditional, stateless_seed
from zoo.errors import InputError
from zoo.model.given import Given
from zoo.model.inputs import checked
from zoo.model.own_data import TakesOwnData
from zoo.model.weight_averages import WeightAverages
from zoo.objectives.capabilities import DECODER, ENCODER, PRIOR, Capabilities


class Queries(TakesOwnData):
    """p(z), q(z|x) and p(x|z) of the parts that `LagrangianModel` holds, for whoever uses it."""

    encoder: BaseConditional
    prior_layer: priors.Prior
    condition: Condition | None
    averages: WeightAverages | None
    seed: int

    @property
    def prior(self) -> Any:
        """p(z), a tfd distribution at the present weights of `prior_layer`."""
        return self.prior_layer.distribution

    def encode(self, x: Any, condition: Any = None) -> Any:
        """Returns q(z|x), a tfd distribution, for x [B, ...], or what `TakesOwnData` takes.

        q(z|x,c) where there is a condition: one for each example, or a single one for all.
        """
        x = checked(self.as_x(x), self.encoder.condition_shape, "images")
        return self.encoder(self._read(x, condition))

    def decode(self, z: Any, condition: Any = None) -> Any:
        """Returns p(x|z), a tfd distribution, for latents z [B, K]; `condition` as in `encode`."""
        z = checked(z, self.decoder.condition_shape, "latents")
        return self.decoder(self._read(z, condition))

    def reconstruct(self, x: Any, condition: Any = None) -> tf.Tensor:
        """Returns E[x|z] at the mean of q(z|x), [B, ...]; samples of what has no mean.

        `condition` as in `encode`.
        """
        z = self.encoder.mean_or_sample(self.encode(x, condition), [self.seed, 0])
        return self.decoder.mean_or_sample(self.decode(z, condition), [self.seed, 1])

    def sample(self, n: int, seed: int = 0, condition: Any = None) -> tf.Tensor:
        """Returns E[x|z] for n draws z ~ p(z), [n, ...]; of the averaged weights, if any are.

        Where p(x|z) has no mean, x ~ p(x|z). `condition` as in `encode`; of classes each in turn,
        0, 1, ..., where none is given.

        Raises:
          InputError: the condition does not fit, or is missing.
        """
        seeds = stateless_seed([self.seed, seed])
        with self.averaged():
            z = self.prior.sample(n, seed=seeds)
            p = self.decode(z, self._in_turn(n, condition))
            return self.decoder.mean_or_sample(p, seeds + 1)

    def draw(self, n: int, seed: int = 0, condition: Any = None) -> tf.Tensor:
        """Returns draws x ~ p(x|z) for n draws z ~ p(z), [n, ...]; all else as in `sample`."""
        seeds = stateless_seed([self.seed, seed])
        with self.averaged():
            z = self.prior.sample(n, seed=seeds)
            return self.decode(z, self._in_turn(n, condition)).sample(seed=seeds + 1)

    @property
    def capabilities(self) -> dict[str, Capabilities]:
        """What q(z|x), p(x|z) and p(z) can do."""
        learned = bool(self.prior_layer.trainable_variables)
        found = dataclasses.replace(probes.of_prior(self.prior), trained=learned)
        if learned:
            # Samples of equal components carry the whole gradient, which TFP does not know.
            found = dataclasses.replace(found, reparameterised=self.prior_layer.pathwise)
        return {
            ENCODER: self.encoder.capabilities,
            DECODER: self.decoder.capabilities,
            PRIOR: found,
        }

    def given(self, condition: Any) -> Given:
        """Returns the unconditional model at one value of the condition, for metrics.

        Raises:
          InputError: the model has no condition.
        """
        return Given(self, condition)

    def averaged(self) -> AbstractContextManager[None]:
        """Returns a context in which all parts but critics have averaged weights, if any."""
        return contextlib.nullcontext() if self.averages is None else self.averages.in_place()

    def _in_turn(self, n: int, condition: Any) -> Any:
        """Returns the condition of n samples: classes in turn where none is given."""
        if condition is None and self.condition is not None:
            return self.condition.values(n)
        return condition

    def _encoded_condition(self, condition: Any, variable: Any) -> tf.Tensor | None:
        if self.condition is None and condition is not None:
            raise InputError("This model has no condition: leave out condition.")
        if self.condition is None:
            return None
        if condition is None:
            raise InputError(f"This model has a condition: give condition, {self.condition.wants}.")
        return self.condition.encoded(condition, tf.shape(variable)[0])

    def _read(self, variable: Any, condition: Any) -> Any:
        c = self._encoded_condition(condition, variable)
        return variable if c is None else [variable, c]
