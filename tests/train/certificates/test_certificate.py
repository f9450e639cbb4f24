"""Certificates of planted cases: what is written must be what was planted."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import zoo
from train.certificates import convergence
from train.certificates.certificate import certify
from train.certificates.held_out import batch_size
from train.certificates.page import markdown
from train.workdirs.workdir import Workdir
from zoo.errors import InputError
from zoo.metrics import mean_interval, mutual_information

JOINT, MMD = "KL(q(x,z)||p(x,z))", "MMD(q(z)||p(z))"
SHAPE = (6, 6, 1)


@pytest.fixture(scope="module")
def batches():
    images = np.random.default_rng(0).random((82, *SHAPE), dtype=np.float32)
    return np.split(images, range(6, 73, 6))  # twelve of 6, and ten images over


def lagvae(e1, e2):
    return build(zoo.objective("lagvae_max", e1=str(e1), e2=str(e2)))


def build(objective):
    # One seed, and so the same weights, whatever the tolerances
    model = zoo.build(
        objective, image_shape=SHAPE, latent_dim=2, network_options={"hidden": (8,)}, seed=3
    )
    # Posteriors near the prior, whose MMD an informative tolerance may be above
    last = model.encoder.network.layers[-1]
    last.set_weights([0.1 * weight for weight in last.get_weights()])
    return model


@pytest.fixture(scope="module")
def reached(batches):
    """The intervals of both constraints at these weights."""
    found = certify(lagvae(1000, 0.06), batches)["constraints"]
    return {c["expression"]: c["interval"] for c in found}


def records(multiplier, value=0.0, steps=range(100, 2001, 100), name=JOINT):
    return [
        {
            "step": step,
            "split": "train",
            "loss": 1.0,
            "terms": {},
            "constraints": {name: value},
            "multipliers": {name: float(multiplier(step))},
        }
        for step in steps
    ]


def settled(step):
    return 3.0 + math.exp(-step / 100)


# Verdicts


def test_feasible(batches, reached):
    found = certify(lagvae(reached[JOINT][1] + 0.01, reached[MMD][1] + 0.01), batches)
    assert found["verdict"] == "feasible"
    assert [c["status"] for c in found["constraints"]] == ["holds", "holds"]
    assert found["reason"] == "Every constraint holds on held-out data."


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"at_clip": {JOINT: "upper", MMD: None}}, "infeasible for this network"),
        ({"records": records(settled, value=0.0)}, "does not generalise"),
        ({"records": records(lambda step: step / 100, value=99.0)}, "a longer run may meet it"),
        ({}, "is allowed."),
    ],
)
def test_infeasible(batches, reached, given, cause):
    found = certify(lagvae(reached[JOINT][0] - 0.01, 0.06), batches, **given)
    assert found["verdict"] == "infeasible"
    assert [c["status"] for c in found["constraints"]] == ["violated", "holds"]
    assert found["reason"].startswith(f"{JOINT} is violated: -ELBO is ")
    assert found["reason"].endswith(cause) or cause in found["reason"]
    assert MMD not in found["reason"]


def test_undecided(batches, reached):
    found = certify(lagvae(np.mean(reached[JOINT]), reached[MMD][1] + 0.01), batches)
    assert found["verdict"] == "undecided"
    assert [c["status"] for c in found["constraints"]] == ["undecided", "holds"]
    assert found["reason"].startswith(f"{JOINT} is undecided: its interval")


def test_one_violation_makes_it_infeasible(batches, reached):
    found = certify(lagvae(np.mean(reached[JOINT]), reached[MMD][0] - 0.01), batches)
    assert [c["status"] for c in found["constraints"]] == ["undecided", "violated"]
    assert found["verdict"] == "infeasible"
    assert found["reason"].startswith(f"{MMD} is violated")


def test_fixed_multipliers(batches):
    found = certify(build("beta_vae"), batches)
    assert found["verdict"] == "fixed multipliers"
    assert found["converged"] is None
    assert found["constraints"] == []
    assert found["fixed"] == [
        {"expression": "KL(q(x|z)||p(x|z))", "multiplier": 1.0},
        {"expression": "KL(q(z)||p(z))", "multiplier": 4.0},
    ]
    assert {name: t["coefficient"] for name, t in found["terms"].items()} == {
        "REC_x": 1.0,
        "RATE": 4.0,
    }
    assert "Fixed multipliers: 1 on `KL(q(x|z)||p(x|z))`, 4 on" in markdown(found)


# Values


def test_values_are_means_over_equal_batches(batches):
    model = lagvae(1000, 0.06)
    found = certify(model, batches, seed=5)
    assert found["measured_on"] == {"batches": 12, "batch_size": 6, "left_out": 10, "seed": 5}
    per_batch = [model.term_values(x, [5, i]) for i, x in enumerate(batches[:-1])]
    # D_1 = REC_x + RATE, each batch by itself
    expected = np.array([float(v["REC_x"] + v["RATE"]) for v in per_batch])
    joint, mmd = found["constraints"]
    assert joint["value"] == pytest.approx(expected.mean(), rel=1e-6)  # float32
    low, high = mean_interval(expected)
    assert joint["interval"] == pytest.approx([low, high], rel=1e-6)
    assert (joint["lower"]["limit"], joint["upper"]["limit"]) == tuple(joint["interval"])
    # What training drives to zero: float32 differences from 1000, right to 1e-4
    training = np.mean([model.lagrangian.violations(v)[0] for v in per_batch])
    assert joint["value"] - joint["tolerance"] == pytest.approx(training, abs=2e-4)
    # D_2 = MMD_z, by all codes at once
    assert mmd["lower"]["method"] == "U-statistic of 82 samples, rbf kernel, exact normal"
    assert mmd["value"] == pytest.approx(np.mean([float(v["MMD_z"]) for v in per_batch]), abs=0.05)
    rates = [float(v["RATE"]) for v in per_batch]
    assert found["terms"]["RATE"]["value"] == pytest.approx(np.mean(rates))
    assert found["terms"]["REC_x"]["coefficient"] == 2.0  # l1 + |a1|
    assert certify(model, batches, seed=5) == found != certify(model, batches, seed=6)


def test_tolerances_and_what_they_were_declared_as(batches):
    given = {"declared": {JOINT: "best + 4"}, "best": {JOINT: 21.5}}
    joint, mmd = certify(lagvae(25.5, 0.002), batches, **given)["constraints"]
    assert (joint["tolerance"], joint["declared"], joint["best"]) == (25.5, "best + 4", 21.5)
    assert (mmd["tolerance"], mmd["declared"], mmd["best"]) == (0.002, "0.002", None)


def test_it_says_that_the_joint_kl_is_bounded_through_the_elbo(batches):
    found = certify(lagvae(25, 0.06), batches)
    assert any("constrained through -ELBO" in note for note in found["notes"])


def test_information(batches):
    model = lagvae(25, 0.06)
    found = certify(model, batches, seed=2)["information"]
    expected = mutual_information(model, batches, seed=2)
    assert found["points"] == 82
    assert found["ceiling"] == math.log(82)
    assert found["estimate"] == expected.estimate
    assert (found["rate"], found["rec_x"]) == (expected.rate, expected.rec_x)
    low, high = found["interval"]
    half = 1.96 * expected.standard_error
    # I_q is between 0 and RATE, whatever its noise.
    assert low == pytest.approx(max(expected.estimate - half, 0.0))
    assert high == pytest.approx(min(expected.estimate + half, expected.rate))
    assert 0.0 <= found["estimate"] <= found["rate"]
    assert certify(model, batches[:9], points=30)["information"]["points"] == 30


def test_labels_are_left_alone(batches):
    model = lagvae(25, 0.06)
    labelled = [(x, np.zeros(len(x))) for x in batches]
    assert certify(model, labelled[:2]) == certify(model, batches[:2])


def test_what_is_not_finite_is_null(batches, monkeypatch):
    model = lagvae(25, 0.06)
    measured = model.term_values

    def broken(x, seed, z=None):
        values = measured(x, seed, z)
        return {**values, "REC_x": values["REC_x"] * tf.where(tf.equal(seed[1], 3), np.nan, 1.0)}

    monkeypatch.setattr(model, "term_values", broken)
    found = certify(model, batches)
    assert found["verdict"] == "undecided"
    assert found["reason"] == f"{JOINT} is undecided: it is not finite on held-out data."
    joint, mmd = found["constraints"]
    assert joint["value"] is joint["interval"] is joint["complementary_slackness"] is None
    assert mmd["status"] == "holds"
    assert "REC_x is not finite on 1 of 12 batches" in " ".join(found["notes"])
    json.dumps(found, allow_nan=False)
    assert "| - | - |" in markdown(found)


def test_few_batches_decide_nothing(batches):
    found = certify(lagvae(1000, 0.06), batches[:7])
    assert found["verdict"] == "undecided"
    assert "too few held-out examples" in found["reason"]
    assert found["constraints"][0]["value"] is not None
    assert any(
        note.startswith("7 batches are too few for intervals, which need 8")
        for note in found["notes"]
    )


def test_no_images():
    with pytest.raises(InputError, match="no held-out images"):
        certify(lagvae(25, 0.06), [])


@pytest.mark.parametrize(
    ("examples", "training", "size"),
    [(10_000, 128, 128), (500, 128, 15), (4096, 128, 128), (4095, 128, 127), (5, 128, 2)],
)
def test_batches_are_many_enough(examples, training, size):
    assert batch_size(examples, training) == size


# Multipliers


@pytest.mark.parametrize(
    ("eps", "at_clip", "path", "active"),
    [
        ("inside", "lower", None, True),  # the tolerance is in the interval
        ("above", "lower", None, False),
        ("above", None, None, True),  # the multiplier, 1, acts
        ("above", None, lambda step: 900 / step**0.5, True),  # 1 after 90: it acts, a little
        ("above", None, lambda step: 1e5 / step, False),  # 1 after 1000: what is left is nothing
        ("below", "lower", None, True),
    ],
)
def test_active_or_slack(batches, reached, eps, at_clip, path, active):
    low, high = reached[JOINT]
    tolerance = {"inside": (low + high) / 2, "above": high + 1, "below": low - 1}[eps]
    found = certify(
        lagvae(tolerance, 0.06),
        batches,
        records(path) if path else [],
        at_clip={JOINT: at_clip, MMD: None},
    )["constraints"][0]
    assert found["multiplier"] == pytest.approx(1.0)
    assert found["active"] is active
    assert found["at_clip"] == at_clip
    slackness = found["multiplier"] * (found["value"] - tolerance)
    assert found["complementary_slackness"] == pytest.approx(slackness)


def test_the_model_knows_its_clip(batches):
    model = lagvae(25, 0.06)
    assert [c["at_clip"] for c in certify(model, batches)["constraints"]] == [None, None]
    model.multipliers.mu.assign([0.0, model.multipliers.clip[1]])
    found = certify(model, batches)
    assert [c["at_clip"] for c in found["constraints"]] == ["lower", "upper"]
    assert found["converged"] is False
    assert f"{MMD} is held by its upper clip" in found["convergence"]


def oscillating(step):
    # A period in the last tenth, from 1800 to 2000: it ends where it began.
    return 3.0 + 0.4 * math.sin(2 * math.pi * (step - 1800) / 200 + math.pi / 2)


@pytest.mark.parametrize(
    ("path", "share", "extent", "is_settled"),
    [
        (lambda step: 5.0, 0, 0, True),
        (lambda step: 0.0, 0, 0, True),
        (settled, 0, 0, True),
        (lambda step: 1 + step / 2000, 0.05, 0.05, False),  # by 0.1 of 2
        (lambda step: 4 - step / 2000, 0.1 / 3.5, 0.1 / 3.5, False),
        (lambda step: 10 + step / 2000, 0.1 / 11, 0.1 / 11, True),
        (oscillating, 0, 0.8 / 3.4, False),
        # Slack and on its way to 0: it matters against what it was.
        (lambda step: max(0.0, 1 - step / 1500), 0, 0, True),
        (lambda step: max(0.0, 1 - step / 2000), 0.2, 0.2, False),
    ],
)
def test_drift(path, share, extent, is_settled):
    found = convergence.drift(records(path, steps=range(50, 2001, 50)), JOINT)
    assert (found["from_step"], found["to_step"]) == (1800, 2000)
    assert found["share"] == pytest.approx(share, abs=1e-6)
    assert found["range"] == pytest.approx(extent, abs=1e-6)
    assert found["settled"] is is_settled


def test_drift_ignores_the_noise_of_batches():
    random = np.random.default_rng(0)
    noisy = records(lambda step: 3 + 0.03 * random.normal(), steps=range(50, 20001, 50))
    assert convergence.drift(noisy, JOINT)["settled"] is True


@pytest.mark.parametrize(
    ("steps", "window"), [([], None), ([100], None), ([10, 20], (10, 20)), ([90, 100], (90, 100))]
)
def test_drift_of_few_records(steps, window):
    found = convergence.drift(records(lambda step: step, steps=steps), JOINT)
    assert (found and (found["from_step"], found["to_step"])) == window


def test_only_training_counts():
    rows = records(settled)
    other = [{**row, "split": "validation", "multipliers": {JOINT: 99.0}} for row in rows]
    assert convergence.drift(rows + other, JOINT) == convergence.drift(rows, JOINT)
    assert convergence.drift(other, JOINT) is None


def joined(*paths):
    return [
        {**first, "multipliers": {**first["multipliers"], **second["multipliers"]}}
        for first, second in zip(*paths, strict=True)
    ]


def test_convergence(batches):
    model = lagvae(1000, 0.06)
    assert certify(model, batches)["converged"] is None
    rows = joined(records(settled), records(settled, name=MMD))
    assert certify(model, batches, rows)["converged"] is True
    rows = joined(records(settled), records(lambda step: step, name=MMD))
    found = certify(model, batches, rows)
    assert found["converged"] is False
    assert found["convergence"].startswith(f"The multiplier of {MMD} has not settled")
    assert found["verdict"] == "feasible"


# Files


def test_files(batches, reached, tmp_path):
    workdir = Workdir(tmp_path)
    workdir.plots.mkdir()
    rows = joined(records(settled, 20.0), records(settled, name=MMD))
    for row in rows:
        workdir.record(row)
    found = certify(
        lagvae(round(np.mean(reached[JOINT]), 2), 0.06),
        batches,
        workdir.records(),
        declared={JOINT: "best + 4"},
        best={JOINT: 20.0},
    )
    found.write(tmp_path)
    names = {"metrics.jsonl", "plots", "certificate.json", "certificate.md"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert [path.name for path in workdir.plots.iterdir()] == ["certificate.png"]
    text = (tmp_path / "certificate.json").read_text()
    assert json.loads(text) == found
    with Image.open(workdir.plots / "certificate.png") as image:
        image.load()
        assert image.width == 960

    page = (tmp_path / "certificate.md").read_text()
    assert page.startswith("# lagvae_max: undecided\n\nKL(q(x,z)||p(x,z)) is undecided: its int")
    assert "12 batches of 6, 10 images left out" in page
    joint = found["constraints"][0]
    value, eps = f"{joint['value']:.5g}", f"{joint['tolerance']:.5g}"
    low, high = (f"{end:.5g}" for end in joint["interval"])
    assert rf"| `KL(q(x,z)\|\|p(x,z))`, as `-ELBO` | {low} | {high} | " in page
    assert f" | {eps} = best + 4, best 20 | **undecided** | {value} | 20 |" in page
    for table in page.split("\n\n"):
        if table.startswith("|"):
            # A bare | in an expression would make another column.
            columns = {line.replace(r"\|", "").count("|") for line in table.splitlines()}
            assert len(columns) == 1
    assert "![Held-out intervals and multipliers](plots/certificate.png)" in page
    assert "log 82 = 4.4067" in page

    certify(build("vae"), batches, workdir.records()).write(tmp_path)
    assert not list(workdir.plots.iterdir())
    page = (tmp_path / "certificate.md").read_text()
    assert page.startswith("# vae: fixed multipliers\n")
    assert "png" not in page
    assert "## Multipliers" not in page


def test_information_at_its_ceiling_is_said(batches):
    found = certify(build("vae"), batches)
    assert "I_q may be far larger" not in markdown(found)
    found["information"] |= {"estimate": 4.4, "sharing": 1.01}
    assert "The estimate is near its ceiling: I_q may be far larger." in markdown(found)
