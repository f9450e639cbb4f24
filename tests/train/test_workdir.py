import json

import pytest

from train.config import RunConfig
from train.workdir import Workdir
from zoo import family
from zoo.errors import InputError


@pytest.fixture
def config():
    return RunConfig(family.objective("vae").to_config(), steps=10)


def test_nothing_exists_before_create(tmp_path, config):
    workdir = Workdir(tmp_path / "run")
    workdir.check(config)
    assert workdir.config() is None
    assert workdir.latest_checkpoint() is None
    assert workdir.records() == []
    assert not workdir.path.exists()
    workdir.create(config)
    assert workdir.config() == config


def test_another_configuration_is_refused_and_named(tmp_path, config):
    workdir = Workdir(tmp_path)
    workdir.create(config)
    other = RunConfig(family.objective("vae").to_config(), steps=10, seed=1)
    with pytest.raises(InputError, match=r"another configuration \(seed: 1 here, 0 there\)"):
        workdir.check(other)
    longer = RunConfig(family.objective("vae").to_config(), steps=20)
    workdir.check(longer)


def test_a_folder_of_something_else_is_refused(tmp_path, config):
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(InputError, match="not empty"):
        Workdir(tmp_path).check(config)
    with pytest.raises(InputError, match="is a file"):
        Workdir(tmp_path / "thesis.tex").check(config)


def test_records_survive_a_line_cut_short(tmp_path, config):
    workdir = Workdir(tmp_path)
    workdir.create(config)
    for step in (1, 2, 3):
        workdir.record({"step": step, "split": "train"})
    workdir.record({"step": 3, "split": "test"})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "spl')
    assert [row["step"] for row in workdir.records()] == [1, 2, 3, 3]
    workdir.forget_after(2)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]


def test_the_newest_whole_checkpoint_is_found(tmp_path, config):
    workdir = Workdir(tmp_path)
    workdir.create(config)
    for name in ("step-00000900.keras", "step-00001000.keras", ".step-00001100.partial.keras"):
        (workdir.checkpoints / name).write_bytes(b"")
    assert workdir.latest_checkpoint().name == "step-00001000.keras"


def test_a_corrupt_checkpoint_is_named(tmp_path, config):
    workdir = Workdir(tmp_path)
    workdir.create(config)
    path = workdir.checkpoints / "step-00000001.keras"
    path.write_bytes(b"not a zip")
    with pytest.raises(InputError, match="step-00000001"):
        workdir.load(path)
