import errno
import json

import numpy as np
import pytest

import zoo
from train.loop import assembly, restoring
from train.workdirs import checkpoints
from train.workdirs.checkpoints import Checkpoints, best_step, damage
from train.workdirs.config import RunConfig
from train.workdirs.workdir import Workdir
from zoo.errors import InputError

CONFIG = RunConfig(
    zoo.objective("vae").to_config(), latent_dim=2, network_options={"hidden": [8]}, steps=10
)


@pytest.fixture(scope="module")
def model():
    return assembly.build_model(CONFIG, (4, 4, 1), 10)


@pytest.fixture
def folder(tmp_path, model):
    """Checkpoints of steps 1, 2 and 3."""
    saved = Checkpoints(tmp_path)
    for step in (1, 2, 3):
        model.step.assign(step)
        saved.save(model, keep=3, best=None, means=None)
    return saved


def steps(saved):
    return list(saved.by_step())


def test_the_newest_is_found(folder, tmp_path):
    (tmp_path / ".step-00000004.partial.zip").write_bytes(b"")
    assert folder.newest().name == "step-00000003.zip"
    assert Checkpoints(tmp_path / "nowhere").newest() is None


@pytest.mark.parametrize("where", ["cut", "empty", "flipped"])
def test_a_damaged_one_is_named_and_the_one_before_it_is_used(where, folder, capsys):
    path = folder.by_step()[3]
    content = bytearray(path.read_bytes())
    if where == "cut":
        content = content[: len(content) // 2]
    elif where == "empty":
        content = b""
    else:
        content[len(content) // 2] ^= 1  # one bit of a weight
    path.write_bytes(content)
    assert folder.newest().name == "step-00000002.zip"
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"Checkpoint {path} is damaged" in said
    assert "step-00000002.zip is used instead" in said


def test_nothing_starts_anew_over_damaged_ones(folder):
    for path in folder.by_step().values():
        path.write_bytes(b"not a zip")
    with pytest.raises(InputError, match=r"step-00000003\.zip is damaged .*delete"):
        folder.newest()


def test_a_whole_archive_of_something_else_is_damaged(tmp_path, folder):
    np.savez(tmp_path / "weights.npz", a=np.zeros(2))
    (tmp_path / "weights.npz").rename(tmp_path / "step-00000004.zip")
    assert damage(tmp_path / "step-00000004.zip") == "it has no build.json"


def test_an_unreadable_one_is_named(tmp_path):
    path = tmp_path / "step-00000001.zip"
    path.write_bytes(b"not a zip")
    with pytest.raises(InputError, match="step-00000001"):
        restoring.from_file(path, CONFIG)


def test_the_last_and_the_best_are_kept(folder, model):
    model.step.assign(4)
    folder.save(model, keep=2, best=1, means=None)
    assert steps(folder) == [1, 3, 4]
    model.step.assign(5)
    folder.save(model, keep=1, best=4, means=None)
    assert steps(folder) == [4, 5]


def test_a_continuation_removes_what_it_writes_again(folder, tmp_path):
    (tmp_path / ".step-00000004.partial.zip").write_bytes(b"")
    folder.forget_after(2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-00000001.zip",
        "step-00000002.zip",
    ]


def test_one_that_cannot_be_written_leaves_the_others(folder, model, tmp_path, monkeypatch):
    def full(*paths):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints.os, "replace", full)
    model.step.assign(4)
    with pytest.raises(OSError, match="No space left"):
        folder.save(model, keep=1, best=None, means=None)
    assert steps(folder) == [1, 2, 3]
    assert len(list(tmp_path.iterdir())) == 3


def test_means_of_a_record_under_way_come_back(folder, model):
    assert checkpoints.means(folder.by_step()[3]) is None
    model.step.assign(4)
    path = folder.save(model, keep=3, best=None, means=[np.float32(0.1), 3.0])
    assert damage(path) is None
    assert checkpoints.means(path) == [float(np.float32(0.1)), 3.0]
    assert int(restoring.from_file(path, CONFIG).step) == 4


def row(step, loss, **constraints):
    return {"step": step, "split": "validation", "loss": loss, "constraints": constraints}


def test_the_best():
    rows = [
        row(1, 3.0),
        row(2, 1.0),
        row(3, float("nan")),
        row(4, 2.0),
        {**row(5, 0.0), "split": "train"},
    ]
    assert best_step(rows, {}, adversarial=False) == 2
    assert best_step(rows, {}, adversarial=True) is None
    assert best_step([], {}, adversarial=False) is None
    learned = [row(1, 1.0, D=0.5, E=0.5), row(2, 2.0, D=1.0, E=0.5), row(3, 0.0, D=1.1, E=0.0)]
    assert best_step(learned, {"D": 1.0, "E": 0.5}, adversarial=True) == 2
    assert best_step(learned, {"D": 0.1, "E": 0.5}, adversarial=False) is None


def test_a_workdir_keeps_the_best_of_its_records(tmp_path, model):
    workdir = Workdir(tmp_path / "run")
    workdir.create(RunConfig(zoo.objective("vae").to_config(), steps=10))
    for step, loss in ((1, 5.0), (2, 3.0), (3, 4.0), (4, 6.0)):
        model.step.assign(step)
        workdir.record(row(step, loss))
        workdir.save(model, keep=1)
    assert steps(Checkpoints(workdir.checkpoints)) == [2, 4]
    assert json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[1])["step"] == 2
