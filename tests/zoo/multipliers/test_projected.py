import numpy as np


def test_three_steps_by_hand(three_steps):
    _, values = three_steps("projected", smoothing=0)
    # mu_1 = 2 + 0.1 -> 2.1 - 0.1 -> 2.0 + 0.2;  mu_2 = 1 - 0.1 -> 0.9 + 0.3 -> 1.2 + 0
    mu = np.array([[2.1, 0.9], [2.0, 1.2], [2.2, 1.2]])
    np.testing.assert_allclose(values, mu / [2.0, 0.01], rtol=1e-6)


def test_three_steps_of_the_moving_average(three_steps):
    effective, values = three_steps("projected", smoothing=0.5)
    # mu_1 = 2 + 0.1 -> 2.1 + 0 -> 2.1 + 0.1;  mu_2 = 1 - 0.1 -> 0.9 + 0.1 -> 1.0 + 0.05
    mu = np.array([[2.1, 0.9], [2.1, 1.0], [2.2, 1.05]])
    np.testing.assert_allclose(values, mu / [2.0, 0.01], rtol=1e-6)
    # The primal step has the multipliers from before the update.
    np.testing.assert_allclose(effective, [[1.0, 100.0], *values[:2]], rtol=1e-6)
