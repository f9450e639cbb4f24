"""A table with --condition=label: trained, continued, evaluated, certified and exported."""

import dataclasses
import json

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from export.run import export_newest
from train.evaluations import evaluation, measures
from train.evaluations.subject import Options, Subject
from train.loop import assembly, restoring
from train.run import train
from train.workdirs.config import RunConfig
from train.workdirs.workdir import Workdir
from zoo.errors import InputError
from zoo.objectives import family

SEXES = ("f", "m")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Women and men, and a column whose name is that of a tensor."""
    random = np.random.default_rng(0)
    sex = random.choice(SEXES, 200)
    height = random.normal(165, 7, 200) + 14 * (sex == "m")
    condition = random.choice(["good", "poor"], 200)
    path = tmp_path_factory.mktemp("data") / "people.csv"
    pd.DataFrame({"height": height, "condition": condition, "sex": sex}).to_csv(path, index=False)
    return RunConfig(
        objective=family.objective("alice").to_config(),
        dataset=str(path),
        label_column="sex",
        condition="label",
        network_options={"hidden": [16]},
        latent_dim=2,
        steps=20,
        batch_size=20,
        log_every=5,
        checkpoint_every=10,
        jit="off",
        precision="float32",
    )


@pytest.fixture(scope="module")
def workdir(config, tmp_path_factory):
    workdir = Workdir(tmp_path_factory.mktemp("runs") / "whole")
    train(config, workdir)
    return workdir


def newest(workdir, **options):
    return restoring.load(workdir, workdir.latest_checkpoint(), **options)


def test_it_continues_to_the_same_bits(config, workdir, tmp_path):
    parts = Workdir(tmp_path / "parts")
    train(dataclasses.replace(config, steps=10), parts)
    train(config, parts)
    one, other = newest(workdir), newest(parts)
    assert int(one.step) == int(other.step) == 20
    for a, b in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (a, b)))
    assert one.condition.classes == 2
    assert one.table.names == ["height", "condition"]


def test_it_is_drawn_and_certified(workdir):
    assert (workdir.plots / "marginals.png").exists()
    assert not (workdir.plots / "samples.png").exists()
    certificate = json.loads((workdir.path / "certificate.json").read_text())
    assert certificate["verdict"] == "fixed multipliers"


def test_rows_are_drawn_of_a_class(workdir):
    model = newest(workdir, compiled=False)
    rows = model.table.sample(model, 6, condition=1)
    assert rows["height"].shape == (6,)
    assert set(rows["condition"]) <= {"good", "poor"}
    again = model.table.decode(model.given(1).draw(6))
    np.testing.assert_array_equal(rows["height"], again["height"])


def test_it_is_evaluated_in_the_units_of_columns(config, tmp_path):
    config = dataclasses.replace(config, objective=family.objective("vae").to_config())
    dataset = assembly.load_dataset(config)
    model = assembly.build_model(
        config, dataset.image_shape, 20, classes=dataset.classes, table=dataset.table
    )
    subject = Subject(model, dataset, config, Options(points=20))
    chosen = [measures.MEASURES[name] for name in ("distortion", "fid")]
    found = evaluation.evaluate(subject, chosen, Workdir(tmp_path))
    distortion = found["metrics"]["distortion"]
    raw = distortion["value"] + dataset.table.log_det
    assert any(f"in the columns' own units {raw:.4g}" in note for note in distortion["notes"])
    assert "is of images" in found["skipped"]["fid"]


def test_an_export_has_columns_and_a_condition(workdir, tmp_path):
    export_newest(workdir.path, tmp_path / "out")
    model = newest(workdir, compiled=False)
    served = tf.saved_model.load(str(tmp_path / "out" / "model" / "1")).signatures
    rows = {"height": [170.0, 180.0], "condition": ["good", "poor"]}
    given = {
        "height": tf.constant(rows["height"], tf.float64),
        "condition_": tf.constant(rows["condition"]),
        "condition": tf.constant([0, 1], tf.int64),
    }
    found = served["reconstruct"](**given)
    wanted = model.table.decode(model.reconstruct(rows, condition=[0, 1]))
    np.testing.assert_allclose(found["height"], wanted["height"], rtol=1e-4)
    assert found["condition_"].numpy().astype(str).tolist() == wanted["condition"].tolist()
    noise = {"noise": tf.zeros([1, 2]), "noise_x": tf.zeros([1, 3])}
    one, other = (
        served["sample"](**noise, condition=tf.constant([c], tf.int64))["height"] for c in (0, 1)
    )
    assert float(one[0]) != float(other[0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="classes from 0 to 2"):
        served["encode"](**{**given, "condition": tf.constant([0, 2], tf.int64)})


def test_what_does_not_go_together(config):
    with pytest.raises(InputError, match="are: none, as a table has one by --label_column"):
        assembly.load_dataset(dataclasses.replace(config, label_column=None))
    with pytest.raises(InputError, match="label cannot be combined with --prior=vamp:5"):
        dataclasses.replace(config, prior="vamp:5")
