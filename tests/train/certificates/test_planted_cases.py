"""Planted lies: runs whose truth is known, and whose easy computation says something else.

An encoder that ignores x has q(z) = q(z|x), a normal of chosen mean and scale, beside p(z) =
N(0, I); a critic that is 0 everywhere reads JS = 0 whatever the codes are.
"""

import math

import keras
import numpy as np
import pytest

import zoo
from train.certificates.certificate import certify
from train.certificates.page import markdown

SHAPE, C_X = (4, 4, 1), "KL(q(x|z)||p(x|z))"
JS, KL, MMD = "JS(q(z)||p(z))", "KL(q(z)||p(z))", "MMD(q(z)||p(z))"


def images(n, seed=0):
    return np.random.default_rng(seed).random((n, *SHAPE), dtype=np.float32)


def batches(x, size=10):
    return np.split(x, range(size, len(x), size))


@pytest.fixture(scope="module")
def data():
    """Held-out, training and validation batches."""
    return [batches(images(n, seed)) for seed, n in enumerate((400, 800, 200))]


def planted(constraint, mean=0.0, scale=1.0, reads=0.0, latent_dim=2, **options):
    """A model with q(z|x) = N(mean, scale^2 I) and a critic whose logit is `reads` everywhere."""
    model = zoo.build(
        zoo.Objective(-1, constraints=[C_X, constraint]),
        image_shape=SHAPE,
        latent_dim=latent_dim,
        network_options={"hidden": (8,)},
        seed=3,
        **options,
    )
    last = model.encoder.network.layers[-1]
    family = model.encoder.family
    # scale = floor + softplus(initial_raw_scale + raw)
    raw = math.log(math.expm1(max(scale - family.floor, 1e-12))) - family.initial_raw_scale
    kernel, _ = last.get_weights()
    last.set_weights([0.0 * kernel, np.repeat([mean, raw], latent_dim).astype(np.float32)])
    found = model.encode(images(1))
    assert np.allclose(found.mean(), mean)
    assert np.allclose(found.stddev(), scale, atol=2e-3)
    for critic in model.critics.values():
        critic.set_weights([0.0 * weight for weight in critic.get_weights()])
        logit = critic.get_layer("logit")
        getattr(logit, "layer", logit).bias.assign([reads])
    return model


def certified(model, data, **given):
    held_out, training, validation = data
    return certify(model, held_out, training=training, validation=validation, power=2, **given)


def the(certificate):
    (constraint,) = certificate["constraints"]
    return constraint


# constraint, mean and scale of the codes, what the critic's logit is, status wanted, verdict wanted
CASES = {
    "met": (f"{JS} <= 0.02", 0.0, 1.0, 0.0, "holds", "feasible"),
    "met, and the critic at fault": (f"{JS} <= 0.02", 0.0, 1.0, 4.0, "holds", "feasible"),
    "beaten critic": (f"{JS} <= 0.02", 1.5, 1.0, 0.0, "violated", "infeasible"),
    "dead critic": (f"{JS} <= 0.05", 1.5, 1.0, 4.0, "violated", "infeasible"),
    "KL met": (f"{KL} <= 0.1", 0.0, 1.0, 0.0, "holds", "feasible"),
    "KL by the mean alone": (f"{KL} <= 0.1", 2.0, 1.0, 0.0, "violated", "infeasible"),
    "KL far": (f"{KL} <= 20", 40.0, 1.0, 0.0, "violated", "infeasible"),
    "KL at the tolerance": (f"{KL} <= {0.7**2}", 0.7, 1.0, 0.0, "undecided", "undecided"),
    "reverse KL": ("KL(p(z)||q(z)) <= 0.1", 1.0, 1.0, 0.0, "violated", "infeasible"),
    "TV met": ("TV(q(z)||p(z)) <= 0.1", 0.0, 1.0, 0.0, "holds", "feasible"),
    "TV beaten": ("TV(q(z)||p(z)) <= 0.1", 1.0, 1.0, 0.0, "violated", "infeasible"),
    "H2 beaten": ("H2(q(z)||p(z)) <= 0.05", 1.0, 1.0, 0.0, "violated", "infeasible"),
    "SW met": ("SW(q(z)||p(z)) <= 0.1", 0.0, 1.0, 0.0, "holds", "feasible"),
    "SW violated": ("SW(q(z)||p(z)) <= 0.1", 1.0, 1.0, 0.0, "violated", "infeasible"),
    "W1 met": ("W1(q(z)||p(z)) <= 0.7", 0.0, 1.0, 0.0, "holds", "feasible"),
    "W1 beaten": ("W1(q(z)||p(z)) <= 0.5", 1.5, 1.0, 0.0, "violated", "infeasible"),
    "MMD met": (f"{MMD} <= 0.02", 0.0, 1.0, 0.0, "holds", "feasible"),
    "MMD violated": (f"{MMD} <= 0.02", 1.5, 1.0, 0.0, "violated", "infeasible"),
}


