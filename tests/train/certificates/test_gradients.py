"""A quadratic whose stationary point is known, and a small model beside plain autodiff."""

import json
import types

import numpy as np
import pytest
import tensorflow as tf

import zoo
from train.certificates.gradients import acting_multipliers, gradients, sentences
from zoo import multipliers, priors

JOINT, MMD = "KL(q(x,z)||p(x,z))", "MMD(q(z)||p(z))"
P, LAMBDA = 200, 3.0


class Quadratic:
    """Minimise |theta - a|^2 / 2 subject to |theta|^2 / 2 <= eps: theta* = a / (1 + lambda)."""

    critics = ()
    prior = priors.standard_normal(1)
    distribute_strategy = tf.distribute.get_strategy()

    def __init__(self, theta, noise, shared=False):
        self.a = tf.ones(P)
        self.theta = types.SimpleNamespace(value=tf.Variable(theta * self.a))
        self.primal_variables = [self.theta]
        self.noise = noise
        self.lagrangian = types.SimpleNamespace(
            terms=("F", "G"),
            learned=(types.SimpleNamespace(expression="G"),),
            offsets=np.array([1.0, 0.0], np.float32),
            slopes=np.array([[0.0], [1.0]], np.float32),
        )
        self.multipliers = multipliers.get("projected")
        self.multipliers.start([LAMBDA])
        self.shared = shared

    def surrogates(self, x, seed, z=None):
        theta = tf.convert_to_tensor(self.theta.value)
        noise = self.noise * tf.random.stateless_normal([2, P], seed)
        noise = tf.stack([noise[0], noise[0]]) if self.shared else noise
        return {
            "F": tf.reduce_sum((theta - self.a) ** 2 / 2 + noise[0] * theta),
            "G": tf.reduce_sum(theta**2 / 2 + noise[1] * theta),
        }


def batches(count=16):
    return [np.zeros((4, 2), np.float32)] * count


def test_at_the_optimum_the_gradients_cancel():
    found = gradients(Quadratic(1 / (1 + LAMBDA), 0.02), batches())
    # Of one batch sum_k noise_k^2 is P noise^2 (1 + lambda^2), of the mean a 16th
    size = np.sqrt(P) * (3 / 4 + 3 / 4)
    expected = 0.02 * np.sqrt(P * 10 / 16) / size
    assert found["noise"] == pytest.approx(expected, rel=0.1)
    assert found["residual"] == pytest.approx(expected, rel=0.2)
    assert found["stationary"] is True
    assert found["constraints"][0]["cosine"] == pytest.approx(-1.0, abs=1e-3)
    assert found["terms"]["F"] == pytest.approx(np.sqrt(P) * 3 / 4, rel=0.02)
    assert found["terms"]["G"] == pytest.approx(LAMBDA * np.sqrt(P) / 4, rel=0.02)
    text = sentences(found)
    assert "close to a stationary point" in text[0]
    assert text[1] == (
        "The objective and G pull against each other (cosine of their gradients -1.00)."
    )
    json.dumps(found, allow_nan=False)


def test_far_from_the_optimum_they_do_not():
    found = gradients(Quadratic(2.0, 0.02), batches())
    assert found["residual"] == pytest.approx(1.0, abs=1e-3)
    assert found["stationary"] is False
    assert found["constraints"][0]["cosine"] == pytest.approx(1.0, abs=1e-3)
    assert "not at a stationary point; a smaller --learning_rate" in sentences(found)[0]
    assert "--learning_rate" not in sentences({**found, "game": True})[0]
    assert "fall together" in sentences(found)[1]


def test_noise_hides_both():
    found = gradients(Quadratic(1 / (1 + LAMBDA), 3.0), batches())
    assert found["residual"] == pytest.approx(found["noise"], rel=0.2)
    assert found["stationary"] is None
    assert found["constraints"][0]["cosine"] is None
    assert "too few batches" in sentences(found)[0]
    assert len(sentences(found)) == 1


@pytest.mark.parametrize("shared", [False, True])
def test_cosines_are_those_without_the_noise(shared):
    # |noise| of the mean is half of |g_1|: a plain cosine would be about -0.88, or -0.8 shared
    noise = 0.125 * np.sqrt(16)
    model = Quadratic(1 / (1 + LAMBDA), noise, shared)
    found = [gradients(model, batches(), seed) for seed in range(5)]
    mean = np.mean([f["constraints"][0]["cosine"] for f in found])
    assert mean == pytest.approx(-1.0, abs=0.04)


def test_what_is_not_finite_is_none():
    found = gradients(Quadratic(np.nan, 0.02), batches())
    assert found["residual"] is found["noise"] is found["stationary"] is None
    assert found["constraints"][0]["cosine"] is found["terms"]["F"] is None
    assert "not finite" in sentences(found)[0]
    json.dumps(found, allow_nan=False)


