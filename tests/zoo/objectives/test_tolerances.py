import math

import pytest

import zoo
from zoo.errors import InputError
from zoo.objectives import tolerances

JOINT, MMD = "KL(q(x,z)||p(x,z))", "MMD(q(z)||p(z))"


def trained(objective):
    return dict(tolerances.neutral(objective).tractable().affine)


def test_neutral_runs_prefer_no_information():
    # [U] eq. 20: lambda_1 times minus the ELBO plus lambda_2 MMD, with lambda = (1, 100).
    for name in ("lagvae_max", "lagvae_min"):
        assert trained(zoo.objective(name)) == {"REC_x": 1, "RATE": 1, "MMD_z": 100}
    assert trained(zoo.objective("geco")) == {"REC_x": 1, "RATE": 1}
    alice = zoo.Objective(-1, 0, ["KL(q(x|z)||p(x|z))", "JS(q(x,z)||p(x,z)) <= best + 0.01"])
    assert trained(alice) == {"JS_xz": 1}
    aae = zoo.Objective(-1, 0, ["KL(q(x|z)||p(x|z))", "2*JS(q(z)||p(z)) <= best + 0.01"])
    assert trained(aae) == {"REC_x": 1, "RATE": 1, "JS_z": 2}


def test_tolerances_become_numbers():
    objective = zoo.objective("lagvae_max")
    assert tolerances.needs_best(objective)
    best = {JOINT: 100.0, MMD: 1e-3}
    resolved = tolerances.resolved(objective, best)
    assert not tolerances.needs_best(resolved)
    numbers = {c.expression: c.at_most.at(0) for _, c in resolved.learned}
    assert numbers == pytest.approx({JOINT: 104.0, MMD: 1.5e-3})
    assert tolerances.slacks(objective, best) == pytest.approx([4.0, 5e-4])
    # A number names no slack of its own: a tenth of it, unless what is reachable is known.
    plain = zoo.Objective(1, 0, ["KL(q(z)||p(z))", f"{JOINT} <= 90", f"{MMD} <= 1e-3"])
    assert tolerances.slacks(plain, {}) == pytest.approx([9.0, 1e-4])
    # JS starts at up to log 2, whatever its tolerance: a tenth of that.
    alice = zoo.Objective(-1, 0, ["KL(q(x|z)||p(x|z))", "JS(q(x,z)||p(x,z)) <= 0.05"])
    assert tolerances.slacks(alice, {}) == pytest.approx([0.1 * math.log(2)])
    with pytest.raises(InputError, match="was measured"):
        tolerances.resolved(objective, {JOINT: 100.0})


def test_a_divergence_estimated_below_0_is_0():
    objective = zoo.objective("lagvae_max")
    # -ELBO of a density may truly be negative, MMD may not: no model would meet its tolerance.
    best = {JOINT: -10.0, MMD: -5e-3}
    resolved = tolerances.resolved(objective, best)
    numbers = {c.expression: c.at_most.at(0) for _, c in resolved.learned}
    assert numbers == pytest.approx({JOINT: -6.0, MMD: 5e-4})
    assert tolerances.slacks(objective, best) == pytest.approx([4.0, 5e-4])


def test_slack_on_the_command_line():
    objective = tolerances.with_slack(zoo.objective("lagvae_min"), "2")
    assert str(objective.learned[0][1].at_most) == "best + 2"
    assert objective.learned[1] == zoo.objective("lagvae_min").learned[1]
    for text, words in (("-1", "must be positive"), ("soft", "not a finite number")):
        with pytest.raises(InputError, match=words):
            tolerances.with_slack(objective, text)
    with pytest.raises(InputError, match="vae has none"):
        tolerances.with_slack(zoo.objective("vae"), "4")
