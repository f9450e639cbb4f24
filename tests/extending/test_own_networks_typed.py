"""A user's own networks on the command line, in a folder of the user's."""

import json
import shutil
from pathlib import Path

import commands
import numpy as np

HERE = Path(__file__).parent
FLAGS = (
    "--model=alice",
    "--network=my_parts:parts",
    "--dataset=mine.npy",
    "--network_option=encoder.width=12",
    "--latent_dim=3",
    "--batch_size=8",
    "--log_every=2",
    "--checkpoint_every=4",
    "--workdir=run",
)
PARTS = """
from types import SimpleNamespace
from my_networks import Net, encoder

parts = SimpleNamespace(
    encoder=encoder,
    decoder=lambda latent_dim, image_shape, params: Net((*image_shape[:-1], params)),
    critic_xz=lambda image_shape, latent_dim: Net(),
)
"""


def typed(folder, module, *flags):
    """Returns the finished process of a command in a folder; Python sees that and the product."""
    done = commands.run(*flags, cwd=folder, module=module, alone=True)
    assert "Traceback" not in done.stderr
    return done


def test_commands_train_resume_and_read_them(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (80, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "mine.npy", images)
    shutil.copy(HERE / "my_networks.py", tmp_path)
    (tmp_path / "my_parts.py").write_text(PARTS)
    done = typed(tmp_path, "train.run", *FLAGS, "--steps=4")
    assert done.returncode == 0, done.stderr
    done = typed(tmp_path, "train.run", *FLAGS, "--steps=8")
    assert done.returncode == 0, done.stderr
    assert "continuing run from step 4" in done.stderr
    done = typed(tmp_path, "train.run", *FLAGS[:-1], "--steps=8", "--workdir=whole")
    assert done.returncode == 0, done.stderr
    last = [
        [
            {k: v for k, v in json.loads(line).items() if k != "seconds"}
            for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()
            if json.loads(line)["split"] == "train"
        ][-1]
        for run in ("run", "whole")
    ]
    assert last[0] == last[1]

    mine = "--import=my_parts"
    for module, flags in (
        ("train.evaluate", ["--metrics=rate,distortion"]),
        ("train.certify", ["--power=1"]),
        ("export.run", ["--out=out"]),
    ):
        refused = typed(tmp_path, module, "--workdir=run", *flags)
        assert refused.returncode == 2, refused.stderr
        assert refused.stderr.count("\n") == 1
        assert "'my_parts:parts' needs the module my_parts: add --import=my_parts" in refused.stderr
        done = typed(tmp_path, module, "--workdir=run", mine, *flags)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "evaluation.json").exists()
    assert (tmp_path / "out" / "model" / "1" / "saved_model.pb").exists()
    wrong = typed(tmp_path, "train.run", "--model=vae", "--network=my_part:parts", "--steps=1")
    assert wrong.returncode == 2
    assert "there is no module 'my_part' in" in wrong.stderr
