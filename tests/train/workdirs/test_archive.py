"""Checkpoints of strange_checkpoints: nothing they name is built, and what is no number refused."""

import dataclasses
import json
import os

import keras
import numpy as np
import pytest
import strange_checkpoints
from strange_checkpoints import CONFIG

from train.loop import assembly, restoring
from train.workdirs import archive, checkpoints
from zoo.errors import InputError
from zoo.objectives import family, tolerances


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "step-00000001.zip"


@pytest.fixture
def not_built(monkeypatch):
    """Fails if a model is built."""

    def built(*args, **options):
        raise AssertionError("something was built")

    monkeypatch.setattr(assembly, "rebuilt", built)


@pytest.fixture
def not_deserialised(monkeypatch):
    """Fails if Keras is given a config to build."""

    def built(*args, **options):
        raise AssertionError("a config was deserialised")

    monkeypatch.setattr(keras.saving, "load_model", built)
    monkeypatch.setattr(keras.saving, "deserialize_keras_object", built)
    monkeypatch.setattr(keras.layers, "deserialize", built)


def refused(path, content, words, config=CONFIG):
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        restoring.from_file(path, config)
    sentence = str(caught.value)
    assert words in sentence
    assert str(path) in sentence
    assert sentence.isprintable()
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def state(model):
    optimizers = model.optimizer.variables + model.critic_optimizer.variables
    return [np.asarray(variable) for variable in (*model.variables, *optimizers)]


@pytest.mark.parametrize("suffix", ["zip", "keras"])
def test_one_of_ours_is_loaded(path, suffix, not_deserialised):
    """Also one of Keras, as they were up to version 0.1.0."""
    path = path.with_suffix(f".{suffix}")
    ours = strange_checkpoints
    path.write_bytes(ours.checkpoint() if suffix == "zip" else ours.keras_checkpoint())
    assert archive.damage(path) is None
    model = restoring.from_file(path, CONFIG)
    again = restoring.from_file(path, CONFIG, compiled=False)
    assert not again.compiled
    for one, other in zip(state(model), state(ours.model()), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert checkpoints.means(path) == [0.5]


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "bfloat16"},
        {
            "pair": "rotated",
            "network": "mlp",
            "objective": family.objective("cyclegan").to_config(),
        },
    ],
)
def test_what_a_model_was_built_from_is_in_archives_of_keras(options, tmp_path):
    options = {"spectral_norm": None, "history": 0, **options}
    config = dataclasses.replace(CONFIG, **options)
    shape = (4, 4, 1) if config.paired else None
    model = assembly.build_model(config, (4, 4, 1), 7, shape)
    model.save(tmp_path / "step-00000001.keras")
    build, _ = archive.read(tmp_path / "step-00000001.keras")
    assert build == dataclasses.replace(archive.Build.of(model), horizon=None)
    assert build.precision == config.precision
    assert build.latent_shape == shape


KINDS = [
    ("avb", {}),
    ("infogan", {"latents": "categorical(3), noise(2)", "network": "dcgan"}),
    ("infogan", {"network": "dcgan", "share_features": True}),
    ("vae", {"network": "dcgan", "network_options": {"normalization": "batch"}}),
    ("cyclegan", {"network": "mlp", "pair": "rotated"}),
    ("lagvae_max", {"likelihood": "normal", "rule": "geco"}),
    ("geco", {"likelihood": "laplace", "rule": "pi"}),
    ("cyclegan", {"network": "resnet", "pair": "rotated"}),
    ("cyclegan", {"network": "unet", "pair": "coloured", "spectral_norm": True}),
    ("alice", {"network": "dcgan", "precision": "bfloat16", "ema": 0.9, "history": 3}),
]


