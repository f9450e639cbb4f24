"""A run with a prior that learns: trained, continued, certified, evaluated and exported."""

import json

import numpy as np
import pytest
import tensorflow as tf
from commands import run

from train.loop import restoring
from train.workdirs.workdir import Workdir
from zoo.priors import MixturePrior, VampPrior

SHORT = ["--dataset=mine.npy", "--jit=off", "--batch_size=32", "--latent_dim=2", "--log_every=5"]
SHORT += ["--network_option=hidden=[16]", "--checkpoint_every=10"]
WAE = ["--alpha_q=-1", "--constraint=KL(q(x|z)||p(x|z))"]
BOUNDED = "JS(q(z)||p(z))"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("learned")
    images = np.random.default_rng(0).integers(0, 256, (400, 8, 8), dtype=np.uint8)
    np.save(path / "mine.npy", images)
    flags = [*WAE, f"--constraint={BOUNDED} <= 0.01", "--prior=mixture:3:equal"]
    done = run(*flags, *SHORT, "--steps=10", "--workdir=mixture", cwd=path)
    assert done.returncode == 0, done.stderr
    done = run("--model=vae", "--prior=vamp:4", *SHORT, "--steps=10", "--workdir=vamp", cwd=path)
    assert done.returncode == 0, done.stderr
    return path


def test_the_prior_is_in_the_configuration_and_defines_the_run(folder):
    assert json.loads((folder / "vamp" / "config.json").read_text())["prior"] == "vamp:4"
    other = run("--model=vae", *SHORT, "--steps=20", "--workdir=vamp", cwd=folder)
    assert other.returncode == 2
    assert "prior: 'standard_normal' here, 'vamp:4' there" in other.stderr
    same = ["--model=vae", "--prior=vamp:4", *SHORT, "--steps=20"]
    done = run(*same, "--workdir=vamp", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "continuing vamp from step 10" in done.stderr
    workdir = Workdir(folder / "vamp")
    model = restoring.load(workdir, workdir.latest_checkpoint())
    assert isinstance(model.prior_layer, VampPrior)
    assert int(model.step) == 20


def test_bounds_are_to_the_prior_as_it_is(folder):
    certificate = json.loads((folder / "mixture" / "certificate.json").read_text())
    (row,) = certificate["constraints"]
    assert row["expression"] == BOUNDED
    text = json.dumps(certificate)
    assert "posteriors, by convexity" in text
    workdir = Workdir(folder / "mixture")
    model = restoring.load(workdir, workdir.latest_checkpoint())
    assert isinstance(model.prior_layer, MixturePrior)
    start = MixturePrior(3, "equal", seed=0)
    start.attach(model.encoder)
    assert np.abs(start.means.numpy() - model.prior_layer.means.numpy()).max() > 0


def test_it_is_evaluated_and_exported(folder):
    for name in ("mixture", "vamp"):
        done = run(f"--workdir={name}", module="train.evaluate", cwd=folder)
        assert done.returncode == 0, done.stderr
        found = json.loads((folder / name / "evaluation.json").read_text())
        assert not [row for row in found["skipped"].values() if "prior" in row.lower()]
        done = run(f"--workdir={name}", f"--out=out/{name}", module="export.run", cwd=folder)
        assert done.returncode == 0, done.stderr
        served = tf.saved_model.load(str(folder / "out" / name / "model" / "1"))
        size = served.signatures["generate"].structured_input_signature[1]["noise"].shape[1]
        images = served.signatures["generate"](noise=tf.zeros([3, size]))["images"]
        assert images.shape == (3, 8, 8, 1)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--prior=flow"], "Unknown prior 'flow'"),
        (["--prior=vamp"], "write vamp:50"),
        (
            ["--prior=vamp:4", "--latents=normal(3)"],
            "--prior=vamp:4 cannot be combined with --latents",
        ),
        (["--prior=vamp:4", "--pair=edges"], "--prior=vamp:4 cannot be combined with --pair"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(flags, reason, tmp_path):
    from train.workdirs.config import RunConfig
    from zoo.errors import InputError
    from zoo.objectives import family

    values = dict(flag.removeprefix("--").split("=") for flag in flags)
    with pytest.raises(InputError, match=reason):
        RunConfig(family.objective("vae").to_config(), **values)
