import dataclasses
import json
import sys

import pytest

from train.workdirs.config import (
    RunConfig,
    declared_objective,
    parse_network_options,
    parse_term_options,
)
from zoo.errors import InputError
from zoo.objectives import family

VAE = family.objective("vae").to_config()


def test_json_round_trip():
    config = RunConfig(family.objective("beta_vae", beta="1/3").to_config(), steps=7, seed=3)
    again = RunConfig.from_json(config.to_json(), "here")
    assert again == config
    assert again.declared == config.declared


def test_differences_name_the_flag_and_ignore_the_length():
    config = RunConfig(VAE, steps=10)
    longer = dataclasses.replace(config, steps=20, log_every=5, checkpoint_every=5)
    assert config.differences(longer) == []
    other = dataclasses.replace(config, latent_dim=4)
    assert config.differences(other) == ["latent_dim: 16 here, 4 there"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"latent_dim": 0}, "--latent_dim=0"),
        ({"batch_size": -1}, "--batch_size=-1"),
        ({"steps": 0}, "--steps=0"),
        ({"steps": 1, "epochs": 1}, "not both"),
        ({"learning_rate": float("nan")}, "--learning_rate=nan"),
        ({"seed": -1}, "--seed=-1"),
        ({"precision": "flaot32"}, "float32"),
        ({"strategy": "two"}, "two"),
        ({"log_every": 30, "checkpoint_every": 100}, "multiple"),
    ],
)
def test_bad_values_name_the_flag(values, words):
    with pytest.raises(InputError, match=words.replace("[", r"\[")):
        RunConfig(VAE, **values)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"objective": 3}', '{"objective": {}, "x": 1}'])
def test_strange_configurations_are_one_sentence(text):
    with pytest.raises(InputError, match=r"config\.json is not a run's configuration"):
        RunConfig.from_json(text, "config.json")


def test_modules_are_named_and_not_imported(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_strange.py").write_text("raise AssertionError('imported')")
    text = RunConfig(VAE, imports=["my_strange"]).to_json()
    with pytest.raises(
        InputError, match=r"^config\.json needs the module my_strange: add --import"
    ):
        RunConfig.from_json(text, "config.json")
    monkeypatch.setitem(sys.modules, "my_strange", sys)
    config = RunConfig.from_json(text, "config.json")
    assert config.differences(RunConfig(VAE)) == ["imports: ['my_strange'] here, [] there"]
    # A configuration of before there were any
    assert RunConfig.from_json(json.dumps({"objective": VAE}), "config.json").imports == []


@pytest.mark.parametrize("named", ["my_parts", [1], [["my_parts"]], ["a b"], [""], {"a": 1}, None])
def test_strange_names_of_modules_are_no_configuration(named):
    text = json.dumps({"objective": VAE, "imports": named})
    with pytest.raises(InputError, match=r"config\.json is not a run's configuration"):
        RunConfig.from_json(text, "config.json")


def test_declared_objective():
    assert declared_objective("beta_vae", {"beta": "2"}, None, None, []).alpha_q == 1
    free = declared_objective(None, {}, "-1", None, ["KL(q(x|z)||p(x|z))", "JS(q(z)||p(z))"])
    assert free.tractable().coefficients == {"REC_x": 1, "JS_z": 1}
    joint = ["KL(q(x,z)||p(x,z))"]
    avb = declared_objective(None, {}, None, None, joint, implicit_encoder=True)
    assert avb.tractable().coefficients == {"REC_x": 1, "RATE_ratio": 1}
    both = ["KL(p(x,z)||q(x,z))", "KL(p(x)||q(x))"]
    reverse = declared_objective(None, {}, None, "1", both, reverse_rate=True)
    assert reverse.tractable().coefficients == {"J_pq": 1, "RATE_p": 1}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((None, {}, None, None, []), ["Nothing to train", "alice"]),
        (("vae", {}, "1", None, []), ["not both"]),
        (("vea", {}, None, None, []), ["vea", "vae"]),
        ((None, {"beta": "2"}, "1", None, []), ["--set beta"]),
        ((None, {}, "-1", None, []), ["RATE", "Repair"]),
        ((None, {}, None, None, ["KL(q(z)|p(z))"]), ["position 8"]),
        (("vae", {}, None, None, [], None, True), ["leave out --model=vae or --implicit_encoder"]),
        ((None, {}, None, None, [], None, False, True), ["--reverse_rate", "give them too"]),
        (
            (None, {}, None, "-1", ["KL(p(z|x)||q(z|x))"], None, True),
            ["REC_z needs log q(z|x), which an implicit encoder does not have"],
        ),
    ],
)
def test_undeclarable_objectives(arguments, words):
    with pytest.raises(InputError) as caught:
        declared_objective(*arguments)
    for word in words:
        assert word in str(caught.value)


def test_options_of_estimators():
    texts = ["MMD_z.kernel=imq", "MMD_z.bandwidth=2.5", "RATE_ratio.adaptive_contrast=true"]
    assert parse_term_options(texts) == {
        "MMD_z": {"kernel": "imq", "bandwidth": 2.5},
        "RATE_ratio": {"adaptive_contrast": True},
    }
    for text in ("MMD_z", "kernel=imq", "MMD_z.=1", ".kernel=imq"):
        with pytest.raises(InputError, match="is not TERM"):
            parse_term_options([text])
    with pytest.raises(InputError, match="MMD_x"):
        RunConfig(family.objective("wae_mmd").to_config(), term_options={"MMD_x": {}})


def test_options_of_networks():
    texts = ["hidden=[64, 32]", "critic_x.hidden=[]", "activation=relu"]
    options = {"hidden": [64, 32], "critic_x.hidden": [], "activation": "relu"}
    assert parse_network_options(texts) == options
    config = RunConfig(VAE, network_options=options)
    assert RunConfig.from_json(config.to_json(), "here") == config
    (difference,) = config.differences(RunConfig(VAE))
    assert difference.startswith("network_options: ")
    for text in ("hidden", "hidden=", "=3"):
        with pytest.raises(InputError, match="is not OPTION=VALUE"):
            parse_network_options([text])


def test_the_objective_is_read_once_and_no_part_of_the_values():
    first, second = RunConfig(VAE), RunConfig(VAE)
    assert first.declared is first.declared
    assert first.resolved is first.resolved
    assert first == second
    other = dataclasses.replace(first, objective=family.objective("ali").to_config())
    assert other.declared.name == "ali"
    assert first.differences(other)
