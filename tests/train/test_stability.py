import dataclasses
import json

import bars
import commands
import pytest

from train import command, stability
from train.evaluations.subject import Options
from zoo.errors import InputError


@pytest.fixture
def config(tmp_path):
    return bars.config(bars.write(tmp_path / "bars.npz"), "aae", steps=4, log_every=2)


def test_models_with_critics():
    found = stability.adversarial()
    assert {"aae", "wae_gan", "vae_gan", "infogan", "ali", "alice", "cyclegan", "avb"} <= set(found)
    assert not {"vae", "infovae_mmd", "lagvae_max", "infovae_stein"} & set(found)


def test_equal_declarations_are_trained_once():
    assert stability.distinct(["ali", "bigan", "alice", "cyclegan", "discogan"]) == [
        "ali",
        "alice",
        "cyclegan",
    ]


def test_rows_come_one_by_one_and_stay(config, tmp_path, monkeypatch):
    folder = tmp_path / "runs"
    folder.mkdir()
    options = Options(points=60, classifier_steps=20)
    monkeypatch.setattr(stability.run, "train", lambda c, w: bars.untrained(w.path, c))
    rows = stability.stability([("aae", config)], folder, options)
    (row,) = rows
    # An untrained decoder makes nearly the same grey of every z.
    assert row["outcome"] == "collapsed"
    assert row["diversity"] < 0.5
    assert (folder / "aae" / "seed-0" / "config.json").exists()

    def diverge(config, workdir):
        raise command.RunError("REC_x became nan by step 2.")

    monkeypatch.setattr(stability.run, "train", diverge)
    other = dataclasses.replace(config, seed=1)
    rows = stability.stability([("aae", config), ("aae", other)], folder, options)
    assert rows[0] == row
    assert rows[1]["outcome"] == "diverged"
    assert rows[1]["reason"] == "REC_x became nan by step 2."
    assert json.loads((folder / "stability.json").read_text()) == rows
    (line,) = stability.summary(rows)
    assert line[:5] == ["aae", "2", "0", "1", "1"]
    assert line[6] == f"{row['diversity']:.3g}"

    with pytest.raises(InputError, match="aae with seed 0 under other flags"):
        stability.stability([("aae", dataclasses.replace(config, steps=5))], folder, options)
    (folder / "stability.json").write_text("{")
    with pytest.raises(InputError, match="delete it"):
        stability.stability([("aae", config)], folder, options)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "--workdir is missing"),
        (["--workdir=r", "--models=vae"], "Unknown adversarial model 'vae'"),
        (["--workdir=r", "--seeds=0"], "--seeds=0"),
        (["--workdir=r", "--model=aae"], "--models"),
    ],
)
def test_wrong_commands_say_one_sentence(flags, words, tmp_path):
    done = commands.run(*flags, cwd=tmp_path, module="train.stability")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert words in done.stderr.strip().splitlines()[-1]
    assert not (tmp_path / "r").exists()
