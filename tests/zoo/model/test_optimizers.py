import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.model.optimizers import FusedAdam, adam


@pytest.mark.parametrize("jit", [False, True])
def test_it_moves_as_keras_adam_does(jit):
    random = np.random.default_rng(0)
    start = random.normal(size=(7, 5)).astype(np.float32)
    gradients = random.normal(size=(20, 7, 5)).astype(np.float32)

    def moved(kind):
        weight = keras.Variable(start)
        optimizer = kind(1e-2, beta_1=0.5)
        optimizer.build([weight])

        @tf.function(jit_compile=jit)
        def step(gradient):
            optimizer.apply_gradients([(gradient, weight)])

        for gradient in gradients:
            step(tf.constant(gradient))
        assert int(optimizer.iterations) == len(gradients)
        return weight.numpy(), [v.numpy() for v in optimizer.variables]

    ours, state = moved(FusedAdam)
    theirs, reference = moved(keras.optimizers.Adam)
    # 1 - beta_2 = 0.001 is rounded in float32 here and in float64 there: 5e-5 of v.
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    for mine, other in zip(state, reference, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-7)


def test_configuration():
    optimizer = FusedAdam(3e-4, beta_1=0.5)
    read = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert isinstance(read, FusedAdam)
    assert read.beta_1 == 0.5


@pytest.mark.parametrize(
    ("options", "rate", "beta_1"),
    [
        ({}, 1e-3, 0.9),
        ({"penalised": True}, 1e-3, 0.9),
        ({"adversarial": True}, 2e-4, 0.5),
        ({"adversarial": True, "penalised": True}, 5e-4, 0.5),
        ({"learning_rate": 3e-3}, 3e-3, 0.9),
        ({"learning_rate": 3e-3, "adversarial": True, "penalised": True}, 3e-3, 0.5),
    ],
)
def test_every_kind_of_player_has_its_rate(options, rate, beta_1):
    optimizer = adam(**options)
    assert float(optimizer.learning_rate) == pytest.approx(rate)
    assert optimizer.beta_1 == beta_1
