import json

import commands
import numpy as np
import pytest

from train.evaluations import comparison
from zoo.errors import InputError


def _write(folder, metrics=None, terms=None, constraints=(), information=None):
    """Writes the files of a run, as far as they are compared."""
    folder.mkdir(parents=True)
    if metrics is not None:
        rows = {
            name: {"value": value, "interval": None, "units": "nats"}
            for name, value in metrics.items()
        }
        found = {"model": "vae", "step": 1, "dataset": "d", "metrics": rows, "skipped": {}}
        (folder / "evaluation.json").write_text(json.dumps(found))
    if terms is not None:
        certificate = {
            "model": "lagvae_max",
            "verdict": "feasible",
            "terms": {name: {"value": value} for name, value in terms.items()},
            "constraints": [{"expression": e, "value": v} for e, v in constraints],
            "information": information and {"estimate": information},
        }
        (folder / "certificate.json").write_text(json.dumps(certificate))
    return folder


@pytest.fixture
def folders(tmp_path):
    return [
        _write(tmp_path / "a", {"rate": 20.0, "distortion": 80.0, "neg_elbo": 100.0, "mi": 6.0}),
        _write(tmp_path / "b", {"rate": 10.0, "distortion": 95.0, "neg_elbo": 105.0, "mi": 4.0}),
        _write(tmp_path / "c", {"rate": 21.0, "distortion": 99.0, "neg_elbo": 120.0, "mi": None}),
        _write(
            tmp_path / "d",
            terms={"REC_x": 85.0, "RATE": 19.0, "MMD_z": 0.001},
            constraints=[("MMD(q(z)||p(z))", 0.001)],
            information=5.0,
        ),
    ]


@pytest.mark.parametrize("most", [False, True])
def test_the_front_is_what_nothing_dominates(most):
    points = [tuple(p) for p in np.random.default_rng(0).integers(8, size=(40, 2)).tolist()]
    sign = -1 if most else 1

    def dominated(p):
        return any(q[0] <= p[0] and sign * q[1] <= sign * p[1] and q != p for q in points)

    expected = {p for p in points if not dominated(p)}
    kept = comparison.front(points, most)
    assert {points[i] for i in kept} == expected
    assert len(kept) == sum(p in expected for p in points)
    assert [points[i][0] for i in kept] == sorted(points[i][0] for i in kept)


def test_certificates_stand_in_for_evaluations(folders):
    *_, d = comparison.read(folders)
    assert (d.model, d.verdict) == ("lagvae_max", "feasible")
    assert (d.value("rate"), d.value("distortion"), d.value("mi")) == (19.0, 85.0, 5.0)
    assert d.constraints["KL(q(x,z)||p(x,z))"] == 104.0
    assert d.value("fid") is None


def test_the_table_has_every_metric_of_any_run(folders):
    text = comparison.markdown(comparison.read(folders)).splitlines()
    assert text[0] == "| run | model | certificate | rate | distortion | neg_elbo | mi |"
    assert text[2] == "| a | vae | - | 20 | 80 | 100 | 6 |"
    assert text[4] == "| c | vae | - | 21 | 99 | 120 | - |"
    assert text[5] == "| d | lagvae_max | feasible | 19 | 85 | 104 | 5 |"


def test_bounds_are_shown_as_bounds(folders):
    file = folders[0] / "evaluation.json"
    found = json.loads(file.read_text())
    ends = {
        "rate": [None, 21.0],
        "distortion": [79.0, None],
        "neg_elbo": [None, None],
        "mi": [5, 7],
    }
    for name, interval in ends.items():
        found["metrics"][name]["interval"] = interval
    file.write_text(json.dumps(found))
    text = comparison.markdown(comparison.read(folders)).splitlines()
    assert text[2] == "| a | vae | - | at most 20 | at least 80 | 100 | 6 |"
    # What strangers write in place of an interval says nothing.
    for strange in ("at least", [None], [1.0, None, 2.0], {"a": 1}, [None, "x"], 3.0):
        found["metrics"]["rate"]["interval"] = strange
        file.write_text(json.dumps(found))
        assert "| 20 | at least 80 |" in comparison.markdown(comparison.read(folders))
    del found["metrics"]["rate"]["interval"]
    found["metrics"]["distortion"]["value"] = None
    file.write_text(json.dumps(found))
    assert "| 20 | - | 100 |" in comparison.markdown(comparison.read(folders))


def test_information_is_drawn_where_two_runs_have_both(folders, tmp_path):
    runs = comparison.read(folders)
    panels = comparison.constrained(runs)
    assert {n: [r.name for r, _ in rows] for n, rows in panels.items()} == {
        "-ELBO": ["a", "b", "d"]
    }
    assert comparison.plot_information(runs, tmp_path / "i.png")
    assert comparison.plot_rate_distortion(runs, tmp_path / "r.png")
    for name in ("i.png", "r.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert not comparison.plot_information(runs[:1], tmp_path / "none.png")
    assert not comparison.plot_rate_distortion(runs[:1], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_one_divergence_has_one_panel(tmp_path):
    mmd = {"MMD_z": 0.001}
    folders = [
        _write(tmp_path / name, terms=mmd, constraints=learned, information=5.0)
        for name, learned in (("a", []), ("b", [("MMD(q(z)||p(z))", 0.002)]))
    ]
    assert list(comparison.constrained(comparison.read(folders))) == ["MMD_z"]
    folders.append(_write(tmp_path / "c", {"mi": 4.0, "mmd": 0.003}))
    folders.append(_write(tmp_path / "d", {"mi": 4.0, "mmd": 0.004}))
    assert list(comparison.constrained(comparison.read(folders))) == ["MMD of q(z) and p(z)"]


def test_damaged_files_are_refused(tmp_path):
    folder = _write(tmp_path / "a")
    with pytest.raises(InputError, match="None of the 1 folders"):
        comparison.read([folder])
    (folder / "certificate.json").write_text("[]")
    with pytest.raises(InputError, match=r"certificate\.json cannot be read"):
        comparison.read([folder])
    with pytest.raises(InputError, match="nowhere is not a folder"):
        comparison.read([tmp_path / "nowhere"])


def test_the_command(folders, tmp_path):
    names = [folder.name for folder in folders]
    _write(tmp_path / "e")
    done = commands.run(*names, "e", "--out", "out", cwd=tmp_path, module="train.compare")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "1 folders hold no evaluation\n"
    assert "lagvae_max" in done.stdout
    assert "compare.md, rate-distortion.png, information.png are in out" in done.stdout
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "compare.md",
        "rate-distortion.png",
        "information.png",
    }

    done = commands.run(cwd=tmp_path, module="train.compare")
    assert done.returncode == 2
    assert done.stderr == "There is nothing to compare: name the runs' folders, as in runs/*.\n"


def test_what_strangers_write_is_text(tmp_path):
    """Names that rich, matplotlib or a terminal would read as more than text."""
    name = "[/red]$\\frac{$\x1b[2J"
    for run in ("[b]$x", "b"):
        _write(
            tmp_path / run,
            {"rate": 20.0, "distortion": 80.0, "mi": 6.0, name: 1.0},
            terms={name: 1.0, "MMD_z": 0.1},
            constraints=[(f"({name})", 0.1)],
        )
    done = commands.run("[b]$x", "b", "--out=out", cwd=tmp_path, module="train.compare")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "[b]$x" in done.stdout
    assert len(list((tmp_path / "out").iterdir())) == 3
