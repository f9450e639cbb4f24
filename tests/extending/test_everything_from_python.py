"""What `train.run` does, by users' files: two phases, margins, a certificate, an export."""

import dataclasses
import inspect
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from extending import my_certificate, my_export, my_two_phases

import zoo
from train.certificates import HeldOutMargins, certify
from train.loop import assembly, first_phase, measure_best, second_phase, two_phase
from train.workdirs.config import RunConfig
from zoo.errors import InputError

JOINT, MMD = "KL(q(x,z)||p(x,z))", "MMD(q(z)||p(z))"
SMALL = {"image_shape": (6, 6, 1), "latent_dim": 2, "network_options": {"hidden": (16,)}}
EAGER = {"compile_options": {"jit_compile": False}}
JS = zoo.Objective(alpha_q=-1, constraints=["KL(q(x|z)||p(x|z))", "JS(q(z)||p(z)) <= best + 0.1"])


def data(n, seed):
    """Images of one grey level each, with noise."""
    rng = np.random.default_rng(seed)
    level = rng.random((n, 1, 1, 1))
    return np.clip(level + 0.1 * rng.normal(size=(n, 6, 6, 1)), 0, 1).astype(np.float32)


X, VALIDATION, TEST = data(512, 0), data(128, 1), data(128, 2)


def without_rule(model):
    """A model's config; its rule has a name that counts instances."""
    return {name: part for name, part in model.get_config().items() if name != "multiplier_rule"}


@pytest.fixture(scope="module")
def trained():
    return my_two_phases.trained(X, VALIDATION, epochs=3, **SMALL, **EAGER)


@pytest.fixture(scope="module")
def certificate(trained):
    best, model, history = trained
    known = {"training": X, "validation": VALIDATION, "relative_to": best, "records": history}
    return certify(model, TEST, points=64, power=0, **known)


@pytest.mark.parametrize("file", [my_two_phases, my_certificate, my_export])
def test_the_files_are_short(file):
    assert len(inspect.getsource(file).splitlines()) <= 30


def test_tolerances_are_relative_to_the_first_phase(trained):
    best, model, _ = trained
    reached = best.neutral.evaluate(VALIDATION, batch_size=128, return_dict=True, verbose=0)
    # The same images, with another draw of z
    assert best.values[JOINT] == pytest.approx(reached["REC_x"] + reached["RATE"], rel=2e-2)
    assert best.tolerances == {JOINT: best.values[JOINT] + 4, MMD: best.values[MMD] + 5e-4}
    np.testing.assert_allclose(model.lagrangian.tolerances, list(best.tolerances.values()))


def test_margins_are_measured_between_epochs(trained):
    _, model, history = trained
    assert np.all(model.margins.numpy() > 0)
    assert len(history.epoch) == 3
    assert int(model.step) == 12


