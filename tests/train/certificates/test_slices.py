"""Classes with planted costs."""

import json
import types

import numpy as np
import pytest

import zoo
from train.certificates.slices import sentences, slices
from zoo import priors
from zoo.errors import InputError

JOINT, MMD = "KL(q(x,z)||p(x,z))", "MMD(q(z)||p(z))"
SHAPE = (6, 6, 1)


class Planted:
    """REC_x is the mean of the first pixel, RATE of the second; REC_z has no class."""

    prior = priors.standard_normal(1)

    def __init__(self, slopes, tolerance):
        columns = np.array(slopes, np.float32)
        self.lagrangian = types.SimpleNamespace(
            terms=("REC_x", "RATE", "REC_z", "MMD_z"),
            slopes=columns,
            learned=tuple(
                types.SimpleNamespace(expression=f"D{j}") for j in range(columns.shape[1])
            ),
            tolerances=np.full(columns.shape[1], tolerance, np.float32),
        )
        self.sizes = set()

    def traced_terms(self, x, seed, z=None):
        self.sizes.add(len(x))
        return {"REC_x": x[:, 0].mean(), "RATE": x[:, 1].mean(), "REC_z": 5.0, "MMD_z": 0.0}


SUM = [[1], [1], [0], [0]]


def data(means, counts, seed=0):
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat(np.arange(len(means)), counts))
    x = random.normal(size=(len(labels), 2)).astype(np.float32)
    x[:, 0] += np.array(means)[labels]
    return [x[i : i + 64] for i in range(0, len(x), 64)], labels


def test_the_worst_class():
    batches, labels = data([100, 101, 110, 99], 128)
    model = Planted(SUM, 103)
    found = slices(model, batches, labels)
    (row,) = found["constraints"]
    assert (found["classes"], row["worst"], row["alone"]) == (4, 2, True)
    for mean, of in zip([100, 101, 110, 99], row["labels"], strict=True):
        assert of["images"] == 128
        assert of["interval"][0] < of["value"] < of["interval"][1]
        assert of["value"] == pytest.approx(mean, abs=0.5)
    assert model.sizes == {8}
    low, high = (f"{end:.4g}" for end in row["labels"][2]["interval"])
    assert sentences(found, {"D0": "-ELBO"}) == [
        f"Class 2 is the worst of 4: -ELBO {low} to {high}, above the tolerance 103. The tolerance "
        "bounds the mean over all classes."
    ]
    json.dumps(found, allow_nan=False)


def test_values_are_means_of_the_classes_images():
    batches, labels = data([3, 4], [64, 64])
    row = slices(Planted(SUM, 10), batches, labels)["constraints"][0]
    x = np.concatenate(batches)
    for of in row["labels"]:
        mean = x[labels == of["label"]].sum(axis=1).mean()
        assert of["value"] == pytest.approx(mean, rel=1e-5)


def test_equal_classes_have_no_certain_worst():
    alone = 0
    for seed in range(40):
        batches, labels = data([100] * 10, 128, seed)
        row = slices(Planted(SUM, 120), batches, labels)["constraints"][0]
        alone += row["alone"]
        above = [of["interval"][0] > 100 or of["interval"][1] < 100 for of in row["labels"]]
        alone += any(above)
    assert alone <= 6  # 5% of 40 at most, within 3 standard errors
    text = sentences({"constraints": [row]})[0]
    assert "has the highest D0" in text
    assert "within the tolerance 120; " in text
    assert "may be as high" in text


def test_rare_classes_have_no_interval():
    batches, labels = data([100, 105, 150], [600, 40, 9])
    found = slices(Planted(SUM, 103), batches, labels)
    row = found["constraints"][0]
    assert row["labels"][2]["interval"] is None
    assert row["labels"][2]["value"] == pytest.approx(150, abs=2)
    assert row["worst"] == 1
    assert "1 more have too few" not in sentences(found)[0]
    assert "1 class has too few images for an interval." in sentences(found)[0]


def test_what_has_no_classes():
    batches, labels = data([1, 2], 64)
    # REC_z alone, MMD, and a sum with MMD; the last is -ELBO plus REC_z
    model = Planted([[0, 0, 1, 1], [0, 0, 0, 1], [1, 0, 0, 1], [0, 1, 1, 0]], 10)
    found = slices(model, batches, labels)
    assert [row["expression"] for row in found["constraints"]] == ["D3"]
    assert slices(Planted([[0], [0], [0], [1]], 1), batches, labels)["constraints"] == []
    assert sentences(None) == []


def test_one_class_has_no_worst():
    batches, labels = data([1], 64)
    assert sentences(slices(Planted(SUM, 10), batches, labels)) == []


def test_what_is_not_finite_is_none():
    batches, labels = data([np.nan, 2, 3], 64)
    found = slices(Planted(SUM, 10), batches, labels)
    row = found["constraints"][0]
    assert row["labels"][0]["value"] is row["labels"][0]["interval"] is None
    assert row["worst"] == 2
    json.dumps(found, allow_nan=False)


def test_labels_are_as_many_as_images():
    batches, labels = data([1, 2], 64)
    with pytest.raises(InputError, match="100 labels for at least"):
        slices(Planted(SUM, 10), batches, labels[:100])


def test_a_model_of_the_zoo():
    model = zoo.build(
        zoo.objective("lagvae_max", e1="25", e2="1e-3"),
        image_shape=SHAPE,
        latent_dim=2,
        network_options={"hidden": (8,)},
        seed=3,
    )
    labels = np.array(["dark", "light"] * 20)
    images = np.random.default_rng(0).random((40, *SHAPE), dtype=np.float32)
    images[labels == "dark"] *= 0.1
    (row,) = slices(model, [images[:30], images[30:]], labels, seed=5)["constraints"]
    assert row["expression"] == JOINT
    dark = images[labels == "dark"]
    values = [model.term_values(dark[2 * i : 2 * i + 2], [5, i]) for i in range(10)]
    expected = np.mean([v["REC_x"] + v["RATE"] for v in values])
    assert row["labels"][0]["label"] == "dark"
    assert row["labels"][0]["value"] == pytest.approx(expected, rel=1e-5)
