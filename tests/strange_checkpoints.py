"""A checkpoint as this program writes it, and checkpoints as an attacker would."""

import copy
import functools
import io
import json
import tempfile
import warnings
import zipfile
from pathlib import Path

import h5py
import mangling
import numpy as np

from train.loop import assembly
from train.workdirs.checkpoints import Checkpoints
from train.workdirs.config import RunConfig
from zoo.objectives import family

# A small model with critics, averages and a history.
CONFIG = RunConfig(
    family.objective("alice").to_config(),
    latent_dim=2,
    network_options={"hidden": [4]},
    ema=0.9,
    history=2,
    spectral_norm=True,
    precision="float32",
    steps=10,
)


@functools.cache
def model():
    return assembly.build_model(CONFIG, (4, 4, 1), 10)


@functools.cache
def checkpoint():
    """A checkpoint of that model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Checkpoints(Path(folder)).save(model(), keep=1, best=None, means=[0.5])
        return path.read_bytes()


@functools.cache
def keras_checkpoint():
    """A checkpoint of it as they were up to version 0.1.0: an archive of Keras."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model().save(path)
        return archived({**members(path.read_bytes()), "means.json": b"[0.5]"})


def members(content):
    """Returns name -> bytes of an archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archived(parts, compression=zipfile.ZIP_STORED, more=()):
    """Returns an archive of name -> bytes, and of further pairs (name or ZipInfo, bytes)."""
    file = io.BytesIO()
    quiet = warnings.catch_warnings(action="ignore")  # of two members of one name
    with quiet, zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in (*parts.items(), *more):
            archive.writestr(name, content)
    return file.getvalue()


def config_of(content):
    return json.loads(members(content)["config.json"])


def with_config(content, config):
    return archived({**members(content), "config.json": mangling.dumped(config)})


def with_build(content, build):
    return archived({**members(content), "build.json": mangling.dumped(build)})


def _classes():
    """What a config may ask Keras for, and must not get."""

    def keras(name, config, package="keras.layers"):
        return {"module": package, "class_name": name, "config": config, "registered_name": None}

    return [
        keras("system", {"command": "touch executed"}, "os"),
        keras("function", "eval", "builtins"),
        keras("Lambda", {"function": keras("__lambda__", {"value": "4wAAAA=="})}),
        {"class_name": "__lambda__", "config": {"value": "4wAAAA=="}},
        keras("TFSMLayer", {"filepath": "../../outside", "call_endpoint": "serve"}),
        keras("StringLookup", {"vocabulary": "/etc/passwd"}),
        keras("TorchModuleWrapper", {"module": "x"}),
        keras("get_file", {"origin": "http://localhost/x"}, "keras.utils"),
        keras("load_model", {"filepath": "../x.keras"}, "keras.saving"),
        {
            **keras("Conditional", {}, "zoo.distributions.conditionals"),
            "registered_name": "evil>Conditional",
        },
        keras("Dense", {"units": 1}, "antigravity"),
        {**keras("run", {}, "zoo.model.lagrangian_model"), "registered_name": "zoo>run"},
    ]


def hostile_classes():
    """Yields, in each place of a config, what must not be built: (place, checkpoint)."""
    content = keras_checkpoint()
    base = config_of(content)
    for part in _classes():
        for place in (
            ("config", "encoder"),
            ("config", "encoder", "config", "network"),
            ("config", "encoder", "config", "network", "config", "layers", 1),
            ("config", "critics", "JS_xz"),
            ("config", "multiplier_rule"),
            ("compile_config", "optimizer"),
            ("compile_config", "loss"),
        ):
            if place[-1] == "loss":
                config = copy.deepcopy(base)
                config["compile_config"]["loss"] = part
            else:
                config = mangling.replaced(base, place, part)
            yield ".".join(map(str, place)), with_config(content, config)


def _weights():
    """Weights that are elsewhere, or not there, by the words their refusal has."""
    found = {}

    def h5(words, write):
        file = io.BytesIO()
        with h5py.File(file, "w") as opened:
            write(opened)
        found[words] = file.getvalue()

    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(4,))

    def declares(opened):
        opened.create_dataset("a/huge", shape=(10**12,), dtype="f4", chunks=(1000,))

    def packs(opened):
        opened.create_dataset("a/packed", data=np.zeros(10**6, "f4"), compression="gzip")

    def outside(opened):
        opened.create_dataset("a/out", (4,), "u1", external=[("/etc/passwd", 0, 4)])

    h5("a link, 'vars'", lambda f: f.__setitem__("vars", h5py.ExternalLink("/etc/passwd", "/")))
    h5("a link, 'soft'", lambda f: f.__setitem__("soft", h5py.SoftLink("/vars")))
    h5("'a/out', whose numbers are not in it", outside)
    h5("'virtual', whose numbers", lambda f: f.create_virtual_dataset("virtual", layout))
    h5("'a/huge', whose numbers", declares)
    h5("'a/packed', whose numbers", packs)
    h5("'text', which is no array of numbers", lambda f: f.__setitem__("text", "x"))
    h5("'kind', which is no array", lambda f: f.__setitem__("kind", np.dtype("f4")))
    return {**found, "weights that cannot be read": b"\x89HDF\r\n\x1a\n" + bytes(50)}


def hostile_weights():
    """Yields (words, checkpoint)."""
    parts = members(checkpoint())
    for words, content in _weights().items():
        yield words, archived({**parts, "model.weights.h5": content})


def hostile_archives():
    """Yields (words, checkpoint) of archives that are none of ours."""
    parts = members(checkpoint())
    link = zipfile.ZipInfo("assets")
    link.external_attr = 0o120777 << 16
    extra = [
        ("../../outside/bait", "it holds '../../outside/bait'"),
        ("/tmp/x", "it holds '/tmp/x'"),
        ("assets/x", "it holds 'assets/x'"),
        (link, "it holds 'assets'"),
        ("model.weights.npz", "it holds 'model.weights.npz'"),
        ("build.json", "it holds build.json twice"),
    ]
    for member, words in extra:
        yield words, archived(parts, more=[(member, b"/etc/passwd")])
    bomb = {**parts, "model.weights.h5": bytes(10**7)}
    yield "is packed", archived(bomb, zipfile.ZIP_DEFLATED)
    yield "its build.json has", archived({**parts, "build.json": b" " * (2**24 + 1)})
    old = members(keras_checkpoint())
    yield "it holds 'build.json'", archived({**old, "build.json": parts["build.json"]})
    yield "its config.json has", archived({**old, "config.json": b" " * (2**24 + 1)})


def hostile_builds():
    """Yields (words, checkpoint) of what no model can be built from."""
    parts = members(checkpoint())
    build = json.loads(parts["build.json"])
    for key, value, words in (
        ("image_shape", [], "[] is no shape"),
        ("image_shape", [4, -4, 1], "[4, -4, 1] is no shape"),
        ("image_shape", [2**16, 2**16, 1], "too large"),
        ("image_shape", "x", "it['image_shape'] is 'x'"),
        ("latent_shape", [0], "[0] is no shape"),
        ("precision", "float16", "'float16' is no precision"),
        ("rate", None, "it['rate'] is None"),
    ):
        yield words, with_build(checkpoint(), {**build, key: value})
    for text in (b"{}", b"[", b"[" * 100_000):
        yield "cannot be read", archived({**parts, "build.json": text})


def checkpoints(content):
    """Returns pairs (words, checkpoint) of all of these, and the whole one."""
    return [
        ("", content),
        *(("", each) for _, each in hostile_classes()),
        *hostile_weights(),
        *hostile_archives(),
        *hostile_builds(),
        ("", with_config(keras_checkpoint(), json.loads("[" * 50 + "]" * 50))),
        ("", archived({**members(keras_checkpoint()), "config.json": b"[" * 100_000})),
    ]
