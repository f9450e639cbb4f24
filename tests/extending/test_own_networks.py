"""A user's own networks, in a file of their own: my_networks.py."""

import dataclasses
import types
from pathlib import Path

import keras
import numpy as np
import pytest

import zoo
from train.loop import assembly, restoring
from train.workdirs.config import RunConfig
from train.workdirs.workdir import Workdir
from zoo.errors import InputError
from zoo.objectives import family

HERE = Path(__file__).parent
SHAPE = (8, 8, 1)
SMALL = {"image_shape": SHAPE, "latent_dim": 3, "network_options": {"hidden": (8,)}}


@pytest.fixture
def mine(monkeypatch):
    """The user's module, imported."""
    monkeypatch.syspath_prepend(str(HERE))
    import my_networks

    return my_networks


@pytest.fixture
def images():
    return np.random.default_rng(0).random((24, *SHAPE), dtype=np.float32)


def test_a_users_file_is_short():
    assert len((HERE / "my_networks.py").read_text().splitlines()) <= 30


@pytest.mark.parametrize("subclassed", [False, True])
def test_a_model_of_them_trains_and_is_saved(mine, images, tmp_path, subclassed):
    """Functional or subclassed, for each part."""

    def net(shape, *inputs):
        if subclassed:
            return mine.Net(shape)
        x = [keras.Input(i) for i in inputs]
        return keras.Model(x if len(x) > 1 else x[0], mine.Net(shape)(x if len(x) > 1 else x[0]))

    model = zoo.build(
        "alice",
        encoder=net((6,), SHAPE),
        decoder=net(SHAPE, (3,)),
        critics={"JS_xz": net((1,), SHAPE, (3,))},
        **SMALL,
    )
    model.compile()
    before = [w.copy() for w in model.get_weights()]
    model.fit(images, batch_size=8, epochs=2, verbose=0)
    assert all(np.isfinite(w).all() for w in model.get_weights())
    for part in (model.encoder, model.decoder, model.critics["JS_xz"]):
        now = {id(v): v for v in part.trainable_variables}
        moved = [
            not np.array_equal(v, w)
            for v, w in zip(model.weights, before, strict=True)
            if id(v) in now
        ]
        assert any(moved)
    assert model.encode(images).event_shape == (3,)
    assert model.reconstruct(images).shape == images.shape
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(model.reconstruct(images), loaded.reconstruct(images))
    logs = [m.evaluate(images, batch_size=8, verbose=0, return_dict=True) for m in (model, loaded)]
    assert logs[0] == logs[1]


def test_the_logit_of_a_critic_may_have_an_axis(mine, images):
    """[B] and [B, 1] are the same game."""

    def rows(shape):
        net = mine.Net(shape)
        built = zoo.build("avb", critics={"RATE_ratio": net}, **SMALL)
        for index, w in enumerate(net.weights):
            w.assign(np.random.default_rng(index).normal(size=w.shape))
        built.compile(jit_compile=False)
        return built.fit(images, batch_size=8, shuffle=False, verbose=0).history

    column, scalar = rows((1,)), rows(())
    assert column == scalar


def test_averages_are_exported(mine, images, tmp_path):
    """Of a class that Keras can copy; of another it is said."""
    from export.saved_models import export_model

    class Closed(mine.Net):
        def get_config(self):
            raise NotImplementedError

    model = zoo.build("vae", decoder=mine.Net(SHAPE), ema=0.5, **SMALL)
    export_model(model, tmp_path / "out")
    model = zoo.build("vae", decoder=Closed(SHAPE), ema=0.5, **SMALL)
    with pytest.raises(InputError, match=r"cannot be copied, which the export of averaged"):
        export_model(model, tmp_path / "other")


def test_an_implicit_encoder(mine, images):
    model = zoo.build("avb", encoder=mine.Net((3,)), noise_dim=5, **SMALL)
    model.compile(jit_compile=False)
    model.fit(images, batch_size=8, verbose=0)
    assert model.encode(images).sample(seed=[0, 1]).shape == (24, 3)


def test_between_images(mine):
    """Translators are one's own, too; critics of patches stay."""
    there, back = mine.Net((8, 8, 3)), mine.Net(SHAPE)
    model = zoo.build(
        "cyclegan",
        image_shape=SHAPE,
        latent_shape=(8, 8, 3),
        network="resnet",
        network_options={"width": 2},
        encoder=there,
        decoder=back,
        likelihood="laplace",
    )
    assert model.encoder.network is there
    assert model.encode(np.zeros((2, *SHAPE), np.float32)).mean().shape == (2, 8, 8, 3)


def several():
    x = keras.Input(SHAPE)
    return keras.Model(x, {"a": keras.layers.Flatten()(x)})


class Broken(keras.Model):
    def call(self, x):
        return self.missing(x)


class Total(keras.Model):
    def call(self, x):
        return keras.ops.sum(x)


