import json
import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import zoo
from export import saved_models
from zoo import likelihoods, priors
from zoo.errors import InputError

MODELS = ("vae", "beta_vae", "vmi", "infovae_mmd", "aae", "ali", "bigan", "alice")
CASES = [(name, "mlp") for name in MODELS] + [("alice", "dcgan")]
OPTIONS = {"mlp": {"hidden": (64, 64)}, "dcgan": {"width": 4}}
LATENT_DIM = 3
# Both sides run the same float32 kernels; the graph's rewrites (constant folding, fused
# products) may change the last bits of numbers of order 1.
TOLERANCE = 1e-5


def build(name="vae", network="mlp", **options):
    return zoo.build(
        name,
        latent_dim=LATENT_DIM,
        network=network,
        network_options=OPTIONS[network],
        **options,
    )


def inputs(batch, image_shape=(28, 28, 1)):
    random = np.random.default_rng(batch)
    return {
        "image": random.random((batch, *image_shape), np.float32),
        "noise": random.standard_normal((batch, LATENT_DIM), np.float32),
        "z": random.standard_normal((batch, LATENT_DIM), np.float32),
    }


def expected(model, image, noise, z):
    """Every signature's outputs, by the Keras model."""
    posterior = model.encode(image)
    mean, stddev = posterior.mean(), posterior.stddev()
    return {
        "encode": {"mean": mean, "stddev": stddev},
        "encode_sample": {"z": mean + stddev * noise},
        "decode": {"image": model.decode(z).mean()},
    }


def signatures(folders):
    """signature -> function, of both reloaded parts."""
    found = {}
    for folder in folders.values():
        found |= tf.saved_model.load(str(folder)).signatures
    return found


def call(function, values):
    """Calls a reloaded signature with those of the values that it takes."""
    names = function.structured_input_signature[1]
    return function(**{name: tf.constant(values[name]) for name in names})


def contents(folder):
    """Every path below `folder` with its content."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def card(folder):
    return json.loads((folder / "assets.extra" / "model.json").read_text())


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def exported(request, tmp_path_factory):
    model = build(*request.param)
    return model, saved_models.export_model(model, tmp_path_factory.mktemp("out"))


@pytest.mark.parametrize("batch", [1, 7])
def test_reloaded_signatures_equal_the_model(exported, batch):
    model, folders = exported
    values = inputs(batch)
    wanted = expected(model, **values)
    for folder in folders.values():
        loaded = tf.saved_model.load(str(folder))
        for name in set(loaded.signatures) - {"serving_default"}:
            result = call(loaded.signatures[name], values)
            assert set(result) == set(wanted[name])
            for key, value in result.items():
                assert value.dtype == tf.float32
                np.testing.assert_allclose(value, wanted[name][key], rtol=0, atol=TOLERANCE)


def test_the_default_signature(exported):
    _, folders = exported
    values = inputs(2)
    for part, name in (("encoder", "encode"), ("decoder", "decode")):
        loaded = tf.saved_model.load(str(folders[part])).signatures
        default, named = call(loaded["serving_default"], values), call(loaded[name], values)
        assert set(default) == set(named)
        for key in named:
            np.testing.assert_array_equal(default[key], named[key])


def test_the_graph_draws_nothing(exported):
    _, folders = exported
    for folder in folders.values():
        content = saved_model_pb2.SavedModel()
        content.ParseFromString((folder / "saved_model.pb").read_bytes())
        graph = content.meta_graphs[0].graph_def
        nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
        operations = {node.op for node in nodes}
        assert "MatMul" in operations
        assert not [op for op in operations if "Random" in op or "Multinomial" in op]


def test_the_card(exported):
    model, folders = exported
    for part, folder in folders.items():
        facts = card(folder)
        assert zoo.Objective.from_config(facts["objective"]) == model.objective
        assert facts["derivation"] == model.objective.explain()
        assert facts["name"] == model.objective.name
        assert facts["latent_shape"] == [LATENT_DIM]
        assert facts["image_shape"] == [28, 28, 1]
        assert facts["step"] == 0
        assert facts["distribution"] == {"encoder": "q(z|x)", "decoder": "p(x|z)"}[part]
        assert facts["versions"]["tensorflow"] == tf.__version__
        assert facts["versions"]["lagrangian-zoo"] == zoo.__version__
        prior = priors.deserialise(facts["prior"])
        assert prior.log_prob(np.ones(LATENT_DIM)) == model.prior.log_prob(np.ones(LATENT_DIM))


def test_the_cards_table_is_the_saved_models(exported):
    _, folders = exported

    def described(specs):
        return {n: {"dtype": s.dtype.name, "shape": s.shape.as_list()} for n, s in specs.items()}

    for folder in folders.values():
        loaded = tf.saved_model.load(str(folder)).signatures
        assert card(folder)["signatures"] == {
            name: {
                "inputs": described(function.structured_input_signature[1]),
                "outputs": described(function.structured_outputs),
            }
            for name, function in loaded.items()
        }


def test_each_part_holds_its_own_variables_only(exported):
    model, folders = exported
    for part, folder in folders.items():
        listed = tf.train.list_variables(str(folder / "variables" / "variables"))
        saved = sorted(tuple(s) for n, s in listed if n.endswith("VARIABLE_VALUE"))
        assert saved == sorted(tuple(v.shape) for v in getattr(model, part).variables)


def test_a_new_process_needs_none_of_the_project(tmp_path):
    model = build("alice")
    folders = saved_models.export_model(model, tmp_path / "out")
    values = inputs(7)
    np.savez(tmp_path / "inputs.npz", **values)
    script = """
        import json, sys
        for name in ("zoo", "train", "export", "tensorflow_probability"):
            sys.modules[name] = None  # importing it fails
        import numpy as np
        import tensorflow as tf
        values = np.load("inputs.npz")
        found = {}
        for folder in json.loads(sys.argv[1]):
            for name, function in tf.saved_model.load(folder).signatures.items():
                names = function.structured_input_signature[1]
                outputs = function(**{n: tf.constant(values[n]) for n in names})
                found |= {f"{name}/{key}": value.numpy() for key, value in outputs.items()}
        np.savez("outputs.npz", **found)
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    paths = json.dumps([str(folder) for folder in folders.values()])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), paths],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outputs = np.load(tmp_path / "outputs.npz")
    for name, wanted in expected(model, **values).items():
        for key, value in wanted.items():
            np.testing.assert_allclose(outputs[f"{name}/{key}"], value, rtol=0, atol=TOLERANCE)


