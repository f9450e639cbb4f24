"""A user's tables and data in Python, files of 30 lines: trained, measured, drawn, exported."""

import json
import warnings
from pathlib import Path

import keras
import my_data
import my_table
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from commands import metrics, run

import zoo
from zoo.errors import InputError

FRAME = my_table.wines()


@pytest.fixture(scope="module")
def model():
    return my_table.trained(FRAME, epochs=60)


@pytest.mark.parametrize("module", [my_table, my_data])
def test_either_takes_thirty_lines(module):
    assert len(Path(module.__file__).read_text().splitlines()) <= 30


def test_it_beats_columns_that_are_independent(model):
    reached = model.evaluate(FRAME, return_dict=True, verbose=0)
    counts = [FRAME[name].value_counts(normalize=True).to_numpy() for name in ("kind", "dry")]
    entropy = -sum(np.sum(share * np.log(share)) for share in counts)
    # of N(0, 1), standardised: 1/2 log(2 pi e) each
    independent = 3 * 0.5 * np.log(2 * np.pi * np.e) + entropy
    assert reached["loss"] < independent - 0.5


def test_rows_come_back_as_they_went_in(model):
    back = pd.DataFrame(model.table.decode(model.table.encode(FRAME)))
    pd.testing.assert_frame_equal(back, FRAME, check_dtype=False, rtol=1e-5)
    drawn = model.table.sample(model, 500, seed=1)
    assert list(drawn) == list(FRAME)
    assert set(drawn["kind"]) == set(FRAME["kind"])
    assert drawn["dry"].dtype == bool
    assert abs(drawn["proline"].mean() - FRAME["proline"].mean()) < FRAME["proline"].std()
    again = model.table.sample(model, 500, seed=1)
    np.testing.assert_array_equal(drawn["hue"], again["hue"])
    assert not np.array_equal(drawn["hue"], model.table.sample(model, 500)["hue"])


def test_a_saved_model_carries_its_table(model, tmp_path):
    model.save(tmp_path / "wine.keras")
    read = keras.saving.load_model(tmp_path / "wine.keras")
    assert read.table == model.table
    np.testing.assert_array_equal(read.encode(FRAME).mean(), model.encode(FRAME).mean())


def test_an_export_takes_and_gives_raw_columns(model, tmp_path):
    from export.saved_models import export_model

    folder = export_model(model, tmp_path / "out")["model"]
    served = tf.saved_model.load(str(folder)).signatures
    raw = {name: tf.constant(FRAME[name].tolist()) for name in ("kind", "dry")}
    raw |= {n: tf.constant(FRAME[n], tf.float64) for n in ("alcohol", "hue", "proline")}
    np.testing.assert_allclose(
        served["encode"](**raw)["mean"], model.encode(FRAME).mean(), rtol=1e-4, atol=1e-5
    )
    found = served["reconstruct"](**raw)
    wanted = model.table.decode(model.reconstruct(FRAME))
    np.testing.assert_allclose(found["proline"], wanted["proline"], rtol=1e-4)
    assert [each.decode() for each in found["kind"].numpy()] == wanted["kind"].tolist()
    card = json.loads((folder / "assets.extra" / "model.json").read_text())
    assert [column["name"] for column in card["columns"]] == list(FRAME)
    assert card["log_det"] == pytest.approx(model.table.log_det)
    with pytest.raises(tf.errors.InvalidArgumentError, match="kind holds a category that"):
        served["encode"](**raw | {"kind": tf.constant(["red"] * len(FRAME))})


