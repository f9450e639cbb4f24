import errno
import json
import os
import resource

import pytest

from train.workdirs.config import RunConfig
from train.workdirs.workdir import Workdir, unwritable, write_atomically
from zoo.errors import InputError
from zoo.objectives import family


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


def test_a_record_that_finds_no_space_leaves_the_others(tmp_path, config):
    workdir = Workdir(tmp_path / "run")
    workdir.create(config)
    workdir.record({"step": 1, "split": "train"})
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    # Files may not grow beyond some bytes more: the line is cut short as on a full disk.
    allowed = (len(before) + 5, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    try:
        with pytest.raises(OSError, match=r"File too large|No space left") as raised:
            workdir.record({"step": 2, "split": "train"})
        with pytest.raises(OSError, match="File too large"):
            write_atomically(tmp_path / "run" / "metrics.jsonl", before * 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert unwritable(raised.value)
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before
    assert not [*(tmp_path / "run").glob(".*")]


def test_what_keeps_files_from_being_written():
    assert unwritable(OSError(errno.ENOSPC, "x")) == "No space left on device"
    assert unwritable(OSError("errno = 28, error message = 'No space left on device'"))
    assert unwritable(OSError(errno.ENOENT, "x")) is None
    assert unwritable(ValueError("x")) is None


def test_a_folder_that_may_not_be_written_is_refused_before_anything(tmp_path, config, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(InputError, match=f"{tmp_path} may not be written"):
        Workdir(tmp_path / "deep" / "run").check(config)
    monkeypatch.undo()
    (tmp_path / "file").write_text("...")
    with pytest.raises(InputError, match="is a file"):
        Workdir(tmp_path / "file" / "run").check(config)
    with pytest.raises(InputError, match="cannot be written"):
        Workdir(tmp_path / "file" / "run").create(config)


def test_a_run_killed_before_its_configuration_was_written_starts_anew(tmp_path, config):
    for name in ("checkpoints", "plots"):
        (tmp_path / name).mkdir()
    (tmp_path / "lock").write_text("1\n")
    (tmp_path / ".config.json.partial").write_text("{")
    Workdir(tmp_path).check(config)
    (tmp_path / "plots" / "holiday.png").write_bytes(b"")
    with pytest.raises(InputError, match="not empty"):
        Workdir(tmp_path).check(config)


@pytest.mark.parametrize(
    "name", ["config.json", "metrics.jsonl", "lock", "checkpoints", "plots", "best", "plots/a.png"]
)
def test_a_folder_with_links_is_refused(tmp_path, config, name):
    """A run would write where they lead: at its first record, or by emptying the lock's file."""
    workdir = Workdir(tmp_path / "run")
    workdir.create(config)
    workdir.lock.close()
    (tmp_path / "mine").write_text("...")
    path = workdir.path / name
    if path.exists():
        path.rmdir() if path.is_dir() else path.unlink()
    path.symlink_to(tmp_path / "mine")
    if name == "config.json":
        path.unlink()
        os.mkfifo(path)
    for read in (workdir.config, workdir.latest_checkpoint, lambda: workdir.check(config)):
        with pytest.raises(InputError, match=f"{name} is (a link|no file), which no run creates"):
            read()
    assert (tmp_path / "mine").read_text() == "..."


def test_a_link_that_waits_for_a_new_run_is_refused(tmp_path, config):
    (tmp_path / "mine").write_text("...")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock").symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match="not empty"):
        Workdir(tmp_path / "run").check(config)


def test_a_folder_whose_name_cannot_be(config):
    with pytest.raises(InputError, match="File name too long"):
        Workdir("x" * 5000).check(config)
