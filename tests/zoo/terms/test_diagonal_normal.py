import numpy as np
import pytest
import tensorflow_probability as tfp

from zoo.distributions.blocks import Blocks
from zoo.terms.diagonal_normal import diagonal_normal

tfd = tfp.distributions


@pytest.mark.parametrize(
    "distribution",
    [
        tfd.MultivariateNormalDiag([1.0, 2.0], [0.5, 3.0]),
        tfd.MultivariateNormalDiag([[1.0, 2.0], [0.0, 1.0]], [0.5, 3.0]),
        tfd.Independent(tfd.Normal([[1.0, 2.0]], 0.5), 1),
        tfd.Independent(tfd.Independent(tfd.Normal([[[1.0, 2.0]]], 0.5), 1), 1),
        tfd.Normal([1.0, 2.0, 3.0], 0.5),
        tfd.Blockwise([tfd.MultivariateNormalDiag([1.0, 2.0], [0.5, 3.0])]),
        Blocks(
            [
                tfd.Independent(tfd.Normal([[1.0, 2.0]], 0.5), 1),
                tfd.MultivariateNormalDiag([[1.0]], [2.0]),
            ]
        ),
    ],
)
def test_is_the_same_distribution(distribution):
    normal = diagonal_normal(distribution)
    assert normal.event_shape == distribution.event_shape
    assert normal.batch_shape == distribution.batch_shape
    z = distribution.sample(5, seed=1)
    np.testing.assert_allclose(normal.log_prob(z), distribution.log_prob(z), rtol=1e-5)


@pytest.mark.parametrize(
    "distribution",
    [
        tfd.Independent(tfd.Laplace([0.0, 0.0], 1.0), 1),
        tfd.MultivariateNormalTriL([0.0, 0.0], [[1.0, 0.0], [0.5, 1.0]]),
        tfd.Blockwise(
            [
                tfd.MultivariateNormalDiag([1.0, 2.0], [0.5, 3.0]),
                tfd.Independent(tfd.Uniform([-1.0], 1.0), 1),
            ]
        ),
        tfd.MixtureSameFamily(tfd.Categorical([0.0, 0.0]), tfd.Normal([0.0, 1.0], 1.0)),
    ],
)
def test_others_are_not_recognised(distribution):
    assert diagonal_normal(distribution) is None
