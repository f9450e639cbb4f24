import json
import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from export import run
from train.loop import assembly
from train.workdirs.config import RunConfig
from train.workdirs.workdir import Workdir
from zoo.errors import InputError

ROOT = Path(__file__).parents[2]
VALIDATION = {
    "step": 12,
    "split": "validation",
    "loss": 99.0,
    "terms": {"REC_x": 98.5},
    "mse": float("nan"),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workdir with checkpoints of steps 7 and 12, and the model of the latter."""
    workdir = tmp_path_factory.mktemp("runs") / "alice"
    (workdir / "checkpoints").mkdir(parents=True)
    config = RunConfig(
        zoo.objective("alice").to_config(),
        latent_dim=3,
        network_options={"hidden": [64, 64]},
        steps=12,
    )
    (workdir / "config.json").write_text(config.to_json())
    rows = [{**VALIDATION, "step": 7}, VALIDATION, {"step": 12, "split": "train"}]
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (workdir / "certificate.json").write_text('{"verdict": "feasible"}')
    (workdir / "certificate.md").write_text("# Feasible\n")
    model = assembly.build_model(config, (28, 28, 1), 12)
    for step in (7, 12):
        model.step.assign(step)
        model.encoder.variables[-1].assign_add(tf.ones_like(model.encoder.variables[-1]))
        Workdir(workdir).save(model)
    return workdir, model


def command(*arguments, without_tensorflow=False):
    """Runs `python -m export.run`, in a Python where TensorFlow cannot be imported if so asked."""
    script = """
        import runpy, sys
        if sys.argv.pop(1) == "True":
            sys.modules["tensorflow"] = sys.modules["keras"] = None  # importing it fails
        runpy.run_module("export.run", run_name="__main__", alter_sys=True)
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(without_tensorflow), *arguments],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_exports_the_newest_checkpoint(trained, tmp_path):
    workdir, model = trained
    out = tmp_path / "exports" / "alice"
    done = command(f"--workdir={workdir}", f"--out={out}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"model  {out}/model/1"]

    extra = out / "model" / "1" / "assets.extra"
    card = json.loads((extra / "model.json").read_text())
    assert (card["step"], card["checkpoint"]) == (12, "step-00000012.zip")
    assert card["training"]["dataset"] == "mnist_5k"
    assert card["training"]["likelihood"] == "bernoulli"
    empty = {"constraints": {}, "multipliers": {}}
    assert card["validation"] == {**VALIDATION, **empty, "mse": None}
    assert card["certificate"] == {"verdict": "feasible"}
    assert (extra / "certificate.json").read_bytes() == (workdir / "certificate.json").read_bytes()
    assert (extra / "certificate.md").read_text() == "# Feasible\n"
    page = (extra / "README.md").read_text()
    assert "| `REC_x` | 98.5 |" in page
    assert "Its certificate says: feasible" in page

    images = np.random.default_rng(0).random((5, 28, 28, 1), np.float32)
    loaded = tf.saved_model.load(str(out / "model" / "1")).signatures["encode"]
    # The same weights and float32 kernels: only the last bits may differ.
    np.testing.assert_allclose(
        loaded(images=tf.constant(images))["mean"], model.encode(images).mean(), rtol=0, atol=1e-5
    )


def test_exporting_again_makes_the_next_version(trained, tmp_path):
    workdir, _ = trained
    first = run.export_newest(str(workdir), str(tmp_path), "encoder")
    second = run.export_newest(str(workdir), str(tmp_path), "encoder")
    assert [*first.values(), *second.values()] == [tmp_path / "encoder" / n for n in "12"]


def test_help():
    done = command("--help", without_tensorflow=True)
    assert done.returncode == 0
    assert "--workdir=runs/alice --out=exports/alice" in done.stdout
    assert "--out: The folder to write to." in done.stdout


@pytest.mark.parametrize(
    ("workdir", "out", "message"),
    [
        (None, "out", "--workdir is missing"),
        ("full", None, "--out is missing"),
        ("full", "", "--out is missing"),
        ("nowhere", "out", "nowhere is no folder"),
        ("a_file", "out", "a_file is no folder"),
        ("empty", "out", "empty has no checkpoint yet"),
        ("full", "a_file", "a_file is not a folder; name another"),
        ("full", "a_file/below", "a_file is not a folder; name another"),
        ("damaged", "out", "is damaged"),
    ],
)
def test_wrong_input_is_one_sentence_and_needs_no_tensorflow(tmp_path, workdir, out, message):
    (tmp_path / "a_file").write_text("mine")
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    for name in ("full", "damaged"):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "full" / "checkpoints" / "step-00000012.zip", "w") as whole:
        for part in ("build.json", "model.weights.h5"):
            whole.writestr(part, "not reached")
    (tmp_path / "damaged" / "checkpoints" / "step-00000012.zip").write_text("no archive")
    before = sorted(tmp_path.rglob("*"))
    flags = {"workdir": workdir, "out": out}
    done = command(
        *(f"--{k}={tmp_path / v if v else ''}" for k, v in flags.items() if v is not None),
        without_tensorflow=True,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--part=encodr"], "Unknown part 'encodr': did you mean 'encoder'"),
        (["--part=decoder", "--tflite"], "--tflite is the encoder's"),
    ],
)
def test_an_impossible_part(tmp_path, flags, message):
    done = command(f"--workdir={tmp_path}", "--out=out", *flags, without_tensorflow=True)
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
    assert message in done.stderr


def test_onnx_without_its_packages(tmp_path, monkeypatch):
    monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: None)
    message = r"--onnx needs tf2onnx and onnxruntime: run pip install 'lagrangian-zoo\[onnx\]'"
    with pytest.raises(InputError, match=message):
        run.export_newest(str(tmp_path), str(tmp_path / "out"), formats=("onnx",))


def test_a_misspelt_flag():
    done = command("--workdri=runs/alice", without_tensorflow=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "workdri" in done.stderr


def test_a_broken_checkpoint(trained, tmp_path):
    workdir = tmp_path / "run"
    (workdir / "checkpoints").mkdir(parents=True)
    whole = (trained[0] / "checkpoints" / "step-00000012.zip").read_bytes()
    (workdir / "checkpoints" / "step-00000012.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is damaged"):
        run.export_newest(str(workdir), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_of_something_else(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    other.save(tmp_path / "checkpoints" / "step-00000001.keras")
    with pytest.raises(InputError, match=r"has no config\.json, which is needed"):
        run.export_newest(str(tmp_path), str(tmp_path / "out"))
    config = RunConfig(zoo.objective("vae").to_config(), steps=1)
    (tmp_path / "config.json").write_text(config.to_json())
    with pytest.raises(InputError, match=r"Checkpoint .* cannot be read .*delete it"):
        run.export_newest(str(tmp_path), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kilobytes", [4, 400])
def test_a_full_disk_fails_the_run(trained, tmp_path, kilobytes):
    """No file may grow beyond so much."""
    script = """
        import resource, runpy, sys
        size = int(sys.argv.pop(1)) * 1024
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        runpy.run_module("export.run", run_name="__main__", alter_sys=True)
    """
    out = tmp_path / "exports"
    done = subprocess.run(
        [
            *(sys.executable, "-c", textwrap.dedent(script), str(kilobytes)),
            *(f"--workdir={trained[0]}", f"--out={out}"),
        ],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    (sentence,) = done.stderr.splitlines()
    assert sentence == f"The export failed (File too large); {out} is as it was."
    assert not out.exists()
