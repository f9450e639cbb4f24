"""The command as people type it: in a process of its own, on the embedded digits."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from commands import from_scratch, metrics, run

SHORT = ["--dataset=mnist_5k", "--steps=20", "--log_every=10", "--checkpoint_every=10"]


def test_the_first_command_and_an_interrupted_one_agree(tmp_path):
    whole = from_scratch("--model=alice", *SHORT, "--workdir=whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert "mse" in whole.stdout
    assert "certificate  fixed multipliers" in whole.stdout
    folder = tmp_path / "whole"
    assert {p.name for p in folder.iterdir()} == {
        "certificate.json",
        "certificate.md",
        "config.json",
        "lock",
        "metrics.jsonl",
        "checkpoints",
        "tensorboard",
        "plots",
    }
    assert {p.name for p in (folder / "plots").iterdir()} == {
        "samples.png",
        "reconstructions.png",
        "terms.png",
    }
    rows = metrics(folder)
    assert [(r["step"], r["split"]) for r in rows] == [
        (10, "train"),
        (10, "validation"),
        (20, "train"),
        (20, "validation"),
        (20, "test"),
    ]
    assert set(rows[0]["terms"]) == {"REC_x", "JS_xz"}

    # Stopped at 10 and continued: data order and noise are functions of seed and step.
    first = run(
        "--model=alice", *SHORT[:1], "--steps=10", *SHORT[2:], "--workdir=parts", cwd=tmp_path
    )
    assert first.returncode == 0, first.stderr
    second = run("--model=alice", *SHORT, "--workdir=parts", cwd=tmp_path)
    assert "continuing parts from step 10" in second.stderr
    assert metrics(tmp_path / "parts") == rows

    other = run("--model=alice", *SHORT, "--workdir=parts", "--seed=1", cwd=tmp_path)
    assert other.returncode == 2
    assert "seed: 1 here, 0 there" in other.stderr
    assert metrics(tmp_path / "parts") == rows


def test_any_admissible_objective_trains_on_a_users_file(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 16, 16), dtype=np.uint8)
    np.save(tmp_path / "mine.npy", images)
    done = run(
        "--alpha_q=-1",
        "--constraint=KL(q(x|z)||p(x|z))",
        "--constraint=20*MMD(q(z)||p(z))",
        "--dataset=mine.npy",
        "--batch_size=16",
        "--latent_dim=2",
        "--steps=5",
        "--likelihood=normal",
        "--likelihood_scale=learned",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "objective-mine"
    assert (folder / "plots" / "latent.png").exists()
    assert set(metrics(folder)[0]["terms"]) == {"REC_x", "MMD_z"}


@pytest.mark.parametrize(
    ("flags", "terms"),
    [
        (
            ["--implicit_encoder", "--constraint=KL(q(x,z)||p(x,z))"],
            {"REC_x", "RATE_ratio"},
        ),
        (
            [
                "--reverse_rate",
                "--alpha_p=1",
                "--constraint=KL(p(x,z)||q(x,z))",
                "--constraint=KL(q(x,z)||p(x,z))",
                "--constraint=KL(p(x)||q(x))",
            ],
            {"REC_x", "RATE", "J_pq", "RATE_p"},
        ),
    ],
)
def test_capabilities_of_a_free_objective(flags, terms, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "mine.npy", images)
    small = ["--dataset=mine.npy", "--batch_size=16", "--latent_dim=2", "--steps=3"]
    sizes = ["--network_option=hidden=[16]", "--workdir=run"]
    done = run(*flags, *small, *sizes, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = metrics(tmp_path / "run")
    assert set(rows[0]["terms"]) == terms
    declared = json.loads((tmp_path / "run" / "config.json").read_text())["objective"]
    assert declared[flags[0].removeprefix("--")] is True


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model=alise"], ["alise", "alice"]),
        (["--model=vae", "--dataset=mnist_6k"], ["mnist_6k", "mnist_5k"]),
        (["--model=vae", "--network=mpl"], ["mpl", "mlp"]),
        (["--model=beta_vae", "--set", "bta=3"], ["bta", "beta"]),
        (["--model=beta_vae", "--set", "beta"], ["NAME=VALUE"]),
        (["--model=vae", "--lattent_dim=3"], ["lattent_dim", "latent_dim"]),
        (["--alpha_q=-1", "--constraint=JS(q(z)||p(z))"], ["RATE", "Repair"]),
        (["--model=vae", "--batch_size=100000"], ["100000", "4000"]),
        (["--model=vae", "--slack=4"], ["--slack=4", "vae has none"]),
        (["--model=vae", "alice"], ["alice", "not a flag"]),
    ],
)
def test_wrong_commands_say_one_sentence_and_write_nothing(flags, words, tmp_path):
    done = run(*flags, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    message = done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in message
    assert list(tmp_path.iterdir()) == []


def test_help_needs_no_tensorflow(tmp_path):
    done = from_scratch("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "--model" in done.stdout
    script = "import sys, train.run; sys.exit('tensorflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 0
