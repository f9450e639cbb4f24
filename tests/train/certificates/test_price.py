"""Two models whose differences are planted, beside what each measures alone."""

import json

import numpy as np
import pytest
import tensorflow as tf

import zoo
from train.certificates.price import price, sentences
from zoo.metrics import mutual_information
from zoo.metrics.intervals import mean_interval

JOINT, MMD = "KL(q(x,z)||p(x,z))", "MMD(q(z)||p(z))"
SHAPE = (6, 6, 1)


def build(objective, gain=1.0, **options):
    model = zoo.build(
        objective, image_shape=SHAPE, network_options={"hidden": (8,)}, seed=3, **options
    )
    kernel = model.encoder.trainable_variables[-2]
    kernel.assign(gain * kernel)
    return model


def lagvae(gain=1.0):
    return build(zoo.objective("lagvae_max", e1="25", e2="1e-3"), gain, latent_dim=2)


@pytest.fixture(scope="module")
def batches():
    images = np.random.default_rng(0).random((90, *SHAPE), dtype=np.float32)
    return [(images[i : i + 9], np.zeros(9)) for i in range(0, 90, 9)]


def test_differences_are_paired(batches):
    model, neutral = lagvae(4.0), build("vae", latent_dim=2)
    found = price(model, neutral, batches, seed=5)
    per_batch = [
        [m.term_values(x, [5, i]) for i, (x, _) in enumerate(batches)] for m in (model, neutral)
    ]
    run, before = (np.array([float(v["REC_x"] + v["RATE"]) for v in row]) for row in per_batch)
    cost = found["neg_elbo"]
    assert cost["run"] == pytest.approx(run.mean(), rel=1e-5)
    assert cost["neutral"] == pytest.approx(before.mean(), rel=1e-5)
    assert cost["difference"] == pytest.approx((run - before).mean(), rel=1e-4)
    assert cost["interval"] == pytest.approx(mean_interval(run - before), rel=1e-3)
    joint, mmd = found["constraints"]
    assert joint == {"expression": JOINT, **cost}
    assert mmd["difference"] is None  # a VAE has no MMD
    assert set(found["terms"]) == {"REC_x", "RATE"}
    images = [x for x, _ in batches]
    one, other = (mutual_information(m, images, 5) for m in (model, neutral))
    information = found["information"]
    assert information["difference"] == pytest.approx(one.estimate - other.estimate)
    half = 1.96 * np.hypot(one.standard_error, other.standard_error)
    low, high = information["interval"]
    assert high - low == pytest.approx(2 * half)
    assert information["at_ceiling"] == {"run": False, "neutral": False}
    assert price(model, neutral, batches, seed=5, points=20)["information"]["ceiling"] < 3
    text = " ".join(sentences(found))
    assert f"I_q rises by {information['difference']:.3g} nats ({low:.3g} to {high:.3g})" in text
    assert MMD not in text
    json.dumps(found, allow_nan=False)


def test_a_run_costs_nothing_against_itself(batches):
    found = price(lagvae(), lagvae(), batches)
    assert found["neg_elbo"]["difference"] == 0.0
    assert found["constraints"][1]["interval"] == [0.0, 0.0]
    assert "I_q does not change measurably" in sentences(found)[0]
    assert "-ELBO does not change" in sentences(found)[0]


def test_few_batches_have_no_interval(batches):
    found = price(lagvae(4.0), lagvae(), batches[:5])
    assert found["neg_elbo"]["interval"] is None
    assert found["neg_elbo"]["difference"] is not None


def test_without_densities_there_is_no_information(batches):
    implicit = build("avb", latent_dim=2)
    found = price(implicit, implicit, batches)
    assert found["information"] is None
    assert found["neg_elbo"] is None
    assert sentences(found) == []


def row(difference, interval, run=0.0):
    return {"run": run, "neutral": 0.0, "difference": difference, "interval": interval}


UP, DOWN, STILL = row(3.1, [2.9, 3.3]), row(-3.1, [-3.3, -2.9]), row(0.1, [-0.1, 0.3])
COST, GAIN = row(3.9, [3.7, 4.1]), row(-0.5, [-0.6, -0.4])


@pytest.mark.parametrize(
    ("information", "ceilings", "cost", "text"),
    [
        (
            UP,
            (0, 0),
            COST,
            "I_q rises by 3.1 nats (2.9 to 3.3) for 3.9 nats (3.7 to 4.1) of -ELBO.",
        ),
        (DOWN, (0, 0), COST, "I_q falls by 3.1 nats (2.9 to 3.3) for 3.9 nats (3.7 to 4.1) of"),
        (UP, (0, 0), GAIN, "(2.9 to 3.3); -ELBO falls by 0.5 nats (0.4 to 0.6)."),
        (STILL, (0, 0), COST, "I_q does not change measurably (-0.1 to 0.3 nats); -ELBO rises by"),
        (UP, (0, 0), STILL, "(2.9 to 3.3); -ELBO does not change measurably (-0.1 to 0.3 nats)."),
        (UP, (1, 0), COST, "I_q rises by 3.1 nats (2.9 to 3.3) or more, as one estimate is at"),
        (STILL, (1, 1), COST, "I_q cannot be compared: both estimates are at their ceiling, 8.5 "),
        (STILL, (1, 1), COST, "nats; RATE, its upper bound, rises by 2 nats (1 to 3); -ELBO rises"),
        (UP, (0, 0), None, "I_q rises by 3.1 nats (2.9 to 3.3)."),
    ],
)
def test_sentences(information, ceilings, cost, text):
    at_ceiling = dict(zip(("run", "neutral"), map(bool, ceilings), strict=True))
    found = {
        "information": {**information, "ceiling": 8.5, "at_ceiling": at_ceiling},
        "neg_elbo": cost,
        "constraints": [{"expression": MMD, **row(2e-4, [1e-4, 3e-4])}],
        "terms": {"RATE": row(2.0, [1.0, 3.0])},
    }
    first, second = sentences(found)
    assert first.startswith("Against the neutral run, I_q ")
    assert text in first
    assert second == f"Against the neutral run, {MMD} rises by 0.0002 (0.0001 to 0.0003)."
    assert sentences(None) == []


def test_what_is_not_finite_is_none(batches):
    broken = lagvae()
    kernel = broken.decoder.trainable_variables[0]
    kernel.assign(tf.fill(kernel.shape, np.nan))
    found = price(broken, lagvae(), batches[:9])
    assert found["neg_elbo"]["run"] is found["neg_elbo"]["difference"] is None
    assert found["constraints"][1]["difference"] == 0.0
    json.dumps(found, allow_nan=False)
    sentences(found)
