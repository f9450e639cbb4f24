"""Samples of the two distributions that a critic's term compares, drawn from a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from zoo.bounds.examples import Examples
from zoo.bounds.variational import Ratios
from zoo.critics.fresh import Draw, Parts
from zoo.terms.critic import Pair

_BATCH = 256
_DRAWS = 8  # of z for each example; images are drawn once
_POOLED = 4  # draws for each example in a pool
_STREAM = 7_000  # added to the seed, so that each set of examples has different noise


class Compared(Protocol):
    """The interface of a term that `Pairs` needs."""

    @property
    def space(self) -> str:
        """The compared variables: "x", "z" or "xz"."""

    def pair(self, joints: Any) -> Pair:
        """Returns samples of the two distributions."""
        ...


class Pairs:
    """Draws samples of the distributions a and b of one term, from examples of the data.

    z is a true sample of q(z|x): a critic would easily tell a relaxed sample, as used in training,
    from the prior. If samples of x have no gradient, their mean is used, as in training. With a
    condition, the encoded c is the last part of a and b, so that a critic tells q(z,c) from
    p(z)q(c).

    Args:
      model: a LagrangianModel.
      term: the term whose `pair` defines a and b.
      seed: seed of all noise.
    """

    def __init__(self, model: Any, term: Compared, seed: int = 0):
        self._model = model
        self._term = term
        self._seed = seed
        self._traced = tf.function(self._pair, autograph=False, reduce_retracing=True)

    @property
    def draws(self) -> int:
        return _DRAWS if self._term.space == "z" and self._of_vectors else 1

    @property
    def _of_vectors(self) -> bool:
        return len(self._model.encoder.event_shape) == 1

    def _pair(self, x: Any, z: Any, c: Any, seed: Any) -> tuple[Parts, Parts]:
        given = {} if c is None else {"c": c}
        joints = self._model.joints(x, seed, z=z, relaxed=False, **given)
        pair = self._term.pair(joints)
        seen = () if c is None else (joints.condition,)
        return (*pair.a, *seen), (*pair.b, *seen)

    def draw(self, examples: Examples) -> Draw:
        """Returns a function from a seed to batches of a and of b, from random examples."""
        x = tf.constant(examples.x)
        z, c = (None if p is None else tf.constant(p) for p in (examples.z, examples.c))

        def pick(values: Any, seed: Any) -> Any:
            n = tf.shape(values)[0]
            rows = tf.random.stateless_uniform([_BATCH], seed, 0, n, tf.int32)
            return tf.gather(values, rows)

        def drawn(seed: tf.Tensor) -> tuple[Parts, Parts]:
            fold = tf.random.experimental.stateless_fold_in
            # x and z of two data sets are independent.
            partners = None if z is None else pick(z, fold(seed, 2))
            given = None if c is None else pick(c, fold(seed, 1))
            return self._pair(pick(x, fold(seed, 1)), partners, given, fold(seed, 3))

        return drawn

    def pool(self, examples: Examples) -> Pool:
        """Returns samples of a and of b, drawn once from the present model: see `Pool`."""
        return Pool(self, examples)

    def samples(self, examples: Examples, draw: int = 0) -> tuple[Parts, Parts]:
        """Returns one sample of a and of b for each example, as arrays."""
        parts: tuple[list[Any], list[Any]] = ([], [])
        for index, batch in enumerate(examples.in_batches()):
            # The noise of the two sets must differ, even if both start with the same example.
            seed = tf.constant([self._seed + _STREAM * (draw + 1), len(examples) + index])
            for kept, found in zip(parts, self._traced(*batch.parts(), seed), strict=True):
                kept.append([np.asarray(part) for part in found])
        a, b = (tuple(map(np.concatenate, zip(*kept, strict=True))) for kept in parts)
        return a, b

    def ratios(
        self, examples: Examples, log_ratio: Callable[[Parts], np.ndarray], draws: int | None = None
    ) -> Ratios:
        """Returns a log ratio at `draws` samples of a and of b for each example."""
        columns: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        for draw in range(draws or self.draws):
            for column, parts in zip(columns, self.samples(examples, draw), strict=True):
                column.append(log_ratio(parts))
        return Ratios.of(*(np.stack(column, axis=1) for column in columns))


class Pool:
    """Batches of a and of b from a few stored samples of each example.

    Storing them saves time: a critic fitted to tens of thousands of examples, as for margins, would
    spend most of its time on encoding the same examples again.

    Args:
      pairs: draws the samples.
      examples: the examples of the data.
    """

    def __init__(self, pairs: Pairs, examples: Examples):
        self._pairs = pairs
        self._examples = examples
        self._sides = tuple(
            tuple(tf.Variable(part, trainable=False) for part in side) for side in self._drawn()
        )

    def refresh(self) -> None:
        """Draws all samples again from the present model."""
        for kept, found in zip(self._sides, self._drawn(), strict=True):
            for variable, part in zip(kept, found, strict=True):
                variable.assign(part)

    def draw(self, seed: tf.Tensor) -> tuple[Parts, Parts]:
        """Returns a random batch of a and one of b."""
        fold = tf.random.experimental.stateless_fold_in
        a, b = (_picked(side, fold(seed, k)) for k, side in enumerate(self._sides))
        return a, b

    def _drawn(self) -> tuple[Parts, Parts]:
        draws = min(self._pairs.draws, _POOLED)
        found = [self._pairs.samples(self._examples, draw) for draw in range(draws)]
        a, b = (
            tuple(map(np.concatenate, zip(*side, strict=True))) for side in zip(*found, strict=True)
        )
        return a, b


def _picked(parts: Parts, seed: tf.Tensor) -> Parts:
    """Returns the same rows of each part of an example."""
    n = tf.shape(parts[0])[0]
    rows = tf.random.stateless_uniform([_BATCH], seed, 0, n, tf.int32)
    return tuple(tf.gather(part, rows) for part in parts)