CASES = [
    # the parts, and what the sentence says
    (lambda m: {"encoder": m.encoder(SHAPE, 5)}, r"\(5,\) .* normal .* needs \(6,\)"),
    (lambda m: {"encoder": m.Net((3,))}, r"\(3,\) .* normal .* shape \(3,\) needs \(6,\)"),
    (lambda m: {"encoder": m.encoder((9, 9, 1), 6)}, r"from \[batch, 8, 8, 1\] to \[batch, 6\]"),
    (lambda m: {"decoder": m.Net((7, 7, 1))}, r"\(7, 7, 1\) .* needs \(8, 8, 1\)"),
    (
        lambda m: {
            "decoder": m.Net(SHAPE),
            "likelihood": zoo.distributions.likelihoods.Normal("per_element"),
        },
        r"\(8, 8, 1\) .* needs \(8, 8, 2\)",
    ),
    (lambda m: {"critics": {"JS_xz": m.Net((2,))}}, r"shape \(2,\) .*\[batch\] or \[batch, 1\]"),
    (
        lambda m: {"critics": {"JS_xz": m.encoder(SHAPE, 1)}},
        r"from \[\[batch, 8, 8, 1\], \[batch, 3\]\], a list, to one logit per example",
    ),
    (lambda m: {"critics": {"JS_x": m.Net()}}, "Unknown critic of alice 'JS_x'.*JS_xz"),
    (lambda m: {"encoder": m.encoder}, "encoder given to build is of type function: .*keras.Model"),
    (lambda m: {"encoder": several()}, r"returns a dict where one tensor \[batch, 6\] is needed"),
    (lambda m: {"encoder": Broken()}, r"AttributeError: .*'missing'.*to \[batch, 6\]"),
    (lambda m: {"encoder": Total()}, r"returns shape \(\) for a batch of 2: return \[batch, 6\]"),
    (lambda m: {"decoder": (n := m.Net()), "encoder": n}, "One model was given for two of"),
    (lambda m: {"critics": {"JS_xz": m.Net()}, "spectral_norm": True}, "leave spectral_norm out"),
    (lambda m: {"network": "my_networks:nothing"}, "Unknown network of my_networks 'nothing'"),
    (lambda m: {"network": "my_networks:layers"}, "has none of the functions encoder"),
    (lambda m: {"network": "os:path"}, "has none of the functions encoder"),
    (lambda m: {"network": "elsewhere:name"}, "needs the module elsewhere: add --import=elsewhere"),
]


@pytest.mark.parametrize(("parts", "words"), CASES)
def test_what_does_not_fit_is_one_sentence(mine, parts, words):
    options = {**SMALL, **parts(mine)}
    if "network" in options:
        del options["network_options"]
    with pytest.raises(InputError, match=words) as caught:
        zoo.build("alice", **options)
    assert "\n" not in str(caught.value)


def test_a_model_without_critics_takes_none(mine):
    with pytest.raises(InputError, match="vae has no critics: leave out critics="):
        zoo.build("vae", critics={"JS_xz": mine.Net()}, **SMALL)


def test_a_network_is_functions_by_role(mine):
    """Plain functions suffice; weights depend on the seed although they take none."""
    namespace = types.SimpleNamespace(
        encoder=mine.encoder,
        decoder=lambda latent_dim, image_shape, params: mine.Net(image_shape),
        critic_xz=lambda image_shape, latent_dim, *, spectral_norm: mine.Net(),
    )
    mine.parts = namespace
    options = {**SMALL, "network": "my_networks:parts", "network_options": {"encoder.width": 5}}
    one, same = (zoo.build("alice", **options, seed=1) for _ in range(2))
    other = zoo.build("alice", **options, seed=2)
    first, second, third = (m.encoder.get_weights()[0] for m in (one, same, other))
    assert first.shape == (64, 5)
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, third)
    zoo.build("alice", **options, spectral_norm=True)
    with pytest.raises(InputError, match="Unknown option of 'my_networks:parts' 'widht'"):
        zoo.build("alice", **{**options, "network_options": {"widht": 5}})
    with pytest.raises(InputError, match="has no critic_x: it has encoder, decoder, critic_xz"):
        zoo.build("vae_gan", **options)
    mine.parts = types.SimpleNamespace(encoder=lambda *sizes: 1)
    with pytest.raises(InputError, match="function encoder returns is of type int"):
        zoo.build("vae", **{**options, "network_options": {}})


def test_a_checkpoint_of_another_network_is_refused(mine, tmp_path):
    mine.parts = types.SimpleNamespace(
        encoder=mine.encoder, decoder=lambda k, shape, params: mine.Net(shape)
    )
    objective = family.objective("vae").to_config()
    config = RunConfig(objective, network="my_networks:parts", latent_dim=3, steps=1)
    model = assembly.build_model(config, SHAPE, 1)
    workdir = Workdir(tmp_path / "run")
    workdir.create(config)
    saved = workdir.save(model)
    loaded = restoring.load(workdir, saved)
    for one, two in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    wider = dataclasses.replace(config, network_options={"width": 17})
    with pytest.raises(InputError, match=r"does not fit .*\(64, 16\) where \(64, 17\)"):
        restoring.from_file(saved, wider)
    mine.parts.encoder = lambda image_shape, outputs: 1 / 0
    with pytest.raises(InputError, match=r"cannot be rebuilt .*ZeroDivisionError"):
        restoring.load(workdir, saved)
