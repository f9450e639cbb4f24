"""A distribution of a vector with independent blocks of different kinds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


class Blocks(tfp.distributions.Distribution):
    """Independent vectors, concatenated: tfd.Blockwise with standard deviations and a KL.

        log p(z) = sum_b log p_b(z_b),   z = [z_1, z_2, ...]
        KL(q||p) = sum_b KL(q_b||p_b)    if TFP has the KL of every block; p a Blocks or Blockwise

    It is reparameterised if every block is.

    Args:
      distributions: float32, over vectors of known lengths, all with one batch shape.
    """

    def __init__(self, distributions: Sequence[Any], name: str = "Blocks") -> None:
        parameters = dict(locals())
        kinds = {d.reparameterization_type for d in distributions}
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=(
                tfd.FULLY_REPARAMETERIZED
                if kinds == {tfd.FULLY_REPARAMETERIZED}
                else tfd.NOT_REPARAMETERIZED
            ),
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )
        self.distributions = tuple(distributions)
        self.sizes = tuple(int(d.event_shape[0]) for d in distributions)

    def _batch_shape(self) -> tf.TensorShape:
        return self.distributions[0].batch_shape

    def _batch_shape_tensor(self) -> tf.Tensor:
        return self.distributions[0].batch_shape_tensor()

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([sum(self.sizes)])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([sum(self.sizes)])

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        seeds = tfp.random.split_seed(seed, len(self.distributions))
        drawn = zip(self.distributions, tf.unstack(seeds), strict=True)
        return tf.concat([d.sample(n, seed=block_seed) for d, block_seed in drawn], axis=-1)

    def _log_prob(self, z: Any) -> tf.Tensor:
        parts = zip(self.distributions, tf.split(z, self.sizes, axis=-1), strict=True)
        # log p(z) = sum_b log p_b(z_b)
        return tf.add_n([d.log_prob(part) for d, part in parts])

    def _mean(self) -> tf.Tensor:
        return tf.concat([d.mean() for d in self.distributions], axis=-1)

    def _variance(self) -> tf.Tensor:
        return tf.concat([d.variance() for d in self.distributions], axis=-1)


@tfd.RegisterKL(Blocks, Blocks)
@tfd.RegisterKL(Blocks, tfd.Blockwise)
def _kl(q: Blocks, p: Any, name: str | None = None) -> tf.Tensor:
    if q.sizes != block_sizes(p):
        raise NotImplementedError("No KL is known between blocks of different sizes.")
    # KL(q||p) = sum_b KL(q_b||p_b)
    return tf.add_n(
        [a.kl_divergence(b) for a, b in zip(q.distributions, p.distributions, strict=True)]
    )


def block_sizes(distribution: Any) -> tuple[int, ...] | None:
    """Returns the lengths of the blocks of a Blocks or tfd.Blockwise of vectors, else `None`."""
    if not isinstance(distribution, Blocks | tfd.Blockwise):
        return None
    parts = distribution.distributions
    if not isinstance(parts, list | tuple) or any(d.event_shape.rank != 1 for d in parts):
        return None
    return tuple(int(d.event_shape[0]) for d in parts)