def test_few_batches_and_batches_of_another_size():
    model = Quadratic(2.0, 0.02)
    assert gradients(model, batches(3)) is None
    last = np.zeros((2, 2), np.float32)
    assert gradients(model, [*batches(3), last]) is None
    assert gradients(model, batches(9), most=5)["batches"] == 5
    assert sentences(None) == []


SHAPE = (6, 6, 1)


def small(objective, **options):
    return zoo.build(
        objective,
        image_shape=SHAPE,
        latent_dim=2,
        network_options={"hidden": (8,)},
        seed=3,
        **options,
    )


def images(count=6, size=12):
    x = np.random.default_rng(0).random((count, size, *SHAPE), dtype=np.float32)
    return list(x)


def test_a_model_beside_autodiff():
    model = small(zoo.objective("lagvae_max", e1="25", e2="1e-3"))
    found = gradients(model, images(), seed=5)
    weights = [variable.value for variable in model.primal_variables]

    def mean_gradient(part):
        total = 0.0
        for i, x in enumerate(images()):
            with tf.GradientTape() as tape:
                value = part(model.surrogates(x, [5, i]))
            gradient = tape.gradient(value, weights, unconnected_gradients="zero")
            total += np.concatenate([np.ravel(g) for g in gradient]) / 6
        return total

    parts = {n: mean_gradient(lambda s, n=n: s[n]) for n in ("REC_x", "RATE", "MMD_z")}
    joint = parts["REC_x"] + parts["RATE"]
    # l1 = 1, l2 = 100 and alpha_q = -1: (1 + l1) REC_x + l1 RATE + l2 MMD_z
    weighted = {name: c * parts[name] for name, c in zip(parts, (2, 1, 100), strict=True)}
    sizes = {name: np.linalg.norm(part) for name, part in weighted.items()}
    assert found["terms"] == pytest.approx(sizes, rel=1e-4)
    total = np.linalg.norm(sum(weighted.values()))
    assert found["residual"] == pytest.approx(total / sum(sizes.values()), rel=1e-3)
    # Six batches leave some noise in a cosine.
    cosines = [c["cosine"] for c in found["constraints"]] + [found["between"][0]["cosine"]]
    pairs = [(parts["REC_x"], joint), (parts["REC_x"], parts["MMD_z"]), (joint, parts["MMD_z"])]
    for cosine, (one, other) in zip(cosines, pairs, strict=True):
        expected = one @ other / (np.linalg.norm(one) * np.linalg.norm(other))
        assert cosine == pytest.approx(expected, abs=0.1)
    assert [pair["constraints"] for pair in found["between"]] == [[JOINT, MMD]]


def test_labels_are_left_alone():
    model = small(zoo.objective("lagvae_max", e1="25", e2="1e-3"))
    labelled = [(x, np.zeros(len(x))) for x in images()]
    assert gradients(model, labelled) == gradients(model, images())


def stripes(count=6, size=12):
    """Images of a bright bar whose length says what they are."""
    random = np.random.default_rng(1)
    lengths = 6 * random.random((count, size, 1, 1, 1))
    bars = np.where(np.arange(6)[:, None] < lengths, 0.95, 0.05)
    return list(np.broadcast_to(bars, (count, size, *SHAPE)).astype(np.float32))


def test_training_brings_fixed_multipliers_closer_to_a_stationary_point():
    model, batches = small("vae"), stripes() * 3
    before = gradients(model, batches)
    assert before["constraints"] == before["between"] == []
    assert before["stationary"] is False
    model.compile(optimizer=model.adam(1e-2), jit_compile=False)
    for rate in (1e-2, 1e-3, 1e-4):
        model.optimizer.learning_rate = rate
        model.fit(np.concatenate(stripes()), batch_size=12, epochs=20, verbose=0)
    after = gradients(model, batches)
    assert after["residual"] < 0.5 * before["residual"]


def test_a_term_that_is_not_finite_spares_the_others(monkeypatch):
    model = small(zoo.objective("lagvae_max", e1="25", e2="1e-3"))
    plain = gradients(model, images())
    surrogates = model.surrogates

    def broken(x, seed, z=None):
        found = surrogates(x, seed, z)
        return {**found, "MMD_z": np.nan * found["MMD_z"]}

    monkeypatch.setattr(model, "surrogates", broken)
    found = gradients(model, images())
    assert found["residual"] is None
    joint, mmd = found["constraints"]
    assert joint["cosine"] == pytest.approx(plain["constraints"][0]["cosine"])
    assert mmd["cosine"] is found["terms"]["MMD_z"] is None


def test_the_multipliers_that_act_are_those_of_the_step():
    rule = multipliers.get("augmented", penalty=2.0, smoothing=0.5)
    model = small(zoo.objective("geco", kappa="20"), multiplier_rule=rule)
    assert acting_multipliers(model) == pytest.approx(rule.value)
    rule.update([3.0])
    # mu + c xi, in slacks of 2 and sizes of 2
    expected = (float(rule.mu[0]) + 2.0 * float(rule.average[0])) * float(rule.unit[0])
    assert acting_multipliers(model)[0] == pytest.approx(expected)
