"""The command in processes of its own, on checkpoints written here; and what it writes."""

import json

import bars
import commands
import numpy as np
import pytest

from train import evaluate
from train.evaluations import evaluation, measures
from train.evaluations.measures import Measure
from train.evaluations.measures.densities import negative
from train.evaluations.subject import Options, Subject
from train.workdirs.workdir import Workdir
from zoo.errors import InputError
from zoo.metrics.measured import Measured


@pytest.fixture
def run(tmp_path):
    dataset = bars.write(tmp_path / "bars.npz")
    config = bars.config(dataset)
    workdir, model, data = bars.untrained(tmp_path / "run", config)
    return workdir, Subject(model, data, config, Options(points=60, classifier_steps=200))


def _constant(name, value, interval=(0.0, 1.0)):
    return Measure(name, "", "", True, lambda s: Measured(value, interval, 7, "none", ("so",)))


def _refused(name):
    def refuse(s):
        raise InputError("It has\nnone.")

    return Measure(name, "", "", True, refuse)


def test_what_was_measured_before_stays(run):
    workdir, subject = run
    evaluation.evaluate(subject, [_constant("a", 1.0), _refused("b")], workdir)
    evaluation.evaluate(subject, [_constant("b", 2.0), _constant("c", np.inf, None)], workdir)
    found = evaluation.read(workdir.path)
    assert found["model"] == "vae"
    assert found["step"] == 0
    assert {name: row["value"] for name, row in found["metrics"].items()} == {
        "a": 1.0,
        "b": 2.0,
        "c": None,
    }
    assert found["skipped"] == {}
    assert found["metrics"]["c"]["notes"] == ["so", "the value is inf"]
    row = found["metrics"]["a"]
    assert row.pop("seconds") >= 0.0
    assert row == {
        "value": 1.0,
        "interval": [0.0, 1.0],
        "size": 7,
        "estimator": "none",
        "units": "nats per example",
        "ceiling": None,
        "notes": ["so"],
        "split": "test",
        "seed": 0,
    }
    evaluation.evaluate(subject, [_refused("a")], workdir)
    found = evaluation.read(workdir.path)
    assert "a" not in found["metrics"]
    assert found["skipped"] == {"a": "It has none."}


@pytest.mark.parametrize(
    ("interval", "kept", "shown", "negated"),
    [
        ((1.0, 3.0), [1.0, 3.0], "1 to 3", "-3 to -1"),
        ((1.0, np.inf), [1.0, None], "at least 1", "at most -1"),
        ((-np.inf, 3.0), [None, 3.0], "at most 3", "at least -3"),
        ((-np.inf, np.inf), [None, None], "-", "-"),
        (None, None, "-", "-"),
    ],
)
def test_a_bound_has_an_interval_with_one_end(interval, kept, shown, negated):
    measured = Measured(2.0, interval, 7, "none")
    row = evaluation.row(measured)
    assert row["interval"] == kept
    assert json.loads(json.dumps(row, allow_nan=False))["notes"] == []
    assert evaluation.cells("a", {**row, "seconds": 0.0})[:3] == ("a", "2", shown)
    row = evaluation.row(negative(measured))
    assert evaluation.cells("a", {**row, "seconds": 0.0})[:3] == ("a", "-2", negated)


def test_a_poor_encoder_has_bounds_in_the_table(run):
    # Of 10 draws nothing can be told: -log p(x) is at most, KL(q(z|x)||p(z|x)) at least so much.
    workdir, subject = run
    subject = Subject(subject.model, subject.dataset, subject.config, Options(points=40, draws=10))
    found = evaluation.evaluate(subject, measures.chosen("nll,posterior_accuracy"), workdir)
    rows = found["metrics"]
    assert rows["nll"]["interval"][0] is None
    assert rows["posterior_accuracy"]["interval"][1] is None
    assert evaluation.cells("nll", rows["nll"])[2].startswith("at most ")
    assert evaluation.cells("", rows["posterior_accuracy"])[2].startswith("at least ")
    for row in rows.values():
        assert row["notes"] == [
            "log p(x) is underestimated, by an unknown amount: 10 draws are too few to estimate "
            "it, take 64 or more"
        ]


def test_what_was_measured_of_another_step_goes(run):
    workdir, subject = run
    evaluation.evaluate(subject, [_constant("a", 1.0)], workdir)
    subject.model.step.assign(5)
    found = evaluation.evaluate(subject, [_constant("b", 1.0)], workdir)
    assert list(found["metrics"]) == ["b"]


def test_each_measure_is_written_at_once(run):
    workdir, subject = run

    def fail(s):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        evaluation.evaluate(
            subject, [_constant("a", 1.0), Measure("b", "", "", True, fail)], workdir
        )
    assert list(evaluation.read(workdir.path)["metrics"]) == ["a"]


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "evaluation.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        evaluation.read(tmp_path)
    assert evaluation.read(tmp_path / "elsewhere") is None


