"""A divergence of a user's own, in a file of theirs: trained, resumed, judged and exported."""

import dataclasses
import json
import shutil
from pathlib import Path

import commands
import numpy as np
import pytest
import tensorflow as tf

import zoo
from train.certificates.certificate import certify
from zoo import imports, terms
from zoo.errors import InputError
from zoo.objectives import divergences, tolerances
from zoo.objectives.critic_defaults import normalises_critics

FILE = Path(__file__).with_name("my_energy.py")
ENERGY = "ENERGY(q(z)||p(z))"
RUN = (
    "--constraint=KL(q(x,z)||p(x,z))",
    f"--constraint={ENERGY} <= 0.9",
    "--dataset=mine.npy",
    "--workdir=run",
    "--network_option=hidden=[16]",
    "--latent_dim=2",
    "--batch_size=16",
    "--log_every=10",
    "--checkpoint_every=10",
)


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """Returns a function that runs a command in a folder that holds the user's file."""
    folder = tmp_path_factory.mktemp("user")
    shutil.copy(FILE, folder)
    images = np.random.default_rng(0).integers(0, 256, (1000, 8, 8), dtype=np.uint8)
    np.save(folder / "mine.npy", images)

    def run(module, *flags, code=0):
        # The zoo as if it were installed: nothing of its tests is on the path.
        done = commands.run(*flags, cwd=folder, module=module, alone=True)
        assert done.returncode == code, done.stderr
        return done

    run.folder = folder
    return run


@pytest.fixture(scope="module")
def trained(command):
    first = command("train.run", *RUN, "--steps=10", "--import=my_energy")
    assert "ENERGY_z" in first.stderr + first.stdout
    return command.folder / "run"


def test_the_file_is_short_and_is_the_one_of_the_documentation():
    lines = FILE.read_text().splitlines()
    assert len(lines) <= 30
    page = Path(zoo.__file__).parents[1] / "docs" / "extending.md"
    assert "\n".join(lines[2:]) in page.read_text()


def test_a_run_is_resumed_evaluated_certified_and_exported(command, trained):
    again = command("train.run", *RUN, "--steps=20", "--import=my_energy")
    assert "continuing run from step 10" in again.stderr
    assert json.loads((trained / "config.json").read_text())["imports"] == ["my_energy"]
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert {row["step"] for row in rows} >= {10, 20}
    assert all("ENERGY_z" in row["terms"] for row in rows)

    command("train.evaluate", "--workdir=run", "--metrics=rate", "--import=my_energy")
    assert "rate" in json.loads((trained / "evaluation.json").read_text())["metrics"]

    (trained / "certificate.json").unlink()
    command("train.certify", "--workdir=run", "--import=my_energy")
    certificate = json.loads((trained / "certificate.json").read_text())
    (c,) = certificate["constraints"]
    assert (c["expression"], c["side"]) == (ENERGY, "exact")
    low, high = c["lower"]["limit"], c["upper"]["limit"]
    expected = "holds" if high <= 0.9 else "violated" if low > 0.9 else "undecided"
    assert c["status"] == expected
    page = (trained / "certificate.md").read_text()
    assert f"`{ENERGY}` and `ENERGY_z` in units of distance" in page

    command("export.run", "--workdir=run", "--out=out", "--import=my_energy")
    assert (command.folder / "out" / "model" / "1" / "saved_model.pb").is_file()


@pytest.mark.parametrize(
    ("module", "flags"),
    [
        ("train.evaluate", ["--workdir=run"]),
        ("train.certify", ["--workdir=run"]),
        ("export.run", ["--workdir=run", "--out=other"]),
        ("train.run", ["--model=vae", "--dataset=mine.npy", "--workdir=run"]),
    ],
)
def test_without_the_flag_a_sentence_says_which_to_add(command, trained, module, flags):
    said = command(module, *flags, code=2).stderr
    assert said == (
        "run/config.json needs the module my_energy: add --import=my_energy, if that is code you "
        "trust.\n"
    )


