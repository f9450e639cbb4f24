"""Fresh critics: fitted to a frozen model, without regularisation."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Parts = tuple[Any, ...]  # one tensor [B, ...] each: x, z, or x and z
Draw = Callable[[tf.Tensor], tuple[Parts, Parts]]

STEPS = 50  # of a round, after which the loss is checked
ROUNDS = 40
PATIENCE = 4  # rounds without a better loss before the rate falls, and before stopping
RATE = 1e-3
_WIDTH = 256
_SMALL = 8  # images with a smaller side are read as vectors
_NUMBERS = 2**18  # input numbers per batch when logits are computed


@dataclasses.dataclass(frozen=True)
class FreshCritic:
    """A fitted critic.

    Attributes:
      network: returns one logit per example, high at samples of a.
      loss: its cross entropy on the early-stopping samples; 2 log 2 for a guess.
      steps: the number of training steps.
    """

    network: keras.Model
    loss: float
    steps: int

    def __call__(self, parts: Parts) -> np.ndarray:
        """Returns the logits, float64 [N]."""
        return logits(self.network, parts)


def logits(network: keras.Model, parts: Parts) -> np.ndarray:
    """Returns a critic's logits, float64 [N]; for a critic of patches, their mean."""
    return _in_blocks(functools.partial(_called, network), parts)


def _in_blocks(call: Callable[[Parts], Any], parts: Parts) -> np.ndarray:
    size = max(256, _NUMBERS // max(math.prod(part.shape[1:]) for part in parts))
    found = []
    for start in range(0, len(parts[0]), size):
        values = call(tuple(part[start : start + size] for part in parts))
        found.append(np.asarray(values, np.float64).mean(axis=1))
    return np.concatenate(found)


def _called(network: keras.Model, parts: Parts, training: bool = False) -> tf.Tensor:
    """Returns a network's logits, float32 [B, patches]."""
    value = network(list(parts) if len(parts) > 1 else parts[0], training=training)
    return tf.reshape(tf.cast(value, tf.float32), [tf.shape(parts[0])[0], -1])


class Fitter:
    """Trains a critic to tell a from b, with early stopping on other samples.

        loss = E_a softplus(-T) + E_b softplus(T)          least at T = log a/b

    It is logistic regression for every divergence: Sugiyama et al. 2012, chapter 4. The learning
    rate is divided by 5 once, from the best weights. One Fitter may fit repeatedly, each time to
    the model's weights at that time.

    Args:
      network: the critic.
      draw: returns a batch of a and one of b for a seed, two whole numbers; it is traced once.
      seed: seed of the batches.
      rate: Adam's learning rate.
    """

    def __init__(self, network: keras.Model, draw: Draw, seed: int = 0, rate: float = RATE):
        self.network = network
        self._rate = rate
        self._optimizer = keras.optimizers.Adam(rate)
        self._optimizer.build(network.trainable_variables)
        self._start = [tf.identity(v.value) for v in self._optimizer.variables]
        self._round = tf.function(self._round_from, autograph=False)
        self._traced = tf.function(
            functools.partial(_called, network), autograph=False, reduce_retracing=True
        )
        self._draw = draw
        self._seed = seed

    def fit(self, choose: tuple[Parts, Parts], rounds: int = ROUNDS) -> FreshCritic:
        """Trains from the network's present weights, and keeps those with the smallest loss.

        Args:
          choose: early-stopping samples of a and of b, independent of those that `draw` returns.
          rounds: the largest number of rounds of 50 steps.
        """
        network, optimizer = self.network, self._optimizer
        for variable, value in zip(optimizer.variables, self._start, strict=True):
            variable.assign(value)
        best, kept, waited, lowered = self._loss(choose), network.get_weights(), 0, False
        index = 0
        for index in range(rounds):
            self._round(tf.constant(index * STEPS))
            loss = self._loss(choose)
            if math.isfinite(loss) and loss < best:
                best, kept, waited = loss, network.get_weights(), 0
                continue
            waited += 1
            if waited == PATIENCE:
                network.set_weights(kept)
                if lowered:
                    break
                optimizer.learning_rate.assign(self._rate / 5)
                lowered, waited = True, 0
        network.set_weights(kept)
        return FreshCritic(network, best, (index + 1) * STEPS)

    def _round_from(self, first: tf.Tensor) -> tf.Tensor:
        network, variables = self.network, self.network.trainable_variables

        def step(index: tf.Tensor) -> tf.Tensor:
            a, b = self._draw(tf.stack([tf.constant(self._seed, tf.int32), index]))
            with tf.GradientTape() as tape:
                t_a, t_b = (_called(network, parts, True) for parts in (a, b))
                # E_a softplus(-T) + E_b softplus(T)
                loss = tf.reduce_mean(tf.nn.softplus(-t_a)) + tf.reduce_mean(tf.nn.softplus(t_b))
            self._optimizer.apply(tape.gradient(loss, variables), variables)
            return index + 1

        return tf.while_loop(lambda i: i < first + STEPS, step, (first,), parallel_iterations=1)

    def _loss(self, choose: tuple[Parts, Parts]) -> float:
        t_a, t_b = (_in_blocks(self._traced, parts) for parts in choose)
        return float(np.logaddexp(0.0, -t_a).mean() + np.logaddexp(0.0, t_b).mean())


def fit(
    network: keras.Model,
    draw: Draw,
    choose: tuple[Parts, Parts],
    seed: int = 0,
    rounds: int = ROUNDS,
) -> FreshCritic:
    """Fits a critic once; arguments as for `Fitter` and `Fitter.fit`."""
    return Fitter(network, draw, seed).fit(choose, rounds)


def fresh_network(samples: Sequence[np.ndarray], seed: int = 0) -> keras.Model:
    """Returns an untrained critic for examples like `samples`, which set the scale of its inputs.

    It reads standardised codes e and e^2, in which the log ratio of two diagonal normals is
    linear, and images through two strided convolutions. Its initial logit is 0.

    Args:
      samples: [N, ...] for each part of an example.
      seed: seed of the weights.
    """
    inputs = [keras.Input(part.shape[1:]) for part in samples]
    start = _Starts(seed)
    flat = []
    features = []
    for x, part in zip(inputs, samples, strict=True):
        if part.ndim == 4 and min(part.shape[1:3]) >= _SMALL:
            mean, scale = float(part.mean()), float(part.std()) + 1e-6
            maps = (x - mean) / scale
            for width in (32, 64):
                maps = keras.layers.Conv2D(
                    width, 4, 2, "same", activation="leaky_relu", kernel_initializer=start()
                )(maps)
            features.append(keras.layers.Flatten()(maps))
        else:
            mean, scale = part.mean(axis=0), part.std(axis=0) + 1e-3
            e = keras.layers.Flatten()((x - mean) / scale)
            flat += [e, e**2]
    joined = _joined(features + flat)
    for _ in range(2):
        joined = keras.layers.Dense(_WIDTH, "leaky_relu", kernel_initializer=start())(joined)
    logit = keras.layers.Dense(1, kernel_initializer="zeros")(joined)
    if flat:
        logit += keras.layers.Dense(1, kernel_initializer="zeros", use_bias=False)(_joined(flat))
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], logit[:, 0])