@pytest.mark.parametrize(("model", "options"), KINDS)
def test_every_kind_of_ours_comes_back(model, options, tmp_path, not_deserialised):
    """Every network, likelihood, rule and kind of encoder, from its numbers alone."""
    objective = family.objective(model)
    if objective.learned:
        objective = tolerances.resolved(
            objective, {c.expression: 1.0 for _, c in objective.learned}
        )
    config = dataclasses.replace(CONFIG, spectral_norm=None, ema=None, history=0)
    options = {"network_options": {}, **options}
    config = dataclasses.replace(config, objective=objective.to_config(), **options)
    latent_shape = (28, 28, 3 if options.get("pair") == "coloured" else 1)
    model = assembly.build_model(config, (28, 28, 1), 7, latent_shape if config.paired else None)
    for variable in model.variables:
        if variable.dtype == "float32":
            variable.assign_add(np.full(variable.shape, 0.5, "float32"))
    saved = checkpoints.Checkpoints(tmp_path).save(model, keep=1, best=None, means=None)
    assert archive.damage(saved) is None
    # As if it had gone on for longer, on another machine.
    longer = dataclasses.replace(config, steps=1000)
    loaded = restoring.from_file(saved, longer)
    assert loaded.multipliers.get_config() == {
        **model.multipliers.get_config(),
        "name": loaded.multipliers.name,
    }
    for one, other in zip(state(loaded), state(model), strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_class_of_a_checkpoint_is_built(path, not_deserialised, monkeypatch):
    """What an archive of Keras names is read by no one: its numbers are, or it is refused."""
    monkeypatch.setattr(assembly, "rebuilt", lambda *args: strange_checkpoints.model())
    places, loaded, sentences = set(), 0, []
    for place, content in strange_checkpoints.hostile_classes():
        path.write_bytes(content)
        try:
            restoring.from_file(path, CONFIG)
            loaded += 1
        except InputError as error:
            sentences.append(str(error))
        places.add(place)
        assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert len(places) == 7
    assert loaded
    assert all(str(path) in sentence for sentence in sentences)


def test_weights_are_numbers_in_their_own_file(path, not_built):
    for words, content in strange_checkpoints.hostile_weights():
        refused(path, content, words)


def test_archives_hold_their_parts_and_no_more(path):
    for words, content in strange_checkpoints.hostile_archives():
        path.write_bytes(content)
        assert words in (archive.damage(path) or "")


def test_what_a_model_is_built_from_is_checked(path, not_built):
    for words, content in strange_checkpoints.hostile_builds():
        refused(path, content, words)


def test_a_link_is_no_checkpoint(path, tmp_path):
    (tmp_path / "real").write_bytes(strange_checkpoints.checkpoint())
    path.symlink_to("real")
    assert archive.damage(path) == "it is no file"
    path.unlink()
    os.mkfifo(path)
    assert archive.damage(path) == "it is no file"


@pytest.mark.parametrize(
    "options",
    [
        {"network_options": {"hidden": [10**9]}},
        {"latent_dim": 2**16, "network_options": {"hidden": [2**16]}},
        {"history": 2**16},
    ],
)
def test_no_more_weights_are_made_than_there_are(path, options):
    content = strange_checkpoints.checkpoint()
    assert len(content) < 2**20
    config = dataclasses.replace(CONFIG, **options)
    refused(path, content, "declares more weights than", config)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"latent_dim": 3}, "has shape (4, 4) where (4, 6) is needed"),
        ({"network_options": {"hidden": [5]}}, "has shape (16, 4) where (16, 5) is needed"),
        ({"ema": None}, "is none of the model's"),
        ({"history": 0}, "is none of the model's"),
        ({"spectral_norm": False}, "it has no critics/functional/layers/dense/vars/0"),
        ({"objective": family.objective("vae").to_config()}, "it has no layers/projected_ascent"),
        (
            {"likelihood": "normal", "likelihood_scale": "learned"},
            "averages/vars/4 has shape (2, 4) where () is needed",
        ),
    ],
)
def test_the_first_number_that_does_not_fit_is_named(path, options, words):
    config = dataclasses.replace(CONFIG, **options)
    refused(path, strange_checkpoints.checkpoint(), words, config)


@pytest.mark.parametrize(
    "config", [[], {}, {"class_name": "LagrangianModel"}, json.loads("[" * 50 + "]" * 50)]
)
def test_a_config_of_something_else(path, config, not_built):
    old = strange_checkpoints.keras_checkpoint()
    refused(path, strange_checkpoints.with_config(old, config), "cannot be read")


def test_means_are_numbers(path):
    parts = strange_checkpoints.members(strange_checkpoints.checkpoint())
    for text in (b"{}", b'["x"]', b"[", b"[[1.0]]"):
        path.write_bytes(strange_checkpoints.archived({**parts, "means.json": text}))
        with pytest.raises(InputError, match="cannot be read"):
            checkpoints.means(path)