def test_constraints_and_other_imports_are_refused_with_a_sentence(command, trained):
    said = command("train.run", *RUN, code=2).stderr
    assert "Unknown divergence 'ENERGY'" in said
    assert "--import=MODULE" in said
    (command.folder / "my_other.py").touch()
    both = ("--import=my_energy", "--import=my_other")
    said = command("train.run", *RUN, "--steps=30", *both, code=2).stderr
    assert "imports: ['my_energy', 'my_other'] here, ['my_energy'] there" in said


def test_its_derivation_is_explained(command):
    found = command("zoo", f"--constraint={ENERGY} <= 0.1", "--import=my_energy")
    assert f"{ENERGY} is not a KL: it is added as it is (energy distance)" in found.stdout
    assert found.stderr == ""


@dataclasses.dataclass
class Samples:
    """Joints of which samples alone are asked for."""

    q: dict
    p: dict

    def samples(self, space):
        return tuple(tuple(tf.constant(side[v]) for v in space) for side in (self.q, self.p))

    def gathered(self, *values):
        return values


@pytest.mark.parametrize("space", ["x", "z", "xz"])
def test_it_is_the_energy_distance(space, registries, monkeypatch):
    monkeypatch.syspath_prepend(FILE.parent)
    imports.load(["my_energy"])
    rng = np.random.default_rng(1)
    q, p = (
        {"x": rng.normal(m, 1, (20, 3, 2, 1)), "z": rng.normal(m, 1, (20, 2))} for m in (0.5, 0.0)
    )
    value = terms.make(f"ENERGY_{space}")(Samples(q, p)).value
    a, b = (np.concatenate([side[v].reshape(20, -1) for v in space], axis=1) for side in (q, p))

    def distances(one, other):
        return np.linalg.norm(one[:, None] - other[None], axis=2)

    within = [distances(s, s).sum() / (20 * 19) for s in (a, b)]
    assert float(value) == pytest.approx(2 * distances(a, b).mean() - sum(within), rel=1e-4)


def triangular():
    """Registers sum (a - b)^2 / (a + b), an f-divergence, and returns its class."""

    @terms.divergence(
        "TRIANGLE",
        describes="triangular discrimination, sum (a - b)^2 / (a + b), by a critic",
        symmetric=True,
        largest=2.0,
        side="lower",
    )
    @dataclasses.dataclass(frozen=True)
    class Triangular(terms.CriticTerm):
        def compare(self, pair, critic_a, critic_b):
            # f(u) = (u - 1)^2 / (u + 1):  E_a[1 - 4 (1 - s)^2] + E_b[1 - 4 s^2],  s = sigmoid V
            a, b = tf.sigmoid(-critic_a), tf.sigmoid(critic_b)
            bound = pair.expect_a(1.0 - 4.0 * a**2) + pair.expect_b(1.0 - 4.0 * b**2)
            return terms.Estimate(bound, bound, critic_loss=-bound)

    return Triangular


def test_one_with_a_critic_trains_and_never_holds_by_its_critic(registries):
    triangular()
    objective = zoo.Objective(
        0, 0, ["KL(q(x,z)||p(x,z))", "TRIANGLE(q(z)||p(z)) <= 1.9", "TRIANGLE(q(x)||p(x))"]
    )
    assert normalises_critics(objective)
    assert tolerances.slacks(objective, {}) == [pytest.approx(0.2)]
    assert objective.constraints[1].term == "TRIANGLE_z"
    options = {"image_shape": (6, 6, 1), "latent_dim": 2, "network_options": {"hidden": (16,)}}
    model = zoo.build(objective, **options)
    assert set(model.critics) == {"TRIANGLE_z", "TRIANGLE_x"}
    assert model.lagrangian.floors == [pytest.approx(-1.9)]
    model.compile(jit_compile=False)
    images = np.random.default_rng(0).random((320, 6, 6, 1), dtype=np.float32)
    before = [w.numpy() for w in model.critics["TRIANGLE_z"].trainable_variables]
    model.fit(images, batch_size=32, epochs=2, verbose=0)
    after = model.critics["TRIANGLE_z"].trainable_variables
    assert any(np.any(one != other.numpy()) for one, other in zip(before, after, strict=True))
    batches = [images[i : i + 32] for i in range(0, 320, 32)]
    found = certify(model, batches)
    (c,) = found["constraints"]
    assert np.isfinite(c["value"])
    assert c["value"] <= 2.0
    # Its critic's reading on held-out data bounds it from below, and nothing does from above.
    assert c["lower"]["limit"] <= c["value"]
    assert c["upper"] is None
    assert c["status"] == "not refuted"
    json.dumps(found)


