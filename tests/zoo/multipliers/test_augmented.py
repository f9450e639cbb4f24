import numpy as np
import pytest
import tensorflow as tf

from zoo import multipliers


def test_three_steps_by_hand(three_steps):
    effective, values = three_steps("augmented", smoothing=0, penalty=10)
    # max(0, mu + 10 g), then mu + 0.1 g:
    # mu_1: 2 + 10 = 12, 2.1 -> max(0, 2.1 - 10) = 0, 2.0 -> 2.0 + 20 = 22, 2.2
    # mu_2: max(0, 1 - 10) = 0, 0.9 -> 0.9 + 30 = 30.9, 1.2 -> 1.2 + 0, 1.2
    used = np.array([[12.0, 0.0], [0.0, 30.9], [22.0, 1.2]])
    mu = np.array([[2.1, 0.9], [2.0, 1.2], [2.2, 1.2]])
    np.testing.assert_allclose(effective, used / [2.0, 0.01], rtol=1e-6)
    np.testing.assert_allclose(values, mu / [2.0, 0.01], rtol=1e-6)


def test_moving_average_has_this_batch_in_it(three_steps):
    effective, values = three_steps("augmented", smoothing=0.5, penalty=10)
    # xi = (1, -1), (0, 1), (1, 0.5) at mu = (2, 1), (2.1, 0.9), (2.1, 1.0)
    used = np.array([[12.0, 0.0], [2.1, 10.9], [12.1, 6.0]])
    np.testing.assert_allclose(effective, used / [2.0, 0.01], rtol=1e-6)
    np.testing.assert_allclose(values[-1], [2.2 / 2.0, 1.05 / 0.01], rtol=1e-6)


@pytest.mark.parametrize("multiplier", [0.0, 0.5])
def test_effective_multiplier_has_the_gradient_of_the_penalty(multiplier):
    # D = (theta_0^2, theta_0 theta_1), eps = (1, 2), slacks (0.5, 4), size 3, c = 5: the first is
    # violated by 0.88 slacks; the second holds by 0.29, more than any mu / c here.
    rule = multipliers.get("augmented", smoothing=0, penalty=5)
    scale, size, c = [0.5, 4.0], 3.0, 5.0
    rule.start([multiplier] * 2, scale, size)
    theta = tf.constant([1.2, 0.7])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(theta)
        violations = tf.stack([theta[0] ** 2 - 1.0, theta[0] * theta[1] - 2.0])
        lagrangian = tf.reduce_sum(rule.effective(violations) * violations)
        # size sum_i [ max(0, mu_i + c g_i)^2 - mu_i^2 ] / (2c)
        mu = multiplier * np.float32(scale) / size
        g = violations / scale
        augmented = size * tf.reduce_sum(tf.maximum(0.0, mu + c * g) ** 2 - mu**2) / (2 * c)
        # at mu = 0: size sum_i (c/2) max(0, g_i)^2
        penalty = size * tf.reduce_sum(c / 2 * tf.maximum(0.0, g) ** 2)
    expected = tape.gradient(augmented, theta)
    np.testing.assert_allclose(tape.gradient(lagrangian, theta), expected, rtol=1e-5)
    if multiplier == 0:
        np.testing.assert_allclose(tape.gradient(penalty, theta), expected, rtol=1e-5)


def test_reading_the_effective_multiplier_moves_nothing():
    rule = multipliers.get("augmented")
    rule.start([1.0])
    rule.update([0.5])
    before = [weight.numpy() for weight in rule.weights]
    rule.effective([3.0])
    np.testing.assert_equal([weight.numpy() for weight in rule.weights], before)
