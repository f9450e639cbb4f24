import json
import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import questions
import tensorflow as tf

import zoo
from export import saved_models, table
from zoo import priors
from zoo.errors import InputError

# Both sides run the same float32 kernels; the graph's rewrites (constant folding, fused
# products) may change the last bits of numbers of order 1.
TOLERANCE = 1e-5
PARTS = ("both", "encoder", "decoder")


def build(name="vae", **options):
    return questions.build(name, **options)


def call(function, values):
    """Calls a reloaded signature."""
    return function(**{name: tf.constant(value) for name, value in values.items()})


def contents(folder):
    """Every path below `folder` with its content."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def card(folder):
    return json.loads((folder / "assets.extra" / "model.json").read_text())


@pytest.fixture(scope="module", params=PARTS)
def exported(request, tmp_path_factory):
    model = build("aae")
    out = tmp_path_factory.mktemp("out")
    (folder,) = saved_models.export_model(model, out, request.param).values()
    assert folder == out / table.NAMES[request.param] / "1"
    return model, folder


def test_reloaded_signatures_equal_the_model(exported):
    model, folder = exported
    values = questions.inputs(model, 5)
    loaded = tf.saved_model.load(str(folder)).signatures
    for name in set(loaded) - {"serving_default"}:
        result = call(loaded[name], questions.request(name, values))
        wanted = questions.answer(model, name, values)
        assert set(result) == set(wanted)
        for key, value in result.items():
            assert value.dtype == tf.float32
            np.testing.assert_allclose(value, wanted[key], rtol=TOLERANCE, atol=TOLERANCE)


def test_the_halves_have_what_is_theirs(exported):
    _, folder = exported
    part = folder.parent.name
    loaded = set(tf.saved_model.load(str(folder)).signatures) - {"serving_default"}
    mine = [row.name for row in table.SIGNATURES.values() if part in row.parts and not row.rows]
    assert {name for name in loaded if name in table.SIGNATURES} == set(mine)
    if part != "model":
        assert {name.removesuffix("_uint8").removesuffix("_bytes") for name in loaded} == set(mine)


def test_the_default_signature(exported):
    model, folder = exported
    loaded = tf.saved_model.load(str(folder)).signatures
    name = {"model": "encode", "encoder": "encode", "decoder": "decode"}[folder.parent.name]
    values = questions.request(name, questions.inputs(model, 2))
    default, named = call(loaded["serving_default"], values), call(loaded[name], values)
    assert set(default) == set(named)
    for key in named:
        np.testing.assert_array_equal(default[key], named[key])


def test_the_card(exported):
    model, folder = exported
    facts = card(folder)
    assert zoo.Objective.from_config(facts["objective"]) == model.objective
    assert facts["derivation"] == model.objective.explain()
    assert facts["name"] == model.objective.name
    assert facts["latent_shape"] == [3]
    assert facts["image_shape"] == [6, 6, 1]
    assert facts["step"] == 0
    assert facts["absent"] == {}
    assert facts["distribution"] in ("q(z|x)", "p(x|z)", "p(x|z) and q(z|x)")
    assert facts["versions"]["tensorflow"] == tf.__version__
    assert facts["versions"]["lagrangian-zoo"] == zoo.__version__
    prior = priors.deserialise(facts["prior"])
    assert prior.log_prob(np.ones(3)) == model.prior.log_prob(np.ones(3))


def test_the_cards_table_is_the_saved_models(exported):
    _, folder = exported

    def described(specs):
        return {n: {"dtype": s.dtype.name, "shape": s.shape.as_list()} for n, s in specs.items()}

    loaded = tf.saved_model.load(str(folder)).signatures
    rows = card(folder)["signatures"]
    page = (folder / "assets.extra" / "README.md").read_text()
    assert set(rows) == set(loaded)
    for name, function in loaded.items():
        assert rows[name]["inputs"] == described(function.structured_input_signature[1])
        assert rows[name]["outputs"] == described(function.structured_outputs)
        if name != "serving_default":
            assert f"| `{name}` |" in page


def test_each_part_holds_its_own_variables_only(exported):
    model, folder = exported
    listed = tf.train.list_variables(str(folder / "variables" / "variables"))
    saved = sorted(tuple(shape) for name, shape in listed if name.endswith("VARIABLE_VALUE"))
    mine = {
        "model": [*model.encoder.variables, *model.decoder.variables],
        "encoder": model.encoder.variables,
        "decoder": model.decoder.variables,
    }[folder.parent.name]
    assert saved == sorted(tuple(variable.shape) for variable in mine)


def test_a_new_process_needs_none_of_the_project(tmp_path):
    model = build("alice")
    (folder,) = saved_models.export_model(model, tmp_path / "out").values()
    values = questions.inputs(model, 7)
    np.savez(tmp_path / "inputs.npz", images=values["images"])
    script = """
        import sys
        for name in ("zoo", "train", "export", "tensorflow_probability"):
            sys.modules[name] = None  # importing it fails
        import numpy as np
        import tensorflow as tf
        values = np.load("inputs.npz")
        function = tf.saved_model.load(sys.argv[1]).signatures["reconstruct"]
        np.save("outputs.npy", function(images=tf.constant(values["images"]))["images"])
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(folder)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    wanted = model.reconstruct(values["images"])
    np.testing.assert_allclose(np.load(tmp_path / "outputs.npy"), wanted, rtol=0, atol=TOLERANCE)


