"""Runs with planted seeds, tolerances and other differences."""

import json
import math

import numpy as np
import pytest

import zoo
from train.certificates import envelope, seeds
from train.workdirs.config import RunConfig

JOINT, MMD = "KL(q(x,z)||p(x,z))", "MMD(q(z)||p(z))"


def config(e1="102", seed=0, **fields):
    objective = zoo.objective("lagvae_max", e1=e1, e2="1e-3").to_config()
    return RunConfig(objective=objective, steps=100, seed=seed, **fields)


def certificate(e1=102.0, value=101.0, rec_x=80.0, multiplier=2.0, verdict="feasible", **fields):
    holds = "holds" if verdict == "feasible" else "undecided"
    return {
        "model": "lagvae_max",
        "objective": zoo.objective("lagvae_max", e1=str(e1), e2="1e-3").to_config(),
        "step": 100,
        "verdict": verdict,
        "constraints": [
            {
                "expression": JOINT,
                "value": value,
                "tolerance": float(e1),
                "multiplier": multiplier,
                "status": holds,
            },
            {
                "expression": MMD,
                "value": 5e-4,
                "tolerance": 1e-3,
                "multiplier": 300.0,
                "status": "holds",
            },
        ],
        "terms": {
            "REC_x": {"value": rec_x, "interval": [rec_x - 0.3, rec_x + 0.3]},
            "RATE": {"value": 20.0, "interval": [19.0, 21.0]},
        },
        "information": {"estimate": 7.0, "interval": [6.9, 7.1], "sharing": 4.0},
        **fields,
    }


# Seeds


def test_seeds_have_means_and_students_intervals():
    values = [100.0, 101.0, 103.0, 100.5]
    verdicts = ["feasible", "undecided", "feasible", "feasible"]
    found = seeds.aggregate(
        (f"runs/{i}", config(seed=i), certificate(value=v, verdict=d))
        for i, (v, d) in enumerate(zip(values, verdicts, strict=True))
    )
    (group,) = found["groups"]
    assert group["seeds"] == [0, 1, 2, 3]
    assert group["verdicts"] == {"feasible": 3, "undecided": 1}
    joint, mmd = group["constraints"]
    assert joint["value"]["mean"] == pytest.approx(np.mean(values))
    half = 3.182446 * np.std(values, ddof=1) / 2  # t of 3 degrees
    expected = [np.mean(values) - half, np.mean(values) + half]
    assert joint["value"]["interval"] == pytest.approx(expected)
    assert joint["violation"]["mean"] == pytest.approx(np.mean(values) - 102)
    assert joint["statuses"] == {"holds": 3, "undecided": 1}
    assert mmd["multiplier"] == {"mean": 300.0, "interval": [300.0, 300.0], "count": 4}
    assert group["information"]["mean"] == 7.0
    assert found["slopes"] == found["differences"] == []
    json.dumps(found, allow_nan=False)
    text = seeds.markdown(found)
    assert text.startswith("## lagvae_max, seeds 0, 1, 2, 3\n\nRuns: `runs/0`, `runs/1`")
    assert "Verdicts: 3 feasible, 1 undecided." in text
    assert "seeds are few" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace(r"\|", "").count("|") for line in rows}) == 1


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "One seed gives no interval: train more runs with other values of --seed."),
        (2, "2 seeds are few: an interval reaches 12.7 standard errors"),
        (3, "3 seeds are few: an interval reaches 4.3 standard errors"),
    ],
)
def test_few_seeds_are_said_to_be_few(count, words):
    found = seeds.aggregate((f"{i}", config(seed=i), certificate()) for i in range(count))
    assert words in seeds.markdown(found)


def test_one_seed_twice_is_no_repeat():
    found = seeds.aggregate(
        [
            ("a", config(), certificate(value=100.0)),
            ("b", config(), certificate(value=100.0)),
            ("c", config(seed=1), certificate(value=102.0)),
        ]
    )
    (group,) = found["groups"]
    assert (group["runs"], group["seeds"]) == (["a", "b", "c"], [0, 1])
    assert group["constraints"][0]["value"]["mean"] == 101.0
    assert "are not independent" in group["notes"][0]