def test_the_second_phase_starts_with_the_weights_of_the_first():
    neutral = first_phase("lagvae_max", **SMALL, **EAGER)
    neutral.fit(X[:128], verbose=0)
    best = measure_best("lagvae_max", neutral, VALIDATION, batch_size=64)
    model = second_phase(best, steps=8, **SMALL, **EAGER)
    for ours, theirs in zip(model.encoder.weights, neutral.encoder.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # A batch of 64 of the run; the tolerance of the declaration is 4 nats above best.
    assert model.slacks == [pytest.approx(max(4.0, best.noise[JOINT])), best.noise[MMD]]
    with pytest.raises(
        InputError, match="The encoder has weights of other shapes than in the first"
    ):
        second_phase(best, 8, **{**SMALL, "network_options": {"hidden": (7,)}})


@pytest.mark.parametrize("objective", ["lagvae_max", JS])
def test_phases_are_built_as_those_of_a_run(objective):
    declared = zoo.objective(objective) if isinstance(objective, str) else objective
    config = RunConfig(
        objective=declared.to_config(),
        latent_dim=2,
        steps=70,
        network="mlp",
        network_options={"hidden": (16,)},
        precision="float32",
    )
    theirs = assembly.build_model(two_phase.neutral_config(config), (6, 6, 1), 70)
    ours = first_phase(objective, **SMALL, **EAGER)
    best = measure_best(declared, ours, VALIDATION)
    told = two_phase.measured(config, ours, [VALIDATION], "a checkpoint")
    config = dataclasses.replace(config, best=told)
    second = assembly.build_model(config, (6, 6, 1), 70)
    for one, other in ((ours, theirs), (second_phase(best, 70, **SMALL, **EAGER), second)):
        assert without_rule(one) == without_rule(other)
        if one.lagrangian.learned:
            assert one.multipliers.rate == other.multipliers.rate
            assert type(one.multipliers) is type(other.multipliers)
        for player in ("optimizer", "critic_optimizer"):
            ours, theirs = (getattr(each, player).get_config() for each in (one, other))
            assert {**ours, "name": ""} == {**theirs, "name": ""}
        assert one.critic_steps == other.critic_steps


def test_a_certificate_of_arrays(certificate, trained, tmp_path):
    best, *_ = trained
    assert certificate["step"] == 12
    assert [c["declared"] for c in certificate["constraints"]] == ["best + 4", "best + 0.0005"]
    assert certificate["constraints"][0]["best"] == best.values[JOINT]
    assert [row["step"] for row in certificate.records] == [4, 8, 12]
    assert certificate["constraints"][0]["drift"]["to_step"] == 12
    certificate.write(tmp_path / "new" / "folder")
    written = json.loads((tmp_path / "new/folder/certificate.json").read_text())
    assert written == certificate
    assert written["verdict"] == certificate.verdict
    page = (tmp_path / "new/folder/certificate.md").read_text()
    assert page == certificate.page()
    assert page.startswith(f"# lagvae_max: {certificate.verdict}")
    assert (tmp_path / "new/folder/plots/certificate.png").exists()


def test_a_loaded_model_and_a_dataset_give_the_same_certificate(trained, tmp_path):
    _, model, _ = trained
    model.save(tmp_path / "mine.keras")
    loaded = keras.saving.load_model(tmp_path / "mine.keras")
    batches = tf.data.Dataset.from_tensor_slices((TEST, np.zeros(128))).batch(4)
    quick = {"points": 32, "power": 0}
    assert certify(loaded, batches, **quick) == certify(model, TEST, **quick)


def test_one_of_fixed_multipliers_by_a_file_of_the_users(tmp_path, capsys):
    model = zoo.build("vae", **SMALL)  # not even compiled
    found = my_certificate.certified(model, TEST, tmp_path, points=32)
    assert found.verdict == capsys.readouterr().out.strip() == "fixed multipliers"
    assert not (tmp_path / "plots" / "certificate.png").exists()


def test_it_is_saved_loaded_exported_and_served(certificate, trained, tmp_path):
    _, model, _ = trained
    served = my_export.served(model, tmp_path / "mine.keras", tmp_path / "out", certificate)
    (found,) = served["reconstruct"](images=tf.constant(TEST[:4])).values()
    np.testing.assert_allclose(found, model.reconstruct(TEST[:4]), atol=1e-5)
    extra = tmp_path / "out" / "model" / "1" / "assets.extra"
    assert json.loads((extra / "certificate.json").read_text()) == certificate
    assert (extra / "certificate.md").read_text() == certificate.page()
    assert json.loads((extra / "model.json").read_text())["certificate"] == certificate
    assert f"Its certificate says: {certificate.verdict}" in (extra / "README.md").read_text()


def test_margins_of_a_constraint_that_a_critic_reads():
    objective = zoo.Objective(
        alpha_q=-1, constraints=["KL(q(x|z)||p(x|z))", "JS(q(z)||p(z)) <= 0.1"]
    )
    model = zoo.build(objective, **SMALL)
    model.compile(jit_compile=False)
    for margins, words in (
        (HeldOutMargins(VALIDATION), "A critic estimates JS_z: give HeldOutMargins training="),
        (HeldOutMargins(VALIDATION[:30], X), "needs at least 40 held-out examples"),
    ):
        with pytest.raises(InputError, match=words):
            model.fit(X, verbose=0, callbacks=[margins])
    model.fit(X, batch_size=128, epochs=2, verbose=0, callbacks=[HeldOutMargins(VALIDATION, X)])
    assert float(model.margins[0]) > 0


def test_no_margins_without_learned_constraints():
    model = zoo.build("vae", **SMALL)
    model.compile(jit_compile=False)
    with pytest.raises(InputError, match="vae has no learned constraint and so no margins"):
        model.fit(X, verbose=0, callbacks=[HeldOutMargins(VALIDATION)])
    with pytest.raises(InputError, match="every is 0"):
        HeldOutMargins(VALIDATION, every=0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (iter([TEST]), "only once"),
        (tf.data.Dataset.from_tensor_slices(TEST), "is not batched"),
        (tf.data.Dataset.from_tensor_slices(TEST).batch(4).repeat(), "is infinite"),
        ((255 * TEST).astype(np.int32), "are int32"),
        (TEST[..., 0], r"have shape \(batch, 6, 6\)|have shape \(1, 6, 6\)"),
        ((TEST, np.zeros(3)), r"have \[128, 3\] rows"),
        ([], "There are no held-out images"),
    ],
)
def test_data_that_cannot_be_certified_on_is_one_sentence(given, words):
    with pytest.raises(InputError, match=words):
        certify(zoo.build("vae", **SMALL), given)


def test_a_history_without_steps_is_one_sentence():
    model = zoo.build("vae", **SMALL)
    history = keras.callbacks.History()
    history.set_params({"epochs": 1, "steps": None, "verbose": 0})
    with pytest.raises(InputError, match="give fit steps_per_epoch="):
        certify(model, TEST, history)


def test_what_asks_for_a_best_says_how_to_measure_it():
    with pytest.raises(InputError, match=r"train\.loop\.first_phase"):
        zoo.build("lagvae_max", **SMALL)


@pytest.mark.parametrize(
    "options",
    [
        {"constraints": ["KL(q(x,z)||p(x,z))"], "implicit_encoder": True},
        {"alpha_p": 1, "constraints": ["KL(p(x)||q(x))"], "reverse_rate": True},
    ],
)
def test_objectives_with_capabilities_train_and_are_certified(options, tmp_path):
    model = zoo.build(zoo.Objective(**options), **SMALL)
    model.compile(jit_compile=False)
    history = model.fit(X, batch_size=128, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert certify(model, TEST, points=32).verdict == "fixed multipliers"
