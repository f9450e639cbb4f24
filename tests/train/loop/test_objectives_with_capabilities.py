"""Objectives of --implicit_encoder and --reverse_rate: a run, its continuation, its certificate."""

import dataclasses
import json

import numpy as np
import pytest

from train import run
from train.workdirs.config import RunConfig, declared_objective
from train.workdirs.workdir import Workdir


@pytest.mark.parametrize(
    ("flags", "term"),
    [
        ({"constraints": ["KL(q(x,z)||p(x,z)) <= 40"], "implicit_encoder": True}, "RATE_ratio"),
        ({"alpha_p": "1", "constraints": ["KL(p(x)||q(x))"], "reverse_rate": True}, "RATE_p"),
    ],
)
def test_it_trains_continues_and_is_certified(flags, term, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (200, 6, 6), dtype=np.uint8)
    np.save(tmp_path / "mine.npy", images)
    objective = declared_objective(None, {}, None, **{"alpha_p": None, "slack_text": None, **flags})
    config = RunConfig(
        objective.to_config(),
        dataset=str(tmp_path / "mine.npy"),
        latent_dim=2,
        batch_size=8,
        steps=4,
        log_every=2,
        checkpoint_every=2,
        jit="off",
    )
    workdir = Workdir(tmp_path / "run")
    for steps in (4, 6):
        run.train(dataclasses.replace(config, steps=steps), workdir)
    rows = [row for row in workdir.records() if row["split"] == "train"]
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert all(np.isfinite(row["terms"][term]) for row in rows)
    assert json.loads((workdir.path / "certificate.json").read_text())["step"] == 6
