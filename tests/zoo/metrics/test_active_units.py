"""Units that are active by construction."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from zoo.errors import InputError
from zoo.metrics import active_units


class Encoder:
    """Means of standard deviation `spread`, one for each unit."""

    def __init__(self, spread):
        self.spread = np.float32(spread)

    def encode(self, x):
        mean = tf.convert_to_tensor(x) * self.spread
        return tfp.distributions.Independent(tfp.distributions.Normal(mean, 1.0), 1)


def draws(n, k, seed=0):
    return np.random.default_rng(seed).normal(size=(n, k)).astype(np.float32)


def test_the_count():
    # standard deviations 0, 0.05, 0.2, 1: above 0.1 two
    found = active_units(Encoder([0.0, 0.05, 0.2, 1.0]), draws(1000, 4))
    assert (found.value, found.interval, found.notes) == (2.0, (2.0, 2.0), ())
    assert (found.ceiling, found.units, found.size) == (4.0, "of 4 units", 1000)


def test_units_near_the_threshold():
    # Var = 0.01 exactly: it may be on either side.
    found = active_units(Encoder([0.1, 0.1, 1.0, 0.0]), draws(1000, 4))
    assert found.interval == (1.0, 3.0)
    assert found.notes == ("2 of them near the threshold",)


def test_the_variance_is_of_all_batches():
    # Within each batch the means are the same: they differ between batches alone.
    batches = [np.full((4, 1), v, np.float32) for v in (-1.0, 1.0)]
    assert active_units(Encoder([1.0]), batches).value == 1.0
    assert active_units(Encoder([1.0]), batches[:1] * 2).value == 0.0
    # 16 / 14 * 0.5^2 / 0.29 < 1
    assert active_units(Encoder([0.5]), batches, threshold=0.29).value == 0.0


def test_what_has_no_units():
    with pytest.raises(InputError, match="are 1 images for active units"):
        active_units(Encoder([1.0]), draws(1, 1))
    with pytest.raises(InputError, match="threshold of active units is 0"):
        active_units(Encoder([1.0]), draws(3, 1), threshold=0)