def test_an_estimate_that_cannot_be_is_named(registries):
    plain(side="neither", largest=0.4)
    objective = zoo.Objective(0, 0, ["KL(q(x,z)||p(x,z))", "PLAIN(q(z)||p(z)) <= 0.1"])
    model = zoo.build(objective, image_shape=(4, 4, 1), latent_dim=2)
    images = np.random.default_rng(0).random((120, 4, 4, 1), dtype=np.float32)
    (c,) = certify(model, [images[i : i + 6] for i in range(0, 120, 6)])["constraints"]
    assert c["faults"] == (
        "The training estimator gives 0.5 for PLAIN(q(z)||p(z)), which is between 0 and 0.4: the "
        "estimator is at fault"
    )


def plain(**facts):
    """Returns the decorator's outcome on a class with a space alone."""

    @terms.divergence(**{"name": "PLAIN", "describes": "a test", "symmetric": True, **facts})
    @dataclasses.dataclass(frozen=True)
    class Plain(terms.Term):
        space: str

        def __call__(self, joints, training=True):
            return terms.Estimate.of(tf.constant(0.5))

    return Plain


@pytest.mark.parametrize(
    ("side", "allowed"),
    [
        ("exact", ("holds", "violated")),
        ("upper", ("holds", "undecided")),
        ("lower", ("not refuted", "violated")),
        ("neither", ("undecided", "undecided")),
    ],
)
def test_the_side_says_which_verdicts_an_estimate_can_give(side, allowed, registries):
    plain(side=side)
    images = np.random.default_rng(0).random((120, 4, 4, 1), dtype=np.float32)
    batches = [images[i : i + 6] for i in range(0, 120, 6)]
    for eps, status in zip((0.9, 0.1), allowed, strict=True):
        objective = zoo.Objective(0, 0, ["KL(q(x,z)||p(x,z))", f"PLAIN(q(z)||p(z)) <= {eps}"])
        model = zoo.build(objective, image_shape=(4, 4, 1), latent_dim=2)
        found = certify(model, batches)
        (c,) = found["constraints"]
        assert c["status"] == status
        assert "too few" not in found["reason"]


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"name": "energy"}, "cannot be called 'energy': use capitals"),
        ({"name": "RATE"}, "cannot be called 'RATE'"),
        ({"name": "MMD"}, "cannot be called MMD, which is a divergence of zoo"),
        ({"largest": 0.0}, "largest value of PLAIN is 0.0"),
        ({"side": "below"}, "Unknown side of PLAIN 'below'"),
        ({"symmetric": False}, "Plain, which estimates PLAIN, has no field 'direction'"),
    ],
)
def test_refusals_name_the_fault_and_register_nothing(facts, message, registries):
    names = set(divergences.DIVERGENCES), terms.available()
    with pytest.raises(InputError, match=message):
        plain(**facts)
    assert (set(divergences.DIVERGENCES), terms.available()) == names


def test_a_class_may_be_registered_again_and_another_may_not(registries):
    # As a notebook's cell is that is run twice
    plain(largest=1.0)
    plain(largest=2.0)
    assert zoo.Constraint("PLAIN(q(z)||p(z))").subject.range == (0.0, 2.0)
    with pytest.raises(InputError, match=r"a divergence of .*Plain: choose another name"):
        terms.divergence("PLAIN", describes="other", symmetric=True)(
            dataclasses.make_dataclass("Other", ["space"], bases=(terms.Term,), frozen=True)
        )