def test_what_is_null_is_left_out():
    rows = [certificate(value=None), certificate(value=99.0, information=None)]
    found = seeds.aggregate((f"{i}", config(seed=i), c) for i, c in enumerate(rows))
    joint = found["groups"][0]["constraints"][0]
    assert joint["value"] == {"mean": 99.0, "interval": None, "count": 1}
    assert found["groups"][0]["information"]["count"] == 1
    none = seeds.aggregate([("a", config(), certificate(value=None))])
    assert none["groups"][0]["constraints"][0]["value"]["mean"] is None
    assert "| - |" in seeds.markdown(none)


def test_seeds_may_have_neutral_runs_of_their_own():
    found = seeds.aggregate(
        (f"{i}", config(seed=i, best_from=f"best{i}"), certificate()) for i in range(2)
    )
    assert len(found["groups"]) == 1


def test_fixed_multipliers_have_no_table():
    objective = zoo.objective("vae").to_config()
    row = certificate(objective=objective, constraints=[], verdict="fixed multipliers")
    found = seeds.aggregate([("a", RunConfig(objective=objective, steps=1), row)])
    assert "|" not in seeds.markdown(found)


def test_configurations_may_be_plain_data():
    import dataclasses

    plain = dataclasses.asdict(config())
    assert seeds.aggregate([("a", plain, certificate())])["groups"][0]["seeds"] == [0]


# Along a tolerance


def front(e1, seed=0, noise=0.0, multiplier=None):
    """A run on the front REC_x = 60 + 100 / (eps - 90), whose multiplier is 100 / (eps - 90)^2."""
    rec_x = 60 + 100 / (e1 - 90) + noise
    slope = 100 / (e1 - 90) ** 2
    row = certificate(e1, e1 - 1, rec_x, slope if multiplier is None else multiplier)
    row["information"] = {"estimate": 90 - rec_x, "interval": [89 - rec_x, 91 - rec_x]}
    row["information"]["sharing"] = 4.0
    return f"{e1:g}-{seed}", config(f"{e1:g}", seed), row


def test_a_front_has_the_slope_of_its_multipliers():
    found = seeds.aggregate([front(100.0), front(98.0)])
    assert len(found["groups"]) == 2
    (slope,) = found["slopes"]
    assert slope["expression"] == JOINT
    assert slope["runs"] == [["100-0"], ["98-0"]]
    assert slope["multipliers"] == pytest.approx([1.0, 100 / 64])
    assert slope["predicted"] == pytest.approx(-(1.0 + 100 / 64) / 2)
    assert slope["objective"]["slope"] == pytest.approx(-1.25)
    half = math.hypot(0.3, 0.3) / 2
    assert slope["objective"]["interval"] == pytest.approx([-1.25 - half, -1.25 + half])
    assert slope["agrees"] is True
    # alpha_q = -1 and I_q = 90 - REC_x: the same slope
    assert slope["information"]["slope"] == pytest.approx(-1.25)
    half = math.hypot(1, 1) / 2
    assert slope["information"]["interval"] == pytest.approx([-1.25 - half, -1.25 + half])
    text = seeds.markdown(found)
    assert "## Along a tolerance\n\n`100-0` and `98-0`: Training held KL(q(x,z)||p(x,z))" in text
    assert "at 100 and 98, for tolerances of 100 and 98. Between them the objective" in text
    assert "they agree" in text
    assert "They do not include the noise of training" in text
    json.dumps(found, allow_nan=False)


def test_the_slope_is_along_what_training_held():
    """Margins of 5 and 1 below the tolerances 105 and 99, on the same front."""
    runs = [front(100.0), front(98.0)]
    for (_, _, row), e1 in zip(runs, (105.0, 99.0), strict=True):
        joint = row["constraints"][0]
        joint["training_value"], joint["tolerance"] = joint["tolerance"], e1
    (slope,) = seeds.aggregate(runs)["slopes"]
    assert (slope["tolerances"], slope["levels"]) == ([105.0, 99.0], [100.0, 98.0])
    assert slope["objective"]["slope"] == pytest.approx(-1.25)
    assert slope["agrees"] is True
    # Held the wrong way round: their tolerances do not act.
    runs[0][2]["constraints"][0]["training_value"] = 97.0
    (slope,) = seeds.aggregate(runs)["slopes"]
    assert slope["objective"] is slope["information"] is slope["agrees"] is None
    assert slope["reasons"] == [
        "There is no slope: both tolerances gave the same value of the constraint."
    ]


