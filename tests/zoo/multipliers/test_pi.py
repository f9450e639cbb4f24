import numpy as np

from zoo import multipliers


def test_three_steps_by_hand(three_steps):
    _, values = three_steps("pi", smoothing=0.5, proportional=2, integral=1)
    # The first step has no difference yet: mu_1 = 2 + 0.1 * 1;  mu_2 = 1 - 0.1 * 1
    # 2.1 + 0.1 (2 (0 - 1) - 1) = 1.8 -> 1.8 + 0.1 (2 (1 - 0) + 2) = 2.2
    # 0.9 + 0.1 (2 (1 + 1) + 3) = 1.6 -> 1.6 + 0.1 (2 (0.5 - 1) + 0) = 1.5
    mu = np.array([[2.1, 0.9], [1.8, 1.6], [2.2, 1.5]])
    np.testing.assert_allclose(values, mu / [2.0, 0.01], rtol=1e-6)


def test_without_its_proportional_part_it_is_projected_ascent(three_steps):
    pi = three_steps("pi", smoothing=0.5, proportional=0)
    np.testing.assert_array_equal(pi, three_steps("projected", smoothing=0))


def test_proportional_gain_is_one_unless_given():
    rule = multipliers.get("pi", horizon=50_000, smoothing=0)
    rule.start([2.0])
    rule.update([0.0])
    rule.update([1.0])
    # mu = 2 + (1 - 0) + rate 1,   rate = 20 / 50000
    np.testing.assert_allclose(rule.value, [3.0004], rtol=1e-6)