@pytest.mark.parametrize(
    ("constraint", "mean", "scale", "reads", "status", "verdict"), CASES.values(), ids=CASES.keys()
)
def test_planted(data, constraint, mean, scale, reads, status, verdict):
    found = certified(planted(constraint, mean, scale, reads), data)
    c = the(found)
    assert (c["status"], found["verdict"]) == (status, verdict), found["reason"]
    if status == "violated":
        assert c["lower"]["limit"] > c["tolerance_here"]
    if status == "holds":
        assert c["upper"]["limit"] <= c["tolerance_here"]
    if reads and "JS" in constraint:
        assert c["value"] < -0.5
        assert "the critic is at fault" in c["faults"]
        assert c["faults"] in markdown(found)


def test_a_beaten_critic_is_named(data):
    found = certified(planted(f"{JS} <= 0.02", 1.5), data)
    assert "The training critic gives 0: the encoder or decoder has beaten it" in found["reason"]


def test_blind_kernel(data):
    """The kernel exp(-|d|^2 / dim^2) at 64 dimensions gives 2.5e-4 for codes at one point."""
    options = {"bandwidth": 64.0**2 / 2}
    blind = planted(f"{MMD} <= 5e-4", 0.0, 0.01, latent_dim=64, term_options={"MMD_z": options})
    found = certified(blind, data)
    assert found["verdict"] == "uninformative"
    assert the(found)["upper"]["limit"] <= 5e-4
    assert (
        "admits codes collapsed to one point, for which this kernel gives 0.00025"
        in (found["reason"])
    )
    seeing = certified(planted(f"{MMD} <= 5e-4", 0.0, 0.01, latent_dim=64), data)
    assert seeing["verdict"] == "infeasible"


def test_narrow_posteriors_are_said_to_be_loose(data):
    """q(z|x) = N(x_1, 0.01^2) for the first two pixels: RATE is far above log 400."""
    model = planted(f"{KL} <= 3")
    flat = keras.layers.Flatten()(model.encoder.network.inputs[0])
    outputs = keras.layers.Concatenate()([flat[:, :2], 0.0 * flat[:, :2] - 20.0])
    model = zoo.LagrangianModel(
        model.objective,
        type(model.encoder)(
            keras.Model(model.encoder.network.inputs, outputs), model.encoder.family, (2,)
        ),
        model.decoder,
        model.prior,
        critics=model.critics,
    )
    found = certified(model, data)
    c = the(found)
    assert c["status"] == "undecided"
    assert "so that the upper bound is loose (RATE is 8.556" in c["loose"]
    assert c["loose"] in found["reason"]


def test_few_examples(data):
    held_out, training, validation = data
    model = planted(f"{JS} <= 0.02", 1.5)
    few = [held_out[0][:5]]
    found = certify(model, few, training=training, validation=validation, power=0)
    assert found["verdict"] == "undecided"
    assert found["reason"].endswith("too few held-out examples for an interval.")
    # Without training data parts of the held-out examples serve.
    assert certify(model, held_out, power=0)["verdict"] == "infeasible"
    assert certify(model, held_out[:3], power=0)["verdict"] == "undecided"


def test_a_multiplier_that_is_not_finite(data):
    model = planted(f"{JS} <= 0.02")
    model.multipliers.mu.assign([np.nan])
    found = certified(model, data)
    assert found["verdict"] == "undecided"
    assert found["reason"] == f"{JS} is undecided: its multiplier is not finite."


@pytest.mark.parametrize(("latent", "status"), [(0.0, "not refuted"), (None, "violated")])
def test_on_x_nothing_better_than_not_refuted_is_known(latent, status):
    """p(x) is a decoder's mean at z ~ p(z): data of the same, or other data."""
    model = zoo.build(
        zoo.Objective(-1, constraints=[C_X, "JS(q(x)||p(x)) <= 0.2"]),
        image_shape=SHAPE,
        latent_dim=2,
        network_options={"hidden": (8,)},
        seed=3,
    )
    sets = [
        batches(images(n, seed) if latent is None else np.asarray(model.sample(n, seed=seed)))
        for seed, n in enumerate((400, 800, 200))
    ]
    found = certified(model, sets)
    c = the(found)
    assert (c["status"], c["upper"]) == (status, None)
    assert found["verdict"] == {"violated": "infeasible"}.get(status, status)
    if status == "not refuted":
        assert [p["size"] for p in c["power"]["planted"]] == pytest.approx([0.2, 0.4])
        assert c["power"]["sentence"] in found["reason"]
        assert "no upper bound on it exists" in markdown(found)