def test_versions_increase_and_nothing_is_overwritten(tmp_path):
    model = build()
    first = saved_models.export_model(model, tmp_path)
    before = contents(tmp_path)
    model.step.assign(5)
    model.decoder.variables[0].assign_add(tf.ones_like(model.decoder.variables[0]))
    second = saved_models.export_model(model, tmp_path, name="vae again")
    assert [f.name for f in (*first.values(), *second.values())] == ["1", "1", "2", "2"]
    after = contents(tmp_path)
    assert {path: after[path] for path in before} == before
    assert (card(first["encoder"])["step"], card(second["encoder"])["step"]) == (0, 5)
    assert card(second["decoder"])["name"] == "vae again"


@pytest.mark.parametrize("there", [True, False])
def test_a_failing_save_changes_nothing(tmp_path, monkeypatch, there):
    model = build()
    if there:
        saved_models.export_model(model, tmp_path / "exports" / "vae")
    before = contents(tmp_path)
    save = saved_models._save

    def fails_at_the_decoder(signatures, folder):
        save(signatures, folder)
        if "decode" in signatures:
            raise RuntimeError("interrupted")
        return {}

    monkeypatch.setattr(saved_models, "_save", fails_at_the_decoder)
    with pytest.raises(RuntimeError, match="interrupted"):
        saved_models.export_model(model, tmp_path / "exports" / "vae")
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("likelihood", "posterior"),
    [
        (likelihoods.family("normal", scale="learned"), "normal"),
        ("normal", likelihoods.family("normal", scale="learned")),
        (likelihoods.family("laplace", scale="per_element"), likelihoods.family("normal", scale=2)),
    ],
)
def test_other_families_and_colour(tmp_path, likelihood, posterior):
    shape = (8, 6, 3)
    model = build(image_shape=shape, likelihood=likelihood, posterior=posterior)
    values = inputs(4, shape)
    wanted = expected(model, **values)
    loaded = signatures(saved_models.export_model(model, tmp_path))
    for name in wanted:
        for key, value in call(loaded[name], values).items():
            np.testing.assert_allclose(value, wanted[name][key], rtol=0, atol=TOLERANCE)


def test_only_a_normal_posterior_has_encode_sample(tmp_path):
    model = build("infovae_mmd", posterior="laplace")
    loaded = signatures(saved_models.export_model(model, tmp_path))
    assert set(loaded) == {"encode", "decode", "serving_default"}


def test_bfloat16_products_keep_float32_signatures(tmp_path):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build()
    finally:
        keras.config.set_dtype_policy(policy)
    values = inputs(7)
    wanted = expected(model, **values)
    loaded = signatures(saved_models.export_model(model, tmp_path))
    for name in wanted:
        for key, value in call(loaded[name], values).items():
            assert value.dtype == tf.float32
            # bfloat16 has 8 bits: a product rounded the other way moves a mean by 2^-8.
            np.testing.assert_allclose(value, wanted[name][key], rtol=0, atol=2e-2)


def test_further_facts_go_on_the_card(tmp_path):
    folders = saved_models.export_model(build(), tmp_path, card={"trained_on": {"set": "mnist"}})
    assert card(folders["encoder"])["trained_on"] == {"set": "mnist"}


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"step": 3}, "The card has \\['step'\\] itself"),
        ({"signatures": {}}, "The card has \\['signatures'\\] itself"),
        ({"value": float("nan")}, "cannot be written as JSON"),
        ({"value": np.ones(2)}, "cannot be written as JSON"),
    ],
)
def test_facts_a_card_cannot_hold(tmp_path, facts, message):
    with pytest.raises(InputError, match=message):
        saved_models.export_model(build(), tmp_path / "out", card=facts)
    assert contents(tmp_path) == {}
