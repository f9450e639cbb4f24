"""What all rules share."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo import multipliers
from zoo.errors import InputError

NAMES = multipliers.names()
OPTIONS = {
    "augmented": {"rate": 0.01, "smoothing": 0.5, "penalty": 3.0},
    "geco": {"rate": 0.01, "smoothing": 0.75, "clip": [0.01, 8.0]},
    "pi": {"rate": 0.02, "smoothing": 0.5, "proportional": 4.0, "integral": 2.0},
    "projected": {"rate": 0.05, "smoothing": 0.25, "clip": [0.0, 4.5]},
}
# 40 violations of three constraints with very different units; a critic estimates the third.
SCALES = [4.0, 2e-4, 0.05]
VIOLATIONS = np.random.default_rng(0).normal(0.2, 1.0, [40, 3]) * SCALES
INITIAL = [1.0, 1e4, 10.0]
FLOORS = [None, None, -0.02]


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def started(name, initial=INITIAL, scale=SCALES, size=1.0, floors=FLOORS, **options):
    rule = multipliers.get(name, **{**OPTIONS[name], **options})
    rule.start(initial, scale, size, floors)
    return rule


def path(rule, violations):
    """Returns lambda and mu after each step."""
    values = []
    for violation in np.float32(violations):
        rule.update(violation)
        values.append((rule.value.numpy(), rule.mu.numpy()))
    return np.swapaxes(values, 0, 1)


def test_starts_at_the_initial_multipliers(name):
    rule = started(name, size=2.0)
    np.testing.assert_allclose(rule.value, INITIAL, rtol=1e-6)
    # mu = lambda scale / size
    np.testing.assert_allclose(rule.mu.numpy(), [2.0, 1.0, 0.25], rtol=1e-6)
    np.testing.assert_array_equal(rule.trainable_weights, [])


def test_no_multipliers(name):
    rule = multipliers.get(name)
    rule.start([])
    rule.update(np.zeros(0, np.float32))
    assert rule.value.shape == (0,)


def test_units_of_a_constraint_do_not_matter(name):
    # D, eps and slack times s: lambda is divided by s, mu takes the same path.
    s = np.array([784.0, 1e-3, 30.0])
    value, mu = path(started(name), VIOLATIONS)
    value_s, mu_s = path(
        started(name, list(INITIAL / s), list(SCALES * s), floors=[None, None, -0.02 * 30]),
        VIOLATIONS * s,
    )
    # 40 sums in float32, each rounded to 1e-7.
    np.testing.assert_allclose(mu_s, mu, rtol=1e-5)
    np.testing.assert_allclose(value_s * s, value, rtol=1e-5)
    assert np.abs(np.diff(mu, axis=0)).min(axis=0).max() > 0


def test_size_of_the_objective_does_not_matter(name):
    # alpha times 7: lambda is multiplied by 7, mu takes the same path.
    value, mu = path(started(name), VIOLATIONS)
    value_7, mu_7 = path(started(name, [7 * i for i in INITIAL], size=7.0), VIOLATIONS)
    np.testing.assert_allclose(mu_7, mu, rtol=1e-5)
    np.testing.assert_allclose(value_7, 7 * value, rtol=1e-5)


def test_moving_average_starts_at_the_first_violation():
    # smoothing 3/4: xi = 8; 6 + 0; 4.5 - 1, and mu <- mu + xi
    rule = multipliers.get("projected", rate=1.0, smoothing=0.75)
    rule.start([0.0])
    np.testing.assert_allclose(path(rule, [[8.0], [0.0], [-4.0]])[1, :, 0], [8, 14, 17.5])


@pytest.mark.parametrize("name", ["projected", "pi"])
def test_estimates_of_a_critic_are_smoothed_then_floored(name):
    # JS = -0.25, 0.15, 0.35 and eps = 0.05, so that g = -0.3, 0.1, 0.3 and xi = -0.3, -0.1, 0.1;
    # JS >= 0 leaves -0.05, -0.05, 0.1. (Floored first: -0.05, 0.025, 0.1625.)
    options = {"proportional": 0} if name == "pi" else {}
    rule = multipliers.get(name, rate=1.0, smoothing=0.5, **options)
    rule.start([0.5, 0.5], floors=[-0.05, None])
    _, mu = path(rule, np.array([[-0.3] * 2, [0.1] * 2, [0.3] * 2]))
    np.testing.assert_allclose(mu[:, 0], [0.45, 0.40, 0.50], rtol=1e-5)
    # The same numbers from anything but a critic; PI integrates g itself.
    np.testing.assert_allclose(
        mu[:, 1], [0.2, 0.3, 0.6] if name == "pi" else [0.2, 0.1, 0.2], rtol=1e-5
    )


@pytest.mark.parametrize("name", ["projected", "pi"])
def test_estimates_of_a_critic_count_as_three_slacks_at_most(name):
    options = {"proportional": 0} if name == "pi" else {}
    rule = multipliers.get(name, rate=1.0, smoothing=0, **options)
    rule.start([0.5, 0.5], scale=2.0, floors=[-0.1, None])
    _, mu = path(rule, np.array([[8.0] * 2, [1.0] * 2]))
    # mu is lambda times the scale, 2: g = 4, which counts as 3, then 0.5.
    np.testing.assert_allclose(mu, [[4.0, 5.0], [4.5, 5.5]])


def test_a_constraint_that_a_critic_estimates_waits(name):
    rule = multipliers.get(name, hold=2, rate=0.1, smoothing=0)
    rule.start([1.0, 1.0], floors=[-0.1, None])
    violations = tf.constant([0.5, 0.5])
    for _ in range(2):
        assert rule.effective(violations)[0] == 1.0
        rule.update(violations)
        assert rule.value[0] == 1.0
    rule.update(violations)
    assert rule.value[0] > 1.0
    assert rule.value[1] > rule.value[0]
    # The run goes on where it is continued: nothing but the count says whether it waits.
    assert multipliers.get(name, **_options(rule)).hold == 2
    assert multipliers.get(name, horizon=5_000).hold == 1_000
    assert multipliers.get(name, rate=0.1).hold == 0


def _options(rule):
    return {key: value for key, value in rule.get_config().items() if key != "name"}


def test_clip_holds_and_lets_go_at_once(name):
    rule = started(name, rate=0.1, clip=[0.25, 4.0], smoothing=0, floors=None)
    assert rule.at_clip() == ["upper", None, None]
    for _ in range(60):
        rule.update(np.float32([1.0, 1.0, -1.0] * np.array(SCALES)))
    assert rule.at_clip() == ["upper", "upper", "lower"]
    np.testing.assert_array_equal(rule.mu.numpy(), np.float32([4.0, 4.0, 0.25]))
    # No wind-up: the first step the other way is seen.
    rule.update(np.float32([-1.0, 1.0, 1.0] * np.array(SCALES)))
    assert rule.at_clip() == [None, "upper", None]


def test_initial_multipliers_below_the_clip_start_at_it():
    rule = multipliers.get("geco", clip=[0.5, 2.0])
    rule.start([0.0, 1.0])
    assert rule.at_clip() == ["lower", None]


def test_starting_anew_forgets(name):
    rule, fresh = started(name), started(name)
    path(rule, VIOLATIONS[:10])
    rule.start(INITIAL, SCALES, 1.0, FLOORS)
    np.testing.assert_array_equal(path(rule, VIOLATIONS), path(fresh, VIOLATIONS))


def test_effective_multipliers_are_constants(name):
    rule = started(name)
    with tf.GradientTape() as tape:
        violations = tf.constant(np.float32(VIOLATIONS[0]))
        tape.watch([violations, rule.mu.value])
        effective = tf.reduce_sum(rule.effective(violations))
    assert tape.gradient(effective, [violations, rule.mu.value]) == [None, None]
    if name != "augmented":
        np.testing.assert_array_equal(rule.effective(violations), rule.value)


@keras.saving.register_keras_serializable("tests")
class Holder(keras.Model):
    def __init__(self, rule, **kwargs):
        super().__init__(**kwargs)
        self.rule = rule
        self.rule.start([0.0] * 3)
        self.built = True

    def get_config(self):
        return {"rule": keras.saving.serialize_keras_object(self.rule)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["rule"]))


def test_saved_in_the_middle_continues_bit_for_bit(name, tmp_path):
    holder = Holder(multipliers.get(name, **OPTIONS[name]))
    holder.rule.start(INITIAL, SCALES, 3.0, FLOORS)
    path(holder.rule, VIOLATIONS[:15])
    holder.save(tmp_path / "holder.keras")
    rule = keras.saving.load_model(tmp_path / "holder.keras").rule
    assert type(rule) is type(holder.rule)
    assert rule.get_config() == holder.rule.get_config()
    np.testing.assert_array_equal(path(rule, VIOLATIONS), path(holder.rule, VIOLATIONS))
    for ours, theirs in zip(rule.weights, holder.rule.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_config_round_trip(name):
    rule = multipliers.get(name, **OPTIONS[name])
    config = rule.get_config()
    assert {key: config[key] for key in OPTIONS[name]} == OPTIONS[name]
    assert type(rule).from_config(config).get_config() == config


def test_xla_takes_the_same_steps(name):
    plain, compiled = started(name), started(name)
    step = tf.function(
        lambda g: (compiled.effective(g), compiled.update(g), compiled.value)[::2],
        jit_compile=True,
    )
    for violation in np.float32(VIOLATIONS):
        expected = plain.effective(violation), plain.update(violation), plain.value
        # XLA fuses a product and a sum into one rounding; AL's penalty makes it c times larger.
        for ours, theirs in zip(step(violation), expected[::2], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_float32_under_any_policy(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        rule = started(name)
        rule.update(tf.constant(VIOLATIONS[0], tf.bfloat16))
    finally:
        keras.config.set_dtype_policy("float32")
    assert {str(weight.dtype) for weight in rule.weights} == {"float32"}
    assert rule.value.dtype == rule.effective(VIOLATIONS[0]).dtype == tf.float32


def test_speed_scales_with_the_length_of_the_run(name):
    short, long = (multipliers.get(name, horizon=steps).rate for steps in (10_000, 20_000))
    assert short == 2 * long
    # A lasting violation of one slack moves mu (log mu for GECO) by this much over the run.
    assert 10_000 * short == pytest.approx(5.0 if name == "geco" else 20.0)


def test_geco_is_never_fast():
    assert multipliers.get("geco", horizon=10).rate == 2e-3


@pytest.mark.parametrize(
    ("alphas", "expected"),
    [
        ((0, 0), "projected"),
        ((1, 0), "projected"),
        ((-0.5, 0), "augmented"),
        ((1, -1), "augmented"),
    ],
)
def test_default(alphas, expected):
    assert multipliers.default(*alphas) == expected


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: multipliers.get("gecko"), ["gecko", "geco"]),
        (lambda: multipliers.get("pi", proportionl=2), ["proportionl", "proportional"]),
        (lambda: multipliers.get("projected", penalty=2), ["projected", "penalty"]),
        (lambda: multipliers.get("pi", rate=0), ["rate", "0", "above 0"]),
        (lambda: multipliers.get("pi", rate="fast"), ["rate", "fast"]),
        (lambda: multipliers.get("pi", horizon=-5), ["horizon", "-5"]),
        (lambda: multipliers.get("pi", rate=0.5, horizon=7), ["rate", "0.5", "horizon", "7"]),
        (lambda: multipliers.get("pi", smoothing=1), ["smoothing", "1", "below 1"]),
        (lambda: multipliers.get("pi", proportional=-1), ["proportional", "-1"]),
        (lambda: multipliers.get("pi", integral=0), ["integral", "0"]),
        (lambda: multipliers.get("augmented", penalty=0), ["penalty", "0"]),
        (lambda: multipliers.get("pi", clip=[2, 1]), ["clip", "2", "below 1"]),
        (lambda: multipliers.get("pi", clip=[0, float("inf")]), ["clip", "inf"]),
        (lambda: multipliers.get("pi", clip=4), ["clip", "4", "two"]),
        (lambda: multipliers.get("geco", clip=[0, 1]), ["clip", "0", "above 0"]),
        (lambda: started("pi", scale=[1.0, 0.0, 1.0]), ["scale", "0.0"]),
        (lambda: started("pi", size=0.0), ["size", "0.0"]),
        (lambda: started("pi", [1.0, -1.0, 1.0]), ["multiplier", "-1.0"]),
        (lambda: started("pi", [1.0, 6e6, 1.0]), ["multiplier", "6000000.0", "at most 5e+06"]),
        (lambda: started("pi", scale=[1.0, 2.0]), ["3 multipliers", "2"]),
    ],
)
def test_bad_input_is_one_sentence(call, words):
    with pytest.raises(InputError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
