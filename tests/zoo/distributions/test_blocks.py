"""Products of blocks: densities, moments, samples and KL, block by block."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from zoo.distributions.blocks import Blocks, block_sizes

tfd = tfp.distributions

rng = np.random.default_rng(3)
LOGITS = rng.normal(size=(5, 4)).astype("float32")
MEAN, SCALE = rng.normal(size=(5, 2)).astype("float32"), np.float32(0.7)


def independent(distribution):
    return tfd.Independent(distribution, reinterpreted_batch_ndims=1)


def code(logits):
    return tfd.OneHotCategorical(logits=logits, dtype=tf.float32)


def blocks():
    return Blocks([code(LOGITS), independent(tfd.Normal(MEAN, SCALE))])


def prior():
    return tfd.Blockwise([code(np.zeros(4, np.float32)), independent(tfd.Normal([0.0, 0.0], 1.0))])


def probabilities():
    return np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)


def test_shapes():
    q = blocks()
    assert (q.batch_shape, q.event_shape, q.dtype) == ((5,), (6,), tf.float32)
    assert q.sample(seed=(1, 2)).shape == (5, 6)
    assert q.sample([3, 2], seed=(1, 2)).shape == (3, 2, 5, 6)


def test_log_prob_is_the_sum():
    q = blocks()
    z = q.sample(seed=(1, 2)).numpy()
    expected = np.log((z[:, :4] * probabilities()).sum(1))
    expected += (-((z[:, 4:] - MEAN) ** 2) / (2 * SCALE**2) - np.log(SCALE)).sum(1)
    np.testing.assert_allclose(q.log_prob(z), expected - np.log(2 * np.pi), rtol=1e-5)


def test_moments_are_side_by_side():
    q, p = blocks(), probabilities()
    np.testing.assert_allclose(q.mean(), np.concatenate([p, MEAN], 1), rtol=1e-6)
    scale = np.concatenate([np.sqrt(p * (1 - p)), np.full_like(MEAN, SCALE)], 1)
    np.testing.assert_allclose(q.stddev(), scale, rtol=1e-5)
    z = q.sample(20_000, seed=(1, 2))
    # Five standard errors of a mean of 20,000.
    np.testing.assert_allclose(np.mean(z, 0), q.mean(), atol=5 / np.sqrt(20_000))
    np.testing.assert_allclose(np.std(z, 0), scale, atol=0.02)
    # Blocks are drawn apart.
    correlation = np.corrcoef(z[:, 0].numpy().T)[:4, 4:]
    assert np.max(np.abs(correlation)) < 5 / np.sqrt(20_000)


def test_kl_is_the_sum():
    p = probabilities()
    expected = (p * np.log(4 * p)).sum(1)
    expected += ((SCALE**2 + MEAN**2) / 2 - np.log(SCALE) - 0.5).sum(1)
    np.testing.assert_allclose(blocks().kl_divergence(prior()), expected, rtol=1e-5)
    np.testing.assert_array_equal(blocks().kl_divergence(blocks()), np.zeros(5))


def test_there_is_no_kl_to_something_else():
    other = tfd.Blockwise([independent(tfd.Normal([0.0, 0.0], 1.0)), code(np.zeros(4, np.float32))])
    for p in (other, independent(tfd.Normal(tf.zeros(6), 1.0))):
        with pytest.raises(NotImplementedError):
            blocks().kl_divergence(p)


def test_reparameterised_if_every_block_is():
    normal = independent(tfd.Normal(MEAN, SCALE))
    assert blocks().reparameterization_type == tfd.NOT_REPARAMETERIZED
    assert Blocks([normal, normal]).reparameterization_type == tfd.FULLY_REPARAMETERIZED


def test_block_sizes():
    assert block_sizes(blocks()) == block_sizes(prior()) == (4, 2)
    assert block_sizes(code(LOGITS)) is None
    assert block_sizes(tfd.Blockwise([tfd.Normal(0.0, 1.0)])) is None
    assert block_sizes(tfd.Blockwise(tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0)]))) is (
        None
    )
