"""The rules at work, with gradient descent on problems whose solutions are known."""

import numpy as np
import pytest
import tensorflow as tf

from zoo import multipliers

# The runs are short: large rates, and for PI a shorter average than its own.
OPTIONS = {
    "augmented": {"rate": 0.05},
    "geco": {"rate": 2e-3},
    "pi": {"rate": 0.05, "smoothing": 0.9},
    "projected": {"rate": 0.05},
}


@pytest.fixture(params=multipliers.names())
def name(request):
    return request.param


def rule_for(name, scale=(1.0,), **options):
    """Returns a rule with mu = 1 for each constraint."""
    rule = multipliers.get(name, **{**OPTIONS[name], **options})
    rule.start([1.0 / s for s in scale], list(scale))
    return rule


def descend(rule, objective, violations, theta, box=(-9.0, 9.0)):
    """Returns theta [steps, n] and lambda [steps, m] on the way, as one compiled loop."""
    steps = 3000
    theta = tf.Variable(theta)

    @tf.function(jit_compile=True)
    def run():
        thetas = tf.TensorArray(tf.float32, steps, element_shape=theta.shape)
        lambdas = tf.TensorArray(tf.float32, steps, element_shape=rule.value.shape)
        for step in tf.range(steps):
            with tf.GradientTape() as tape:
                over = tf.stack(violations(theta))
                loss = objective(theta) + tf.reduce_sum(rule.effective(over) * over)
            moved = theta - 0.02 * tape.gradient(loss, theta)
            theta.assign(tf.clip_by_value(moved, *box))
            rule.update(over)
            thetas = thetas.write(step, theta)
            lambdas = lambdas.write(step, rule.value)
        return thetas.stack(), lambdas.stack()

    return [part.numpy() for part in run()]


def test_one_active_constraint(name):
    # min x^2 s.t. x >= 1: 2x = lambda at x = 1
    x, multiplier = descend(rule_for(name), lambda x: x[0] ** 2, lambda x: [1 - x[0]], [0.0])
    np.testing.assert_allclose(x[-1], [1.0], rtol=1e-3)
    np.testing.assert_allclose(multiplier[-1], [2.0], rtol=1e-3)


def two_constraints(s):
    """min (x-2)^2 + (y-2)^2 s.t. s_0 (x + y) <= 2 s_0 and s_1 y <= 3 s_1.

    x = y = 1; 2 (2 - 1) = lambda_0 s_0, so lambda = (2 / s_0, 0).
    """
    return (
        lambda t: tf.reduce_sum((t - 2) ** 2),
        lambda t: [s[0] * (t[0] + t[1] - 2), s[1] * (t[1] - 3)],
        [0.0, 0.0],
    )


def test_an_active_and_an_inactive_constraint_of_different_units(name):
    scale = (1e-3, 50.0)
    rule = rule_for(name, scale)
    theta, multiplier = descend(rule, *two_constraints(scale))
    np.testing.assert_allclose(theta[-1], [1.0, 1.0], rtol=2e-3)
    np.testing.assert_allclose(multiplier[-1, 0], 2000.0, rtol=2e-3)
    # 0, or what GECO's clip leaves of it.
    np.testing.assert_allclose(multiplier[-1, 1], rule.clip[0] / 50.0)
    assert rule.at_clip() == [None, "lower"]


def test_one_raw_step_for_all_leaves_the_small_constraint_violated():
    # As above without scales: lambda_0 needs 2000 and gets there at 0.05 * 1e-3 a step.
    rule = rule_for("projected", (1.0, 1.0), clip=(0, 1e4))
    theta, _ = descend(rule, *two_constraints((1e-3, 50.0)))
    assert theta[-1].sum() - 2 > 1.9


def swing(values):
    """Half the distance between the extremes of the last tenth of a path."""
    return np.ptp(values[-len(values) // 10 :]) / 2


@pytest.mark.parametrize(
    ("name", "settles"), [("projected", False), ("geco", False), ("pi", True), ("augmented", True)]
)
def test_bilinear_game(name, settles):
    # min -x s.t. x <= 1: L = -x + lambda (x - 1), saddle at x = lambda = 1, which
    # x' = 1 - lambda, lambda' = x - 1 circle for ever.
    x, multiplier = descend(rule_for(name), lambda x: -x[0], lambda x: [x[0] - 1], [1.5])
    if settles:
        np.testing.assert_allclose([x[-1, 0], multiplier[-1, 0]], [1.0, 1.0], atol=1e-3)
    else:
        assert swing(x) > 0.4
        assert swing(multiplier) > 0.1


@pytest.mark.parametrize(
    ("name", "options", "settles"),
    [
        ("projected", {}, False),
        ("augmented", {"penalty": 0.5}, False),
        ("augmented", {"penalty": 10}, True),
    ],
)
def test_duality_gap(name, options, settles):
    # min -x^2 / 2 s.t. x <= 1, x in [0.1, 2]: x = 1 and lambda = x = 1. As L is concave in x, its
    # minimum is at an end of the interval for every lambda, and x goes from end to end. With the
    # penalty its curvature is c - 1.
    x, multiplier = descend(
        rule_for(name, **options),
        lambda x: -(x[0] ** 2) / 2,
        lambda x: [x[0] - 1],
        [1.1],
        box=(0.1, 2.0),
    )
    if settles:
        np.testing.assert_allclose([x[-1, 0], multiplier[-1, 0]], [1.0, 1.0], atol=1e-3)
    else:
        assert swing(x) > 0.9
        assert swing(multiplier) > 0.1
