"""A likelihood of the user's, a file of 30 lines: trained, measured, drawn, exported, saved."""

import json
from pathlib import Path

import keras
import my_counts
import my_likelihood
import numpy as np
import pytest
import tensorflow as tf
from commands import metrics, run

import zoo
from zoo.distributions import likelihoods, probes
from zoo.errors import InputError

HERE = Path(__file__).parent
SMALL = {"image_shape": (8, 8, 1), "latent_dim": 3, "network_options": {"hidden": (16,)}}
FAMILIES = {"levels": my_likelihood.Levels(), "counts": my_counts.Counts()}
IMAGES = np.random.default_rng(0).integers(0, 4, (24, 8, 8, 1)).astype("float32") / 3


def built(name="vae", likelihood="levels", **options):
    model = zoo.build(name, likelihood=likelihood, **SMALL, **options)
    model.compile(jit_compile=False)
    return model


@pytest.mark.parametrize("module", [my_likelihood, my_counts])
def test_a_likelihood_takes_thirty_lines(module):
    assert len(Path(module.__file__).read_text().splitlines()) <= 30


@pytest.mark.parametrize("name", FAMILIES)
def test_it_trains_and_is_read(name):
    model = built(likelihood=FAMILIES[name])
    assert model.decoder.has_mean == (name == "counts")
    before = model.evaluate(IMAGES, batch_size=8, return_dict=True, verbose=0)
    assert ("mse" in before) == (name == "counts")
    assert {"loss", "REC_x", "RATE"} <= set(before)
    history = model.fit(IMAGES, validation_data=(IMAGES,), batch_size=8, epochs=20, verbose=0)
    assert set(history.history) == {
        *("loss", "REC_x", "RATE"),
        *(f"val_{name}" for name in before),
    }
    after = model.evaluate(IMAGES, batch_size=8, return_dict=True, verbose=0)
    assert after["loss"] < before["loss"]


def test_the_distortion_is_the_cross_entropy_of_levels():
    family = likelihoods.family("levels")
    params = np.random.default_rng(1).normal(size=(5, 2, 3, 4)).astype("float32")
    k = np.random.default_rng(2).integers(0, 4, (5, 2, 3, 1))
    log_p = params - np.log(np.exp(params).sum(-1, keepdims=True))
    expected = np.take_along_axis(log_p, k, axis=-1).sum((1, 2, 3))
    found = family.distribution(tf.constant(params)).log_prob(np.float32(k) / 3)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_it_is_drawn_by_samples_where_there_is_no_mean(name):
    model = built(likelihood=name)
    sampled, reconstructed = model.sample(6).numpy(), model.reconstruct(IMAGES).numpy()
    assert sampled.shape == (6, 8, 8, 1)
    assert reconstructed.shape == IMAGES.shape
    np.testing.assert_array_equal(sampled, model.sample(6))
    np.testing.assert_array_equal(reconstructed, model.reconstruct(IMAGES))
    assert not np.array_equal(sampled, model.sample(6, seed=1))
    on_levels = np.abs(3 * sampled - np.rint(3 * sampled)) < 1e-5
    assert on_levels.all() == (name == "levels")
    assert model(IMAGES).shape == IMAGES.shape


def test_measures_of_means_are_refused_by_name():
    model = built()
    for measure in (zoo.metrics.squared_error, zoo.metrics.sigma_opt):
        with pytest.raises(InputError, match="is of means, and levels has none: look at samples"):
            measure(model, IMAGES)
    assert zoo.metrics.rate_distortion(model, IMAGES).distortion.value > 0
    with pytest.raises(InputError, match="of the family levels has no mean"):
        model.decoder.mean(tf.zeros((2, 3)))
    assert probes.encoded_mean(model, IMAGES, "A code").shape == (24, 3)


def test_terms_on_samples_of_x_need_a_gradient_or_a_stand_in():
    for name in FAMILIES:
        with pytest.raises(
            InputError,
            match=rf"JS_x passes gradients through samples of p\(x\|z\), but samples of {name} "
            r"have no gradient and no stand-in: use an objective whose form is REC_x and RATE, or "
            r"give the family a stand_in\.",
        ):
            built("vae_gan", likelihood=name)
    model = built("vae_gan", likelihood=my_counts.Counts(shows="mean"))
    model.fit(IMAGES, batch_size=8, verbose=0)


def test_a_stand_in_that_is_none_is_refused():
    class Levelled(my_likelihood.Levels):
        name = "levelled"
        stand_in = "mean"

    with pytest.raises(InputError, match="levelled family's stand_in is its mean, and it has none"):
        built(likelihood=Levelled())
    Levelled.stand_in = "mode"
    with pytest.raises(InputError, match="stand_in is 'mode': override relaxed_sample"):
        built(likelihood=Levelled())


