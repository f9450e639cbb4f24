"""python -m zoo: the table, a derivation, a verdict; exit code 2 and one sentence on mistakes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import zoo
from zoo import Objective
from zoo.__main__ import main

ROOT = Path(zoo.__file__).parents[1]


def run(capsys, *arguments):
    code = main(list(arguments))
    output = capsys.readouterr()
    return code, output.out, output.err


def test_the_table_has_a_row_for_every_model(capsys):
    code, out, err = run(capsys)
    assert code == 0
    assert err == ""
    header, *rows = out.splitlines()
    assert header.split() == ["model", "alpha_q", "alpha_p", "constraints", "class", "trained"]
    assert len(rows) == 23
    assert [row.split()[0] for row in rows] == zoo.names()
    starts = [header.index(c) for c in ("alpha_q", "constraints", "class", "trained")]
    beta_vae = rows[1]
    assert [beta_vae[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)] == [
        "beta - 1  0",
        "KL(q(x|z)||p(x|z)), beta*KL(q(z)||p(z))",
        "likelihood-based",
        "REC_x + beta RATE",
    ]


def test_the_table_as_json(capsys):
    code, out, err = run(capsys, "--json")
    assert code == 0
    assert err == ""
    rows = {row["model"]: row for row in json.loads(out)}
    assert list(rows) == zoo.names()
    assert rows["geco"]["trained"] == "l REC_x + RATE"
    assert rows["lagvae_max"]["parameters"] == "a1=1, e1=best + 4, e2=best + 0.0005"
    assert rows["vae_gan"]["source"].startswith("Larsen")
    assert rows["cyclegan"]["class"] == "unary"


def test_one_models_derivation(capsys):
    code, out, err = run(capsys, "alice")
    assert code == 0
    assert err == ""
    assert "REC_x + JS_xz" in out
    assert out == zoo.objective("alice").explain() + "\n"


def test_one_model_at_its_own_parameters(capsys):
    code, out, _ = run(capsys, "beta_vae", "--set", "beta=1/2")
    assert code == 0
    assert "REC_x + 0.5 RATE" in out
    code, out, _ = run(capsys, "infovae_kl", "--set=lambda=3", "--set", "a = 1", "--json")
    data = json.loads(out)
    assert code == 0
    assert data["coefficients"] == {"REC_x": "1", "Dz_qp": "3"}
    assert data["parameters"] == {"a": "1", "l": "3"}


@pytest.mark.parametrize("name", [*zoo.names(), "lagvae"])
def test_every_model_as_json_is_an_objective_again(capsys, name):
    code, out, err = run(capsys, name, "--json")
    assert code == 0
    assert err == ""
    data = json.loads(out)
    objective = zoo.objective(name)
    assert Objective.from_config({key: data[key] for key in objective.to_config()}) == objective


def test_any_objective(capsys):
    code, out, err = run(
        capsys,
        "--alpha_q=-1",
        "--constraint=KL(q(x|z)||p(x|z))",
        "--constraint=0.5*JS(q(x,z)||p(x,z))",
    )
    assert code == 0
    assert err == ""
    assert "REC_x + 0.5 JS_xz" in out
    assert "class        binary" in out
    assert "admissible   yes" in out


def test_an_inadmissible_objective_prints_why_and_what_would_repair_it(capsys):
    code, out, err = run(capsys, "--alpha_q", "2", "--constraint", "KL(q(x,z)||p(x,z))")
    assert code == 0
    assert err == ""
    assert "admissible   no" in out
    assert "refused      Dz_qp has coefficient -2: training would maximise Dz_qp." in out
    assert "repair       raise the multiplier on KL(q(z)||p(z)) by 2" in out
    assert "giving REC_x + 3 RATE" in out


def test_capabilities(capsys):
    code, out, _ = run(capsys, "--constraint=KL(q(x,z)||p(x,z))", "--implicit_encoder")
    assert code == 0
    assert "REC_x + RATE_ratio" in out
    code, out, _ = run(
        capsys, "--alpha_p=1", "--constraint=KL(p(x)||q(x))", "--reverse_rate", "--json"
    )
    assert code == 0
    assert json.loads(out)["coefficients"] == {"RATE_p": "1"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["alise"], "Unknown model 'alise': did you mean 'alice'"),
        (["beta_vae", "--set", "bta=2"], "did you mean 'beta'?"),
        (["vae", "--set", "beta=2"], "Model 'vae' has no parameters; remove 'beta'."),
        (["beta_vae", "--set", "beta"], "--set 'beta' is not NAME=VALUE: write it like"),
        (["beta_vae", "--set", "beta="], "is not NAME=VALUE"),
        (["beta_vae", "--set", "beta=four"], "'four' is not a finite number"),
        (["--set", "beta=2"], "needs a model"),
        (["vae", "--alpha_q=1"], "Give either the model 'vae' or --alpha_q"),
        (["vae", "--implicit_encoder"], "Give either the model 'vae' or --alpha_q"),
        (["--implicit_encoder"], "give --constraint too"),
        (["--alpha_q=much"], "'much' is not a finite number"),
        (["--alpha_p=1e99999999"], "'1e99999999' is not a finite number"),
        (["--constraint=KL(q(z)|p(z))"], "position 8: expected '||' but found '|'"),
        (["--constraint=MDM(q(z)||p(z))"], "Unknown divergence 'MDM': did you mean 'MMD'?"),
        (["--constraint="], "position 1: expected the name of a divergence"),
        (["lagvae", "--set", "e1=soon"], "expected 'best' but found 'soon'"),
    ],
)
@pytest.mark.parametrize("json_too", [False, True])
def test_mistakes_are_one_sentence_and_exit_code_2(capsys, arguments, message, json_too):
    code, out, err = run(capsys, *arguments, *(["--json"] if json_too else []))
    assert code == 2
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err


def test_unknown_options_exit_with_code_2(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--alpha", "1"])
    assert stopped.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "--alpha" in output.err


def test_the_command_as_a_process():
    done = subprocess.run(
        [sys.executable, "-m", "zoo", "alyce"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Unknown model 'alyce': did you mean 'alice'")
    assert "Traceback" not in done.stderr


def test_declaring_needs_no_tensorflow():
    """The table, a derivation and a repair in a fresh process leave the heavy packages alone."""
    program = (
        "import sys, runpy\n"
        "for arguments in ([], ['alice', '--json'], ['--alpha_q=2', '--constraint=RATE']):\n"
        "    sys.argv = ['zoo', *arguments]\n"
        "    try:\n"
        "        runpy.run_module('zoo', run_name='__main__')\n"
        "    except SystemExit as stopped:\n"
        "        assert stopped.code == 0\n"
        "heavy = {'tensorflow', 'keras', 'tf_keras', 'tensorflow_probability', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
    assert done.stdout.count("Judged") == 1
