import numpy as np
import pytest

import zoo
from train.certificates import held_out
from train.certificates.aiming import Margins, interval
from zoo.bounds.examples import Examples, Samples
from zoo.bounds.of_terms import mmd_of_codes

SMALL = {"image_shape": (8, 8, 1), "latent_dim": 3, "network_options": {"hidden": (16, 16)}}
C_X = "KL(q(x|z)||p(x|z))"


def images(n, seed=0):
    return np.random.default_rng(seed).random((n, 8, 8, 1), dtype=np.float32)


def batches():
    x = images(50)
    return [x[i : i + 8] for i in range(0, 50, 8)]


@pytest.fixture(scope="module")
def model():
    constraints = ("KL(q(z)||p(z))", "KL(q(x,z)||p(x,z)) <= 40", "MMD(q(z)||p(z)) <= 1e-3")
    built = zoo.build(zoo.Objective(1, 0, constraints), **SMALL)
    built.compile(jit_compile=False)
    return built


@pytest.mark.parametrize(
    ("total", "every", "steps"),
    [(500, 100, 100), (5000, 100, 200), (10**6, 100, 50_000), (90, 100, 100)],
)
def test_interval(total, every, steps):
    assert interval(total, every) == steps


def mmd_error(model):
    """The standard error of MMD by all codes at once, which have less noise than batches."""
    found = mmd_of_codes(model, Examples(images(50)), 0, model.term("MMD_z"))
    return (found.interval[1] - found.value) / 1.959964


def test_training_aims_below_what_held_out_data_costs_more(model):
    found = held_out.measure(model, batches())
    # Training is 2 nats better than held-out data, and its MMD worse: no credit for that.
    reached = found.mean + np.array([-2.0, 0.5])
    model.aim(Margins(model, batches)(reached))
    # 50 images tell MMD to less than its tolerance, of which half at most is kept for noise.
    assert 4 * mmd_error(model) > 0.5e-3
    expected = np.array([2.0 + 4 * found.error[0], 0.5e-3])
    np.testing.assert_allclose(model.margins, expected, rtol=1e-4)
    values = model.term_values(batches()[0], [0, 0])
    aimed = model.lagrangian.violations(values) + expected.astype(np.float32)
    np.testing.assert_allclose(model._violations(values), aimed, rtol=1e-5)
    model.aim([0.0, 0.0])


def test_a_tolerance_relative_to_best_is_as_sure_as_the_difference(model):
    """The same images cost the neutral run as much more: only the difference is uncertain."""
    found = held_out.measure(model, batches())
    random = np.random.default_rng(0)
    noise = 0.01 * random.normal(size=found.count)
    best = np.stack([found.constraints[0] - 3.0 + noise, found.constraints[1]])
    factors = np.array([1.0, 0.0])
    margins = Margins(model, batches, best=(best, factors))(found.mean)
    expected = 4 * noise.std(ddof=1) / np.sqrt(found.count)
    assert margins[0] == pytest.approx(expected)
    assert margins[1] >= 0.5e-3 * (1 - 1e-5)


def test_a_beaten_critic_moves_the_aim():
    """A critic that is 0 reads no JS of codes shifted by 1.5; the aim knows better."""
    built = zoo.build(zoo.Objective(-1, 0, (C_X, "JS(q(z)||p(z)) <= 0.02")), **SMALL)
    last = built.encoder.network.layers[-1]
    kernel, _ = last.get_weights()
    last.set_weights([0 * kernel, np.repeat([1.5, 0.0], 3).astype(np.float32)])
    critic = built.critics["JS_z"]
    critic.get_layer("logit").set_weights([0 * w for w in critic.get_layer("logit").get_weights()])
    examples = [Examples(images(n, seed)) for seed, n in enumerate((300, 100, 100))]
    margins = Margins(built, batches, Samples(*examples))
    first = margins(np.array([0.0]))
    assert 0.3 < first[0] < 0.7
    # It is a function of the model as it stands: a resumed run aims alike.
    assert margins(np.array([0.0])) == pytest.approx(first, abs=1e-6)
    built.aim(first)
    values = {"JS_z": np.float32(0.0), "REC_x": np.float32(0.0)}
    assert float(built._violations(values)[0]) == pytest.approx(first[0] - 0.02, abs=1e-5)
    # The average is floored at a divergence of 0, from which the margin is counted.
    assert float(built.multipliers.floor[0]) == pytest.approx(first[0] - 0.02, abs=1e-5)
    before = float(built.multipliers.value[0])
    built.multipliers.update([-2.0])
    rose = float(built.multipliers.value[0]) - before
    assert rose > 0
    # However far it was beaten, that counts as three slacks: a larger margin moves it no further.
    built.aim([5.0])
    built.multipliers.update([-2.0])
    assert float(built.multipliers.value[0]) - before - rose == pytest.approx(rose, rel=1e-3)
