"""Full disks, numbers that are not finite, damaged files, a second run: one sentence each."""

import dataclasses
import errno
import os
import resource
import subprocess
import sys

import numpy as np
import pytest
from commands import metrics
from commands import run as run_command
from PIL import Image

import zoo
from train import command, run
from train.figures import pictures
from train.loop import restoring
from train.workdirs import checkpoints
from train.workdirs.config import RunConfig
from train.workdirs.lock import Lock
from train.workdirs.workdir import Workdir
from zoo.errors import InputError


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "draw", lambda *args: None)
    images = np.random.default_rng(0).integers(0, 256, (60, 6, 6), dtype=np.uint8)
    np.save(tmp_path / "mine.npy", images)
    return RunConfig(
        zoo.objective("vae").to_config(),
        dataset=str(tmp_path / "mine.npy"),
        latent_dim=2,
        batch_size=4,
        steps=8,
        log_every=2,
        checkpoint_every=2,
        jit="off",
    )


class Poisoned:
    """A resident feed whose batch at one step has an image of nan."""

    def __init__(self, feed, step):
        self.feed, self.step = feed, step

    def chunks(self, start, size):
        return self.feed.chunks(start, size)

    def __call__(self, numbers):
        import tensorflow as tf

        images = self.feed(numbers)
        return tf.where(numbers["step"] == self.step, np.nan, images)


@pytest.fixture
def poisoned(monkeypatch):
    """Makes the images of step 4, the fifth, nan."""
    from train.loop import assembly

    resident = assembly.resident
    monkeypatch.setattr(assembly, "resident", lambda *args: Poisoned(resident(*args), 4))


def test_a_term_that_is_not_finite_stops_the_run_and_is_named(config, tmp_path, poisoned):
    workdir = Workdir(tmp_path / "run")
    with pytest.raises(
        command.RunError, match=r"REC_x became nan, loss became nan by step 6: .*--on_nan=skip"
    ):
        run.train(config, workdir)
    newest = workdir.latest_checkpoint()
    assert newest.name == "step-00000004.zip"
    assert all(np.isfinite(w).all() for w in restoring.load(workdir, newest).get_weights()[:10])
    # The run goes on without that batch from there.
    run.train(dataclasses.replace(config, on_nan="skip"), workdir)
    rows = [row for row in workdir.records() if row["split"] == "train"]
    assert [row["step"] for row in rows] == [2, 4, 6, 8]
    assert [row.get("skipped") for row in rows] == [None, None, 1, 1]
    assert all(np.isfinite(row["loss"]) for row in workdir.records())


def test_a_run_that_would_skip_everything_stops(config, tmp_path, monkeypatch):
    from train.loop import assembly

    resident = assembly.resident

    class All(Poisoned):
        def __call__(self, numbers):
            return self.feed(numbers) * np.nan

    monkeypatch.setattr(assembly, "resident", lambda *args: All(resident(*args), 0))
    with pytest.raises(command.RunError, match="None of the last 2 batches"):
        run.train(dataclasses.replace(config, on_nan="skip"), Workdir(tmp_path / "run"))


def test_weights_that_are_not_finite_are_not_saved(config, tmp_path, monkeypatch):
    """Terms are measured before the weights move: the last step's damage is not in them."""
    from train.loop import assembly

    model, once = assembly.build_model(config, (6, 6, 1), config.steps), assembly.once

    def broken(*args):
        model.decoder.trainable_variables[0].assign_add([[np.inf]])
        return once(*args)

    monkeypatch.setattr(assembly, "build_model", lambda *args: model)
    monkeypatch.setattr(assembly, "once", broken)
    workdir = Workdir(tmp_path / "run")
    with pytest.raises(command.RunError, match="The decoder became infinite or nan by step 2"):
        run.train(config, workdir)
    assert workdir.latest_checkpoint() is None


def test_a_damaged_newest_checkpoint_costs_its_steps_only(config, tmp_path, capsys):
    workdir = Workdir(tmp_path / "run")
    run.train(dataclasses.replace(config, steps=4), workdir)
    rows, newest = metrics(workdir.path), workdir.latest_checkpoint()
    newest.write_bytes(newest.read_bytes()[:1000])
    run.train(dataclasses.replace(config, steps=4), workdir)
    said = capsys.readouterr().err
    assert f"Checkpoint {newest} is damaged (File is not a zip file): step-00000002.zip" in said
    assert "from step 2" in said
    assert metrics(workdir.path) == rows
    assert workdir.latest_checkpoint() == newest


def test_a_full_disk_leaves_the_last_checkpoint_and_the_records(config, tmp_path, monkeypatch):
    workdir = Workdir(tmp_path / "run")
    replace = os.replace

    def full(source, target):
        if "step-00000004" in str(target):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(checkpoints.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        run.train(config, workdir)
    assert [path.name for path in workdir.checkpoints.iterdir()] == ["step-00000002.zip"]
    assert [row["step"] for row in workdir.records()] == [2, 2, 4, 4]


def test_a_disk_that_is_full_ends_the_command_with_one_sentence(tmp_path):
    """No file may be larger than 100 kB, as on a disk of that size; a checkpoint has 44 MB."""
    limit = 100_000
    done = subprocess.run(
        [sys.executable, "-m", "train.run", "--model=vae", "--steps=10", "--jit=off"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("runs/vae-mnist_5k cannot be written (File too large)")
    folder = tmp_path / "runs" / "vae-mnist_5k"
    assert list((folder / "checkpoints").iterdir()) == []
    assert [row["split"] for row in metrics(folder)] == ["train", "validation"]


def test_a_second_run_is_refused_and_the_first_named(config, tmp_path):
    workdir = Workdir(tmp_path / "run")
    workdir.create(config)
    flags = ["--model=vae", f"--dataset={config.dataset}", "--latent_dim=2", "--batch_size=4"]
    flags += ["--steps=8", "--log_every=2", "--checkpoint_every=2", "--jit=off"]
    done = run_command(*flags, "--workdir=run", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        f"Process {os.getpid()} is training in --workdir=run: wait for it, end it, or use another "
        "--workdir.\n"
    )
    workdir.lock.close()


def test_another_run_that_began_meanwhile_is_not_written_over(config, tmp_path, monkeypatch):
    from train.loop import assembly

    workdir, build = Workdir(tmp_path / "run"), assembly.build_model

    def while_another_trains(*args):
        other, model = Workdir(tmp_path / "run"), build(*args)
        other.create(config)
        model.step.assign(8)
        other.save(model)
        other.lock.close()
        return build(*args)

    monkeypatch.setattr(assembly, "build_model", while_another_trains)
    with pytest.raises(InputError, match="Another run began"):
        run.train(config, workdir)
    assert workdir.latest_checkpoint().name == "step-00000008.zip"
    Lock(workdir.lock.path).acquire()


def test_damaged_images_are_named_or_left_out(tmp_path, config, capsys):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(40):
        pixels = np.random.default_rng(index).integers(0, 256, (6, 6), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:02}.png")
    (folder / "17.png").write_bytes((folder / "17.png").read_bytes()[:40])
    config = dataclasses.replace(config, dataset=str(folder), steps=2)
    with pytest.raises(InputError, match=r"17\.png cannot be read \(.*\): .*--skip_bad"):
        run.train(config, Workdir(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    run.train(dataclasses.replace(config, skip_bad=True), Workdir(tmp_path / "run"))
    assert "left out 1 image files" in capsys.readouterr().err
