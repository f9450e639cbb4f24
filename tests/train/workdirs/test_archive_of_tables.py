"""The columns of a table in a checkpoint: they come back, and strange ones are refused."""

import dataclasses
import json

import numpy as np
import pytest

import zoo
from train.loop import assembly, restoring
from train.workdirs import archive, checkpoints
from train.workdirs.config import RunConfig
from zoo.errors import InputError
from zoo.objectives import family

random = np.random.default_rng(0)
TABLE = zoo.tables.fit({"height": random.normal(170, 10, 30), "sex": random.choice(["f", "m"], 30)})
CONFIG = RunConfig(
    family.objective("vae").to_config(),
    dataset="mine.csv",
    latent_dim=2,
    network_options={"hidden": [8]},
    steps=4,
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = assembly.build_model(CONFIG, TABLE.shape, 4, table=TABLE)
    folder = tmp_path_factory.mktemp("checkpoints")
    return model, checkpoints.Checkpoints(folder).save(model, keep=1, best=None, means=None)


def test_a_checkpoint_carries_its_table(saved):
    model, path = saved
    assert archive.damage(path) is None
    found = restoring.from_file(path, CONFIG)
    assert found.table == model.table == TABLE
    for one, other in zip(found.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_data_have_to_be_of_the_same_columns(saved):
    model, _ = saved
    other = zoo.tables.fit({"height": [1.0, 2.0], "sex": ["f", "m"]})
    for table, reason in ((other, "column 'height' has another mean"), (None, "is no table")):
        dataset = dataclasses.make_dataclass("D", ["name", "table"])("mine.csv", table)
        with pytest.raises(InputError, match=f"mine.csv is not what .* trained on .*{reason}"):
            assembly.check_table(model, dataset)


GOOD = {
    "image_shape": [3],
    "latent_shape": None,
    "precision": "float32",
    "rate": 1.0,
    "table": TABLE.to_config(),
}
NUMBER, CATEGORY = TABLE.to_config()


@pytest.mark.parametrize(
    "table",
    [
        "height",
        [],
        [NUMBER, NUMBER],
        [{**NUMBER, "stddev": [0.0]}],
        [{**NUMBER, "stddev": ["1"]}],
        [{**NUMBER, "mean": [0.0, 0.0]}],
        [{**CATEGORY, "categories": ["f"]}],
        [{**CATEGORY, "categories": [["f"], ["m"]]}],
        [{**CATEGORY, "categories": list(range(10_000))}],
        [{"name": "height"}],
    ],
)
def test_columns_of_strangers_are_checked(table):
    assert archive.Build.from_json(json.dumps(GOOD).encode()).table == TABLE
    with pytest.raises(ValueError, match=r"table|Column|Two columns|need|mean|stddev|categor"):
        archive.Build.from_json(json.dumps({**GOOD, "table": table}).encode())


def test_checkpoints_before_there_were_tables_are_read():
    old = {name: value for name, value in GOOD.items() if name != "table"}
    assert archive.Build.from_json(json.dumps(old).encode()).table is None