def test_choosing():
    assert {"rate", "mi", "fid", "class_mismatch"} <= {m.name for m in measures.chosen(None)}
    assert "nll" not in {m.name for m in measures.chosen(None)}
    assert [m.name for m in measures.chosen("nll, mi,nll")] == ["nll", "mi"]
    assert len(measures.chosen("all")) == len(measures.MEASURES)
    with pytest.raises(InputError, match=r"'nlll'.*'nll'"):
        measures.chosen("nlll")
    with pytest.raises(InputError, match="no metric"):
        measures.chosen(" ,")


def test_measures_with_labels(run):
    workdir, subject = run
    names = "classifier_accuracy,class_mismatch,class_entropy,diversity,kid"
    found = evaluation.evaluate(subject, measures.chosen(names), workdir)
    assert found["skipped"] == {}
    rows = found["metrics"]
    assert rows["classifier_accuracy"]["value"] > 0.9
    # An untrained decoder makes nearly the same grey of every z.
    assert rows["class_mismatch"]["value"] > 0.1
    assert rows["diversity"]["value"] < 0.5
    assert rows["diversity"]["notes"][0].startswith("collapsed")
    assert any("draws x ~ p(x|z)" in note for note in rows["kid"]["notes"])


def test_a_categorical_code_is_compared_with_labels(tmp_path):
    dataset = bars.write(tmp_path / "bars.npz")
    config = bars.config(dataset, "infogan", latents="code: categorical(4), noise(2)")
    workdir, model, data = bars.untrained(tmp_path / "run", config)
    subject = Subject(model, data, config, Options(points=60))
    found = evaluation.evaluate(subject, measures.chosen("cluster_accuracy"), workdir)
    row = found["metrics"]["cluster_accuracy"]
    # At least the commonest class, about a quarter.
    assert 0.2 < row["value"] <= 1.0
    assert "of the block 'code', the best of 1" in row["notes"]


def test_translations_are_compared_with_partners(tmp_path):
    dataset = bars.write(tmp_path / "bars.npz")
    config = bars.config(dataset, "cyclegan", pair="rotated", steps=2, batch_size=8)
    workdir, model, data = bars.untrained(tmp_path / "run", config)
    subject = Subject(model, data, config, Options(points=30))
    found = evaluation.evaluate(
        subject, measures.chosen("pairing_x_to_z,pairing_z_to_x,rate,mse,active_units"), workdir
    )
    assert set(found["metrics"]) == {"pairing_x_to_z", "pairing_z_to_x", "mse"}
    # An untrained translator knows nothing of partners.
    assert found["metrics"]["pairing_x_to_z"]["value"] > 0.5
    assert "images of a dataset" in found["skipped"]["rate"]


def test_the_command(run):
    workdir, _ = run
    done = commands.run(
        "--workdir=run",
        "--metrics=mse,active_units,cluster_accuracy",
        "--points=60",
        cwd=workdir.path.parent,
        module="train.evaluate",
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "vae at step 0" in done.stdout
    assert "cluster_accuracy skipped: vae has no categorical code" in done.stdout
    assert done.stdout.endswith("everything is in run/evaluation.json\n")
    written = json.loads((workdir.path / "evaluation.json").read_text())
    assert set(written["metrics"]) == {"mse", "active_units"}
    assert set(written["skipped"]) == {"cluster_accuracy"}
    assert written["metrics"]["mse"]["size"] == 60

    evaluate.check_done(written, ["mse", "cluster_accuracy"])
    with pytest.raises(InputError, match="Nothing could be measured: vae has no categorical code"):
        evaluate.check_done(written, ["cluster_accuracy"])


def test_help_lists_the_metrics(tmp_path):
    for flag in ("--metrics=help", "--help"):
        done = commands.run(flag, cwd=tmp_path, module="train.evaluate")
        assert done.returncode == 0
        for name in measures.MEASURES:
            assert f"  {name} " in done.stdout


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], ["--workdir is missing"]),
        (["--workdir=empty"], ["empty", "holds no run"]),
        (["--workdir=untrained"], ["untrained", "no checkpoint yet"]),
        (["--workdir=untrained", "--metrics=fidd"], ["Unknown metric 'fidd'", "'fid'"]),
    ],
)
def test_wrong_commands_say_one_sentence(flags, words, tmp_path):
    (tmp_path / "empty").mkdir()
    Workdir(tmp_path / "untrained").create(bars.config("mnist_5k"))
    done = commands.run(*flags, cwd=tmp_path, module="train.evaluate")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr.strip().splitlines()[-1]
