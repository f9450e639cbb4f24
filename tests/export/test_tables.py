"""Exports of tables: raw columns in and out, by names that TensorFlow takes, over JSON too."""

import json

import numpy as np
import pytest
import tensorflow as tf

import zoo
from export import encoder, saved_models
from export.columns import Columns
from export.server import models, rows
from zoo.errors import InputError

random = np.random.default_rng(0)
ROWS = {
    "mean radius": random.normal(3, 2, 40),
    "od280/od315": random.normal(1, 0.1, 40),
    "noise": random.choice(["low", "high"], 40),
    "2nd": random.integers(0, 2, 40).astype(bool),
    "grade": random.integers(1, 4, 40),
    "größe": random.normal(0, 1, 40),
    "embedding": random.normal(5, 1, (40, 3)),
}
TABLE = zoo.tables.fit(ROWS, categorical=["grade"])
NAMES = {
    "mean radius": "mean_radius",
    "od280/od315": "od280_od315",
    "noise": "noise_",
    "2nd": "column_2nd",
    "grade": "grade",
    "größe": "gr__e",
    "embedding": "embedding",
}


def built(**options):
    return zoo.build("vae", latent_dim=2, network_options={"hidden": (8,)}, **options)


@pytest.fixture(scope="module")
def model():
    return built(likelihood=TABLE)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    return saved_models.export_model(model, tmp_path_factory.mktemp("out"))["model"]


def raw(n=40):
    return {NAMES[name]: values[:n] for name, values in ROWS.items()}


def test_names_are_those_of_tensors():
    assert Columns(TABLE).inputs == NAMES
    alike = zoo.tables.fit({"a b": np.arange(3), "a_b": np.arange(3), "a.b": np.arange(3)})
    assert list(Columns(alike).inputs.values()) == ["a_b", "a_b_", "a_b__"]


def test_every_signature_says_what_the_model_says(model, folder):
    served = tf.saved_model.load(str(folder)).signatures
    columns = {name: tf.constant(values.tolist()) for name, values in raw().items()}
    for name in ("mean_radius", "od280_od315", "gr__e", "embedding"):
        columns[name] = tf.cast(raw()[name], tf.float64)
    columns["grade"] = tf.constant(ROWS["grade"], tf.int64)
    x, noise = TABLE.encode(ROWS), random.normal(size=(40, 2)).astype("float32")
    posterior = model.encode(x)
    found = served["encode"](**columns)
    np.testing.assert_allclose(found["mean"], posterior.mean(), rtol=1e-4, atol=1e-5)
    z = posterior.mean() + posterior.stddev() * noise
    wanted = model.decode(z).log_prob(x)
    kl = np.sum(0.5 * (posterior.mean() ** 2 + posterior.variance() - 1), axis=1)
    kl -= np.sum(np.log(posterior.stddev()), axis=1)
    found = served["elbo"](**columns, noise=tf.constant(noise))["elbo"]
    np.testing.assert_allclose(found, wanted - kl, rtol=1e-4, atol=1e-4)
    again = served["reconstruct"](**columns)
    assert {name: NAMES[name] in again for name in ROWS} == dict.fromkeys(ROWS, True)
    reconstructed = TABLE.decode(model.reconstruct(x))
    np.testing.assert_allclose(again["embedding"], reconstructed["embedding"], rtol=1e-4)
    assert again["grade"].numpy().tolist() == reconstructed["grade"].tolist()


def test_rows_that_are_drawn_follow_their_noise(model, folder):
    served = tf.saved_model.load(str(folder)).signatures["sample"]
    noise = random.normal(size=(2000, 2)).astype("float32")
    noise_x = random.normal(size=(2000, *TABLE.shape)).astype("float32")
    found = served(noise=tf.constant(noise), noise_x=tf.constant(noise_x))
    mean = model.decode(noise).mean().numpy()
    place = TABLE.places["noise"]
    share = np.mean(found["noise_"].numpy() == TABLE.columns[2].categories[0].encode())
    # Four standard errors of a share of 1/2.
    assert abs(share - mean[:, place.start].mean()) < 2 / 2000**0.5
    scale = model.decode(noise[:1]).distributions[0].distribution.scale[0]
    (column,) = (c for c in TABLE.columns if c.name == "mean radius")
    wanted = column.mean[0] + column.stddev[0] * (mean[:, 0] + scale * noise_x[:, 0])
    np.testing.assert_allclose(found["mean_radius"], wanted, rtol=1e-4, atol=1e-4)


def test_over_json(folder):
    servable = models.load("model", 1, folder)
    signature = servable.signature("reconstruct")
    one = {name: values[0].tolist() for name, values in raw().items() if name != "noise_"}
    content = {"signature_name": "reconstruct", "instances": [{**one, "noise_": "high"}]}
    body = rows.parsed(json.dumps(content).encode())
    outputs = servable.predict("reconstruct", rows.tensors(body, signature.inputs, 10))
    (row,) = json.loads(rows.answer(outputs, in_rows=True))["predictions"]
    assert row["noise_"] in ("low", "high")
    assert isinstance(row["column_2nd"], bool)
    assert isinstance(row["grade"], int)
    assert len(row["embedding"]) == 3
    as_columns = json.loads(rows.answer(outputs, in_rows=False))["outputs"]
    assert as_columns["noise_"] == [row["noise_"]]
    content["instances"][0]["noise_"] = "loud"
    body = rows.parsed(json.dumps(content).encode())
    with pytest.raises(
        models.InvalidError,
        match=r"^Column noise holds a category that training data had not: give one of high, l",
    ):
        servable.predict("reconstruct", rows.tensors(body, signature.inputs, 10))


def test_the_card_lists_columns(folder):
    card = json.loads((folder / "assets.extra" / "model.json").read_text())
    assert {each["name"]: each["input"] for each in card["columns"]} == NAMES
    assert card["log_det"] == pytest.approx(TABLE.log_det)
    page = (folder / "assets.extra" / "README.md").read_text()
    assert "| od280/od315 | `od280_od315` float64 [null] | numeric | mean " in page
    assert "| embedding | `embedding` float64 [null, 3] | numeric | 3 numbers; means" in page
    assert "| E[x\\|z] of numbers and the likeliest categories at the mean of q(z\\|x) |" in page
    assert "| `encode` | the columns | `mean` float32 [null, 2]" in page
    assert not any(name.endswith(("_uint8", "_bytes")) for name in card["signatures"])


def test_halves(model, tmp_path):
    half = saved_models.export_model(model, tmp_path, part="decoder")["decoder"]
    served = tf.saved_model.load(str(half)).signatures
    assert set(served) == {"decode", "generate", "sample", "serving_default"}
    with pytest.raises(InputError, match="leave them out"):
        encoder.function(model)


def test_vectors_are_called_x(tmp_path):
    model = built(x_shape=(5,), likelihood="normal")
    folder = saved_models.export_model(model, tmp_path)["model"]
    served = tf.saved_model.load(str(folder)).signatures
    assert "sample" not in served
    x = random.normal(size=(3, 5)).astype("float32")
    found = served["reconstruct"](x=tf.constant(x))
    np.testing.assert_allclose(found["x"], model.reconstruct(x), rtol=1e-5, atol=1e-6)
    assert "columns" not in json.loads((folder / "assets.extra" / "model.json").read_text())
