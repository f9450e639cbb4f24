"""Checkpoints of strange_checkpoints: every one is refused by name, and nothing of it is built."""

import importlib
import json
import os
import sys

import keras
import numpy as np
import pytest
import strange_checkpoints

import zoo
from train import archive, checkpoints
from zoo import imports
from zoo.errors import InputError


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "step-00000001.keras"


@pytest.fixture
def not_built(monkeypatch):
    """Fails if Keras is given anything to build."""

    def built(*args, **options):
        raise AssertionError("something was built")

    monkeypatch.setattr(keras.saving, "load_model", built)


def refused(path, content, words):
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        checkpoints.load(path)
    sentence = str(caught.value)
    assert words in sentence
    assert str(path) in sentence
    assert sentence.isprintable()
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_one_of_ours_is_built(path):
    path.write_bytes(strange_checkpoints.checkpoint())
    assert archive.damage(path) is None
    model = checkpoints.load(path)
    again = checkpoints.load(path, compiled=False)
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert checkpoints.means(path) == [0.5]


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("avb", {}),
        ("infogan", {"latents": "categorical(3), noise(2)", "network": "dcgan"}),
        ("infogan", {"network": "dcgan", "share_features": True}),
        ("vae", {"network": "dcgan", "network_options": {"normalization": "batch"}}),
        ("cyclegan", {"network": "mlp", "latent_shape": (28, 28, 1)}),
        ("lagvae_max", {"likelihood": "normal", "multiplier_rule": "geco"}),
        ("geco", {"likelihood": "laplace", "multiplier_rule": "pi"}),
        ("cyclegan", {"network": "resnet", "latent_shape": (28, 28, 1)}),
        ("cyclegan", {"network": "unet", "latent_shape": (28, 28, 3), "spectral_norm": True}),
        ("alice", {"network": "dcgan", "precision": "bfloat16", "ema": 0.9, "history": 3}),
    ],
)
def test_every_kind_of_ours_passes(path, model, options, tmp_path):
    """Every network, likelihood, rule and kind of encoder there is."""
    if model in ("lagvae_max", "geco"):
        values = {c.expression: 1.0 for _, c in zoo.objective(model).learned}
        model = zoo.slack.resolved(zoo.objective(model), values)
    model = zoo.build(model, image_shape=(28, 28, 1), **options)
    model.compile()
    saved = checkpoints.Checkpoints(tmp_path).save(model, keep=1, best=None, means=None)
    assert archive.damage(saved) is None
    archive.check(saved)
    with archive.bounded(saved):
        keras.saving.load_model(saved, safe_mode=True)


def test_no_other_class_is_built(path, not_built):
    places = set()
    for place, words, content in strange_checkpoints.hostile_classes():
        refused(path, content, words)
        places.add(place)
    assert len(places) == 7


def test_weights_are_numbers_in_their_own_file(path, not_built):
    for words, content in strange_checkpoints.hostile_weights():
        refused(path, content, words)


def test_archives_hold_what_keras_writes_and_no_more(path):
    for words, content in strange_checkpoints.hostile_archives():
        path.write_bytes(content)
        assert words in (archive.damage(path) or "")


def test_a_link_is_no_checkpoint(path, tmp_path):
    (tmp_path / "real").write_bytes(strange_checkpoints.checkpoint())
    path.symlink_to("real")
    assert archive.damage(path) == "it is no file"
    path.unlink()
    os.mkfifo(path)
    assert archive.damage(path) == "it is no file"


def test_no_more_weights_are_made_than_there_are(path):
    content = strange_checkpoints.more_than_it_holds()
    assert len(content) < 2**20
    refused(path, content, "declares more weights than it holds")


@pytest.mark.parametrize(
    "config", [[], {}, {"class_name": "LagrangianModel"}, json.loads("[" * 50 + "]" * 50)]
)
def test_a_config_of_something_else(path, config, not_built):
    refused(
        path,
        strange_checkpoints.with_config(strange_checkpoints.checkpoint(), config),
        "no model of zoo",
    )


def test_means_are_numbers(path):
    parts = strange_checkpoints.members(strange_checkpoints.checkpoint())
    for text in (b"{}", b'["x"]', b"[", b"[[1.0]]"):
        path.write_bytes(strange_checkpoints.archived({**parts, "means.json": text}))
        with pytest.raises(InputError, match="cannot be read"):
            checkpoints.means(path)


def test_classes_of_an_imported_module_are_known(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(imports, "_loaded", [])
    (tmp_path / "my_layers.py").write_text(
        "import keras\n\n\n"
        "@keras.saving.register_keras_serializable('mine')\n"
        "class Twice(keras.layers.Layer):\n"
        "    def call(self, x):\n"
        "        return 2 * x\n"
    )
    part = {"module": "my_layers", "class_name": "Twice", "registered_name": "mine>Twice"}
    assert not archive._known({**part, "config": {}})
    importlib.import_module("my_layers")
    # Imported by something else: the user has not named it.
    assert not archive._known({**part, "config": {}})
    imports.load(["my_layers"])
    assert archive._known({**part, "config": {}})
    for strange in ({"module": "os"}, {"class_name": "Other"}, {"registered_name": "mine>Other"}):
        assert not archive._known({**part, **strange, "config": {}})
    del sys.modules["my_layers"]