def test_versions_increase_and_nothing_is_overwritten(tmp_path):
    model = build()
    first = saved_models.export_model(model, tmp_path)["model"]
    before = contents(tmp_path)
    model.step.assign(5)
    model.decoder.variables[0].assign_add(tf.ones_like(model.decoder.variables[0]))
    second = saved_models.export_model(model, tmp_path, name="vae again")["model"]
    assert (first.name, second.name) == ("1", "2")
    after = contents(tmp_path)
    assert {path: after[path] for path in before} == before
    assert (card(first)["step"], card(second)["step"]) == (0, 5)
    assert card(second)["name"] == "vae again"


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("step", ["save", "page", "warm-up", "format"])
def test_a_failure_changes_nothing(tmp_path, monkeypatch, there, step):
    model = build()
    if there:
        saved_models.export_model(model, tmp_path / "exports" / "vae")
    before = contents(tmp_path)

    def fails(*arguments, **options):
        raise RuntimeError("interrupted")

    if step == "save":
        monkeypatch.setattr(saved_models.tf.saved_model, "save", fails)
    elif step == "page":
        monkeypatch.setattr(saved_models.cards, "page", fails)
    elif step == "warm-up":
        monkeypatch.setattr(saved_models.warmup, "write", fails)
    formats = {"tflite/model.tflite": fails} if step == "format" else {}
    with pytest.raises(RuntimeError, match="interrupted"):
        saved_models.export_model(model, tmp_path / "exports" / "vae", formats=formats)
    assert contents(tmp_path) == before


def test_bfloat16_products_keep_float32_signatures(tmp_path):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build()
    finally:
        keras.config.set_dtype_policy(policy)
    values = questions.inputs(model, 7)
    (folder,) = saved_models.export_model(model, tmp_path).values()
    loaded = tf.saved_model.load(str(folder)).signatures
    for name in ("encode", "encode_sample", "decode"):
        for key, value in call(loaded[name], questions.request(name, values)).items():
            assert value.dtype == tf.float32
            # bfloat16 has 8 bits: a product rounded the other way moves a mean by 2^-8.
            wanted = questions.answer(model, name, values)[key]
            np.testing.assert_allclose(value, wanted, rtol=0, atol=2e-2)


def test_an_unknown_part(tmp_path):
    with pytest.raises(InputError, match="Unknown part 'encodr': did you mean 'encoder'"):
        saved_models.export_model(build(), tmp_path / "out", "encodr")
    assert contents(tmp_path) == {}


def test_further_facts_and_files_go_along(tmp_path):
    training = {"dataset": "mnist_5k", "pair": None}
    (folder,) = saved_models.export_model(
        build(), tmp_path, card={"training": training}, files={"notes.txt": b"mine"}
    ).values()
    assert card(folder)["training"] == training
    page = (folder / "assets.extra" / "README.md").read_text()
    assert "- dataset: mnist_5k\n" in page
    assert "pair" not in page
    assert (folder / "assets.extra" / "notes.txt").read_bytes() == b"mine"


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