def test_multipliers_off_the_front_disagree():
    found = seeds.aggregate([front(100.0, multiplier=4.0), front(98.0, multiplier=5.0)])
    assert found["slopes"][0]["agrees"] is False
    assert "one of these runs is not at a constrained optimum" in seeds.markdown(found)


def test_neighbours_along_a_tolerance_and_seeds_at_each():
    runs = [
        front(e1, seed, noise)
        for e1 in (98.0, 104.0, 100.0)
        for seed, noise in enumerate((-0.05, 0.0, 0.05))
    ]
    found = seeds.aggregate(runs)
    assert [len(group["runs"]) for group in found["groups"]] == [3, 3, 3]
    assert [sorted(slope["tolerances"]) for slope in found["slopes"]] == [[98, 100], [100, 104]]
    half = math.hypot(0.05, 0.05) * 4.302653 / math.sqrt(3) / 2
    assert found["slopes"][0]["objective"]["interval"] == pytest.approx(
        [-1.25 - half, -1.25 + half]
    )
    assert all(slope["agrees"] for slope in found["slopes"])
    assert "They do not include the noise of training" not in seeds.markdown(found)
    assert found["differences"] == []


def test_information_at_its_ceiling_is_left_out():
    runs = [front(100.0), front(98.0)]
    runs[1][2]["information"]["sharing"] = 1.1
    (slope,) = seeds.aggregate(runs)["slopes"]
    assert slope["information"] is None
    assert "at its ceiling" in envelope.sentence(slope)
    assert slope["agrees"] is True


def test_what_is_not_measured_decides_nothing():
    runs = [front(100.0), front(98.0)]
    runs[0][2]["terms"]["REC_x"]["interval"] = None
    (slope,) = seeds.aggregate(runs)["slopes"]
    assert slope["objective"]["interval"] is slope["agrees"] is None
    runs[0][2]["terms"]["REC_x"]["value"] = None
    (slope,) = seeds.aggregate(runs)["slopes"]
    assert slope["objective"] is slope["agrees"] is None
    assert "REC_x is not finite" in envelope.sentence(slope)


def test_an_objective_of_learned_constraints_alone_has_no_slope():
    objective = zoo.Objective(constraints=[f"{JOINT} <= 100", f"{MMD} <= 1e-3"])
    rows = [certificate(100.0), certificate(98.0)]
    for row in rows:
        row["objective"] = objective.to_config()
    found = envelope.slope(JOINT, rows[:1], rows[1:])
    assert found["objective"] is found["information"] is None
    assert "consists of learned constraints only" in envelope.sentence(found)


def test_equal_tolerances_have_no_slope():
    found = envelope.slope(JOINT, [certificate()], [certificate()])
    assert found["objective"] is None
    assert "There is no slope" in envelope.sentence(found)


# Other differences


@pytest.mark.parametrize(
    ("other", "step", "fields"),
    [
        (config(batch_size=64), 100, ["batch_size"]),
        (config(batch_size=64, seed=1), 100, ["batch_size", "seed"]),
        (config(), 200, ["step"]),
        (config("104", latent_dim=8), 100, None),
    ],
)
def test_other_differences_are_named(other, step, fields):
    found = seeds.aggregate([("a", config(), certificate()), ("b", other, certificate(step=step))])
    (difference,) = found["differences"]
    assert found["slopes"] == []
    assert difference["runs"] == ["a", "b"]
    expected = {"objective.constraints", "objective.parameters", "latent_dim"}
    assert set(difference["fields"]) == (expected if fields is None else set(fields))
    assert f"- `a` and `b` differ in {difference['fields'][0]}" in seeds.markdown(found)


def test_two_tolerances_are_no_pair():
    other = zoo.objective("lagvae_max", e1="104", e2="2e-3").to_config()
    runs = [("a", config(), certificate())]
    runs.append(("b", RunConfig(objective=other, steps=100), certificate(104.0)))
    found = seeds.aggregate(runs)
    assert found["slopes"] == []
    assert len(found["differences"]) == 1
