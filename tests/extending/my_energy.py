"""The energy distance, 2 E|q - p| - E|q - q'| - E|p - p'|: a divergence of a user's own."""

import dataclasses

import tensorflow as tf

from zoo import terms
from zoo.terms import kernels


@terms.divergence(
    "ENERGY", describes="energy distance", symmetric=True, side="exact", unit="distance"
)
@dataclasses.dataclass(frozen=True)
class Energy(terms.Term):
    space: str

    def __call__(self, joints, training=True):
        q, p = (kernels.flatten(*parts) for parts in joints.samples(self.space))
        q, p = joints.gathered(q, p)
        # A U-statistic: pairs of a sample with itself are left out, so that it has no bias.
        within = [kernels.mean_of_pairs(distances(s, s), "u") for s in (q, p)]
        return terms.Estimate.of(2.0 * tf.reduce_mean(distances(q, p)) - sum(within))


def distances(a, b):
    # The root has no slope at 0.
    return tf.sqrt(tf.maximum(kernels.squared_distances(a, b), 1e-12))
