"""A run with --condition=label: trained, continued, certified, evaluated and exported."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from export.run import export_newest
from train.certificates import page
from train.evaluations import evaluation, measures
from train.evaluations.subject import Options, Subject
from train.loop import assembly, restoring
from train.run import train
from train.workdirs.config import RunConfig
from train.workdirs.workdir import Workdir
from zoo.errors import InputError
from zoo.objectives import family
from zoo.objectives.objective import Objective

OBJECTIVE = Objective(
    alpha_q=-1,
    constraints=("KL(q(x|z)||p(x|z))", "JS(q(z)||p(z)) <= 0.05", "MMD(q(z)||p(z)) <= 0.01"),
    name="mine",
)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Bright and dark squares of three sizes, by their class."""
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 3
    images = rng.integers(0, 60, (600, 8, 8), dtype=np.uint8)
    for label in range(3):
        images[labels == label, : 2 + 2 * label, : 2 + 2 * label] += 180
    path = tmp_path_factory.mktemp("data") / "squares.npz"
    np.savez(path, x_train=images, y_train=labels)
    return RunConfig(
        objective=OBJECTIVE.to_config(),
        dataset=str(path),
        condition="label",
        network_options={"hidden": [16]},
        latent_dim=2,
        steps=20,
        batch_size=30,
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


def test_it_continues_to_the_same_bits(config, tmp_path):
    """Multipliers are fixed: the speed of learned ones depends on the run's first length."""
    config = dataclasses.replace(config, objective=family.objective("alice").to_config())
    workdir, parts = Workdir(tmp_path / "whole"), Workdir(tmp_path / "parts")
    train(config, workdir)
    train(dataclasses.replace(config, steps=10), parts)
    train(config, parts)
    one, other = (restoring.load(w, w.latest_checkpoint()) for w in (workdir, parts))
    assert int(one.step) == int(other.step) == 20
    for a, b in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (a, b)))
    assert one.condition.classes == 3
    assert json.loads((workdir.path / "config.json").read_text())["condition"] == "label"
    with pytest.raises(InputError, match="condition: None here, 'label' there"):
        parts.check(dataclasses.replace(config, condition=None))


def test_samples_of_each_class_are_a_row(workdir):
    size = Image.open(workdir.plots / "samples.png").size
    # Ten images in each of three rows
    assert size[0] > 2.5 * size[1]
    assert (workdir.plots / "latent.png").is_file()


def test_the_certificate_is_of_the_divergence_given_the_condition(workdir):
    certificate = json.loads((workdir.path / "certificate.json").read_text())
    js, mmd = certificate["constraints"]
    assert js["lower"] is not None
    # What bounds KL(q(z)||p(z)) from above bounds no mean over classes.
    assert js["upper"] is None
    assert mmd["lower"]["limit"] < mmd["value"] < mmd["upper"]["limit"]
    assert mmd["lower"]["size"] == 60
    assert "KL(q(z,c)||p(z)q(c))" in page.markdown(certificate)
    assert certificate["information"]["points"] == 20
    assert certificate["collapse"] is not None
    assert certificate["classes"] is not None


def test_it_is_evaluated_given_each_class(config, workdir):
    model = restoring.load(workdir, workdir.latest_checkpoint(), compiled=False)
    subject = Subject(
        model, assembly.load_dataset(config), config, Options(classifier_steps=60, draws=10)
    )
    names = "neg_elbo,nll,mi,mmd,mse,active_units,condition_accuracy,semi_supervised_100"
    found = evaluation.evaluate(subject, measures.chosen(names), workdir)
    assert set(found["metrics"]) == set(names.split(",")) - {"semi_supervised_100"}
    assert "its codes cannot be judged by labels" in found["skipped"]["semi_supervised_100"]
    assert found["metrics"]["nll"]["value"] <= found["metrics"]["neg_elbo"]["value"] + 1.0
    assert found["metrics"]["neg_elbo"]["size"] == 60
    assert "the mean over 3 classes" in found["metrics"]["mse"]["notes"][0]
    (row,) = (r for r in workdir.records() if r["split"] == "test")
    np.testing.assert_allclose(found["metrics"]["mse"]["value"], row["mse"], rtol=1e-5)


def test_what_is_exported_takes_it(workdir, tmp_path):
    folder = export_newest(str(workdir.path), str(tmp_path / "out"))["model"]
    served = tf.saved_model.load(str(folder)).signatures
    model = restoring.load(workdir, workdir.latest_checkpoint(), compiled=False)
    x = np.random.default_rng(0).random((3, 8, 8, 1), dtype=np.float32)
    c = np.array([2, 0, 1])
    given = {"condition": tf.constant(c)}
    found = served["reconstruct"](images=tf.constant(x), **given)["images"]
    np.testing.assert_allclose(found, model.reconstruct(x, c), atol=1e-5)
    found = served["log_likelihood"](images=tf.constant(x), noise=tf.zeros([3, 4, 2]), **given)
    assert found["log_weights"].shape == (3, 4)
    z = np.ones((3, 2), np.float32)
    found = served["generate"](noise=tf.constant(z), **given)["images"]
    np.testing.assert_allclose(found, model.decode(z, c).mean(), atol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="classes from 0 to 3, but this"):
        served["decode"](z=tf.constant(z), condition=tf.constant([0, 1, 3], tf.int64))
    card = json.loads((folder / "assets.extra" / "model.json").read_text())
    assert card["condition"] == {"shape": [3], "classes": 3}
    assert card["signatures"]["encode"]["inputs"]["condition"]["dtype"] == "int64"
    with pytest.raises(InputError, match="reads a condition, but the encoders of --tflite"):
        export_newest(str(workdir.path), str(tmp_path / "lite"), formats=("tflite",))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"pair": "rotated"}, "--condition=label cannot be combined with --pair=rotated"),
        ({"share_features": True}, "cannot be combined with --share_features"),
        ({"history": 5}, "cannot be combined with --history=5"),
        ({"prior": "vamp:4"}, "cannot be combined with --prior=vamp:4"),
    ],
)
def test_what_reads_no_condition_is_refused_before_anything_is_loaded(config, flags, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(config, **flags)
