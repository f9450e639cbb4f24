"""Paths of a constraint with planted swings, noise and overshoot."""

import json
import math

import numpy as np
import pytest

from train.certificates.oscillation import oscillation, sentences

NAME = "RATE"


def records(values, name=NAME, split="train", every=100):
    return [
        {"step": every * (i + 1), "split": split, "constraints": {name: v}, "multipliers": {}}
        for i, v in enumerate(values)
    ]


def test_a_cycle_swings():
    # Four periods in the last half, of 50 records
    values = [10 + math.sin(2 * math.pi * i / 12.5 + 0.1) for i in range(100)]
    found = oscillation(records(values), NAME, 10.0)
    assert (found["from_step"], found["to_step"], found["records"]) == (5000, 10000, 51)
    assert found["sign_changes"] == 8
    assert found["noise_changes"] == pytest.approx(25.5, abs=0.1)
    assert found["swings"]
    assert found["span"] == pytest.approx(2.0, abs=0.05)
    text = " ".join(sentences(found))
    assert "RATE swings around its tolerance: D - eps changed sign 8 times" in text
    json.dumps(found, allow_nan=False)


def test_noise_does_not_swing():
    swings = 0
    for seed in range(200):
        values = 10 + np.random.default_rng(seed).normal(size=100)
        found = oscillation(records(values.tolist()), NAME, 10.0)
        swings += found["swings"]
    assert swings <= 2  # 0.1% of normal deviates are 3 below their mean
    assert "as often as noise" in sentences(found)[0]


def test_overshoot_is_counted_from_where_the_constraint_was_first_met():
    values = [30, 20, 9, 8, 14, 11, 9, 9, 9, 9, 9, 9]
    found = oscillation(records(values), NAME, 10.0)
    assert (found["met_step"], found["overshoot"], found["overshoot_step"]) == (300, 4.0, 500)
    assert found["sign_changes"] == 1  # from 11 to 9, in steps 600 to 1200: 11, 9, ...
    assert sentences(found)[-1] == (
        "After RATE was first met, at step 300, it exceeded its tolerance by up to 4, at step 500."
    )


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([30.0] * 10, "RATE was above its tolerance in the 6 records of steps 500 to 1000."),
        ([9.0] * 10, "RATE was at most its tolerance in the 6 records of steps 500 to 1000."),
        ([9.0] * 7 + [11.0] * 3, "RATE crossed its tolerance once in the 6 records of steps 500"),
    ],
)
def test_constant_paths(values, sentence):
    found = oscillation(records(values), NAME, 10.0)
    assert not found["swings"]
    assert sentences(found)[0].startswith(sentence)


def test_a_constraint_that_was_never_met_has_no_overshoot():
    found = oscillation(records([30.0] * 10), NAME, 10.0)
    assert found["met_step"] is found["overshoot"] is found["overshoot_step"] is None
    assert sentences(found)[-1] == "RATE was never met in training."


def test_only_finite_values_of_training_count():
    values = [9.0, 11.0] * 8
    plain = oscillation(records(values), NAME, 10.0)
    held_out = records([50.0] * 16, split="validation")
    other = records([50.0] * 16, name="MMD(q(z)||p(z))")
    assert oscillation(records(values) + held_out + other, NAME, 10.0) == plain
    broken = oscillation(records([*values[:-1], math.nan]), NAME, 10.0)
    assert broken["to_step"] == 1500
    assert oscillation(records(values[:7]), NAME, 10.0) is None
    assert oscillation([], NAME, 10.0) is None
    assert sentences(None) == []