def free(critic: keras.Model) -> keras.Model | None:
    """Returns a copy of a training critic without spectral normalisation, with its weights.

    Returns None for a critic whose layers cannot be copied, such as a subclassed model.
    """

    def bare(layer: keras.layers.Layer) -> keras.layers.Layer:
        if not isinstance(layer, keras.layers.SpectralNormalization):
            return layer.__class__.from_config(layer.get_config())
        inner: Any = layer.layer
        return inner.__class__.from_config({**inner.get_config(), "name": layer.name})

    try:
        copy = keras.models.clone_model(critic, clone_function=bare)
    except (ValueError, TypeError, NotImplementedError):  # raised by a user's layers
        return None
    copy_weights(critic, copy)
    return copy


def copy_weights(critic: keras.Model, copy: keras.Model) -> None:
    """Copies a critic's present weights to a copy made by `free`."""
    for layer, other in zip(critic.layers, copy.layers, strict=True):
        source = layer.layer if isinstance(layer, keras.layers.SpectralNormalization) else layer
        other.set_weights(source.get_weights())


class _Starts:
    """Initial weights of one layer after another, a function of one seed."""

    def __init__(self, seed: int):
        self._seed = seed
        self._count = 0

    def __call__(self) -> keras.initializers.Initializer:
        self._count += 1
        return keras.initializers.GlorotUniform(seed=100 * self._seed + self._count)


def _joined(parts: Sequence[Any]) -> Any:
    return keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