def test_data_of_all_kinds():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        vectors, images, rows = my_data.fitted()
    assert sum("are divided by 255" in str(each.message) for each in said) == 1
    assert np.isfinite(vectors.evaluate(my_data.VECTORS, verbose=0)[0])
    as_floats = images.evaluate(my_data.BYTES / np.float32(255), verbose=0)
    np.testing.assert_allclose(images.evaluate(my_data.BYTES, verbose=0), as_floats, rtol=1e-5)
    assert set(rows.table.sample(rows, 40)["sex"]) == {"f", "m"}


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (my_data.BYTES.astype("float32"), "x is from 0 to 255, and a Bernoulli likelihood is of"),
        ((my_data.BYTES > 99).astype(np.uint8), "hold no value above 1, where 255 is white"),
        (np.full((8, 8, 8, 1), np.nan, "float32"), "x holds numbers that are not finite"),
        (my_data.COLUMNS, "is given as columns .height, sex., and this model's x is no table"),
        (my_data.BYTES.astype(int), "These images are int64: give floats"),
    ],
)
@pytest.mark.parametrize("batched", [False, True])
def test_what_does_not_fit_is_said_before_training(x, message, batched):
    model = my_data.small(image_shape=(8, 8, 1))
    before = model.get_weights()
    x = tf.data.Dataset.from_tensor_slices(x).batch(8) if batched else x
    with pytest.raises(InputError, match=message):
        model.fit(x, verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_shape": (8, 8, 1), "x_shape": (5,)}, "are both the shape of x"),
        ({"x_shape": (5,), "network": "dcgan"}, r"dcgan network is for images .* shape \(5,\)"),
        ({"x_shape": (3,), "likelihood": zoo.tables.fit(FRAME)}, "table likelihood is of x of"),
        ({"likelihood": zoo.tables.fit(FRAME), "prior": "vamp:4"}, "use prior='mixture:50'"),
        ({"likelihood": "table"}, r"A table needs columns: make one with zoo\.tables\.fit"),
    ],
)
def test_parts_that_do_not_fit_x(options, message):
    with pytest.raises(InputError, match=message):
        zoo.build("vae", latent_dim=2, **options)


def test_x_of_any_shape():
    model = my_data.small(x_shape=(4, 3), likelihood="normal")
    model.fit(np.zeros((8, 4, 3), "float32"), verbose=0)
    assert model.sample(2).shape == (2, 4, 3)
    adversarial = zoo.build("alice", x_shape=(4,), likelihood="laplace", latent_dim=2)
    assert adversarial.critics["JS_xz"].input_shape == [(None, 4), (None, 2)]


FLAGS = ("--batch_size=16", "--latent_dim=2", "--network_option=hidden=[16]", "--log_every=5")


def test_the_command_line(tmp_path):
    FRAME.to_csv(tmp_path / "wine.csv", index=False)
    flags = (*FLAGS, "--model=aae", "--dataset=wine.csv", "--checkpoint_every=5")
    whole = run(*flags, "--steps=10", "--workdir=whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert "columns: 3 numeric (alcohol, hue, proline); 2 categorical (kind of 3" in whole.stderr
    for steps in (5, 10):
        part = run(*flags, f"--steps={steps}", "--workdir=parts", cwd=tmp_path)
        assert part.returncode == 0, part.stderr
    assert metrics(tmp_path / "parts") == metrics(tmp_path / "whole")
    plots = {"marginals.png", "terms.png", "latent.png"}
    assert {path.name for path in (tmp_path / "whole" / "plots").iterdir()} == plots

    done = run("--workdir=whole", module="train.evaluate", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "fid skipped: fid is of images, and the x of aae are rows of shape (8,)" in done.stdout
    done = run("--workdir=whole", "--out=out", module="export.run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "out" / "model" / "1" / "assets.extra" / "README.md").read_text()
    assert "| kind | `kind` string [null] | categorical | `class_0`, `class_1`, `class_2` |" in page

    FRAME.assign(hue=FRAME["hue"] + 1).to_csv(tmp_path / "wine.csv", index=False)
    for module in ("train.evaluate", "train.certify"):
        changed = run("--workdir=whole", module=module, cwd=tmp_path)
        assert changed.returncode == 2
        assert "not what the run was trained on (column 'hue' has another mean)" in changed.stderr