def test_names_of_likelihoods():
    assert {"levels", "counts"} <= set(likelihoods.names())
    family = likelihoods.family("my_counts:counts", shows="mean")
    assert (type(family), family.shows) == (my_counts.Counts, "mean")
    with pytest.raises(InputError, match=r"'your_parts', which is not imported: add --import=your"):
        likelihoods.family("your_parts:levels")
    with pytest.raises(
        InputError, match=r"Unknown likelihood of 'my_counts' 'count': did you mean"
    ):
        likelihoods.family("my_counts:count")
    with pytest.raises(InputError, match=r"'json' registers no likelihood: put @likelihoods"):
        likelihoods.family("json:levels")

    class Normal(likelihoods.Likelihood):
        pass

    assert Normal.name == "normal"
    with pytest.raises(InputError, match=r"likelihood .normal. in zoo\.distributions\.likelihoods"):
        likelihoods.register(Normal)


def test_a_saved_model_is_read_again(tmp_path):
    model = built(likelihood="my_likelihood:levels")
    model.save(tmp_path / "m.keras")
    read = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(read.sample(4), model.sample(4))


def test_an_export_says_what_it_has_not(tmp_path):
    from export.saved_models import export_model

    model = built()
    folder = export_model(model, tmp_path / "out")["model"]
    card = json.loads((folder / "assets.extra" / "model.json").read_text())
    reason = "p(x|z), of the family levels, has no mean"
    assert all(reason in card["absent"][n] for n in ("decode", "generate", "reconstruct"))
    assert {"encode", "elbo", "log_likelihood", "anomaly_score"} <= set(card["signatures"])
    served = tf.saved_model.load(str(folder)).signatures["elbo"]
    noise = tf.zeros((2, 3))
    assert np.all(served(images=tf.constant(IMAGES[:2]), noise=noise)["elbo"] < 0)
    with pytest.raises(InputError, match=r"Nothing of the decoder can be served: .* has no mean"):
        export_model(model, tmp_path / "half", part="decoder")
    assert not (tmp_path / "half").exists()
    full = export_model(built(likelihood="counts"), tmp_path / "full")["model"]
    assert "decode" in json.loads((full / "assets.extra" / "model.json").read_text())["signatures"]


def test_the_command_line(tmp_path):
    (tmp_path / "my_likelihood.py").write_bytes((HERE / "my_likelihood.py").read_bytes())
    np.save(tmp_path / "mine.npy", np.uint8(np.rint(255 * IMAGES[..., 0])).repeat(3, axis=0))
    flags = (
        "--model=vae",
        f"--dataset={tmp_path / 'mine.npy'}",
        "--likelihood=my_likelihood:levels",
        "--batch_size=8",
        "--latent_dim=2",
        "--network_option=hidden=[16]",
        "--steps=4",
        "--log_every=2",
        "--checkpoint_every=2",
        "--workdir=run",
    )
    done = run(*flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "run"
    assert json.loads((folder / "config.json").read_text())["likelihood"] == flags[2][13:]
    plots = {"samples.png", "reconstructions.png", "terms.png", "latent.png"}
    assert {p.name for p in (folder / "plots").iterdir()} == plots
    rows = metrics(folder)
    assert all({"REC_x", "RATE"} == set(row["terms"]) for row in rows)
    assert not any("mse" in row for row in rows)
    assert "mse" not in done.stdout

    more = run(*flags[:-4], "--steps=6", *flags[-3:], cwd=tmp_path)
    assert more.returncode == 0, more.stderr
    assert "continuing run from step 4" in more.stderr

    measured(folder)

    lost = run("--workdir=run", module="train.evaluate", cwd=tmp_path)
    assert lost.returncode == 2
    assert "not imported: add --import=my_likelihood" in lost.stderr

    typo = run(*flags[:2], "--likelihood=my_likelihod:levels", cwd=tmp_path)
    assert typo.returncode == 2
    assert "the module 'my_likelihod' cannot be imported" in typo.stderr


def measured(folder):
    """Evaluates the run: measures of means are left out by name, all others are there."""
    from train.evaluations import evaluation
    from train.evaluations.measures import table as measures
    from train.evaluations.subject import Options, Subject
    from train.loop import assembly, restoring
    from train.workdirs.workdir import Workdir

    workdir = Workdir(folder)
    config = workdir.config()
    dataset = assembly.load_dataset(config)
    model = restoring.load(workdir, workdir.latest_checkpoint())
    subject = Subject(model, dataset, config, Options(points=8))
    assert np.isin(np.rint(3 * subject.samples), range(4)).all()
    np.testing.assert_array_equal(subject.sample_means, subject.samples)
    names = ("neg_elbo", "mse", "bits_per_dim", "active_units", "mmd")
    found = evaluation.evaluate(subject, [measures.MEASURES[n] for n in names], workdir)
    assert set(found["metrics"]) == {"neg_elbo", "active_units", "mmd"}
    assert all("is of means" in found["skipped"][n] for n in ("mse", "bits_per_dim"))
