"""kill -9 at any moment, and the same command continues: a small version of tests/kills.py."""

import random

import kills
import pytest


@pytest.mark.parametrize("model", ["alice"])
def test_a_killed_run_ends_as_one_that_was_not(model, tmp_path):
    flags = [*kills.SHORT, *kills.MODELS[model]]
    length = kills.finished(flags, tmp_path / "whole")
    chance = random.Random(1)
    # Before its first checkpoint, while it writes one, and anywhere.
    moments = [chance.uniform(0, length / 8), None, chance.uniform(0, length / 2)]
    found = kills.killed(flags, tmp_path / "whole", tmp_path / "killed", moments)
    assert found.kills >= 2
    assert found.inside >= 1
    assert found.differing_state == []
    assert found.differing_records == []
