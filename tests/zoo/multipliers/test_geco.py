import numpy as np


def test_three_steps_by_hand(three_steps):
    _, values = three_steps("geco", smoothing=0.5)
    # log mu_1 = log 2 + 0.1 -> + 0 -> + 0.1;  log mu_2 = 0 - 0.1 -> + 0.1 -> + 0.05
    log_mu = np.array([[0.1, -0.1], [0.1, 0.0], [0.2, 0.05]]) + np.log([2.0, 1.0])
    np.testing.assert_allclose(values, np.exp(log_mu) / [2.0, 0.01], rtol=1e-6)
