"""The command: a process of its own, on a checkpoint written here."""

import json

import commands
import numpy as np
import pytest

from train.certify import certify_run, summary
from train.loop import assembly
from train.workdirs.config import RunConfig
from train.workdirs.workdir import Workdir
from zoo import Objective


def run(*flags, cwd):
    return commands.run(*flags, cwd=cwd, module="train.certify")


@pytest.fixture
def config(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (1000, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "mine.npy", images)
    # 64 log 2 = 44.4 nats is what a model that knows nothing reaches.
    objective = Objective(1, constraints=["KL(q(z)||p(z))", "KL(q(x,z)||p(x,z)) <= 20"])
    return RunConfig(
        objective=objective.to_config(),
        dataset=str(tmp_path / "mine.npy"),
        latent_dim=2,
        steps=10,
        batch_size=16,
    )


def test_an_infeasible_run_ends_with_0(config, tmp_path):
    dataset = assembly.load_dataset(config)
    model = assembly.build_model(config, dataset.image_shape, 10)
    workdir = Workdir(tmp_path / "run")
    workdir.create(config)
    workdir.save(model)
    done = run("--workdir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    first, second = done.stdout.strip().splitlines()
    assert first.startswith("certificate  infeasible: KL(q(x,z)||p(x,z)) is violated: -ELBO is ")
    assert second == "everything is in run/certificate.md"
    written = json.loads((workdir.path / "certificate.json").read_text())
    assert written["verdict"] == "infeasible"
    # 100 of the 1000 images are for the test: 33 batches of 3
    assert written["measured_on"] == {"batches": 33, "batch_size": 3, "left_out": 1, "seed": 0}
    assert (workdir.plots / "certificate.png").exists()

    # What a run certifies at its end is what the command certifies again.
    again = certify_run(model, dataset, config, workdir)
    assert summary(again) == first
    # Another process, and so perhaps other kernels: float32
    for one, other in zip(again["constraints"], written["constraints"], strict=True):
        assert one["value"] == pytest.approx(other["value"], rel=1e-5)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], ["--workdir is missing"]),
        (["--workdir=nowhere"], ["nowhere", "holds no run"]),
        (["--workdir=empty"], ["empty", "holds no run"]),
        (["--workdir=untrained"], ["untrained", "no checkpoint yet"]),
        (["--workdir=broken"], ["broken", "not a run's configuration"]),
        (["--wrokdir=empty"], ["wrokdir", "workdir"]),
    ],
)
def test_wrong_commands_say_one_sentence(config, flags, words, tmp_path):
    (tmp_path / "empty").mkdir()
    Workdir(tmp_path / "untrained").create(config)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    done = run(*flags, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    message = done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in message
