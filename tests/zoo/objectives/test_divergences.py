"""The facts of divergences, and that what estimates, bounds and draws them agrees with these."""

import math
import subprocess
import sys

import pytest

import zoo
from zoo import terms
from zoo.bounds.functionals import FUNCTIONALS
from zoo.errors import InputError
from zoo.objectives import divergences
from zoo.objectives.divergences import DIVERGENCES, axis, unit
from zoo.terms.f_divergence import BOUNDS

OTHERS = [name for name in DIVERGENCES if name != "KL"]


def critic(samples, training):
    raise AssertionError("building a term calls no critic")


@pytest.mark.parametrize("name", OTHERS)
def test_terms_read_their_facts(name):
    facts = DIVERGENCES[name]
    for space in ("x", "z", "x,z"):
        constraint = zoo.Constraint(f"{name}(p({space})||q({space}))")
        cls = terms.find(constraint.term)
        assert cls.divergence == cls.registered == name
        assert cls.needs_critic == issubclass(cls, terms.CriticTerm) == facts.critic
        assert cls.directions == (() if facts.symmetric else ("qp", "pq"))
        player = {"critic": critic} if facts.critic else {}
        term = terms.make(constraint.term, **player)
        assert term.side == facts.side
        assert term.name.endswith("_pq") == (not facts.symmetric)


def test_an_option_may_change_the_side():
    assert terms.make("MMD_z").side == "exact"
    assert terms.make("MMD_z", estimator="v").side == "upper"


def test_other_tables_name_divergences_alone_and_say_nothing_again():
    assert set(BOUNDS) <= set(DIVERGENCES)
    assert set(FUNCTIONALS) <= set(DIVERGENCES)
    for name, functional in FUNCTIONALS.items():
        largest = DIVERGENCES[name].largest
        assert functional.largest == (math.inf if largest is None else largest)
    # What is bounded from below by a critic has a form that certificates read.
    assert {n for n, facts in DIVERGENCES.items() if facts.side == "lower"} <= set(FUNCTIONALS)


def test_declaring_imports_no_tensorflow():
    program = (
        "import sys, zoo; zoo.Constraint('W1(q(z)||p(z)) <= 0.1').facts; "
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("REC_x", "nats"),
        ("RATE", "nats"),
        ("RATE_ratio", "nats"),
        ("loss", "nats"),
        ("Dz_qp", "nats"),
        ("J_pq", "nats"),
        ("JS_xz", "nats"),
        ("KL(q(x,z)||p(x,z))", "nats"),
        ("FKL_x_pq", "nats"),
        ("CHI2_x_pq", ""),
        ("H2(q(z)||p(z))", ""),
        ("W1_z", "distance"),
        ("SW(q(x)||p(x))", "squared distance"),
        ("MMD_z", "squared kernel distance"),
    ],
)
def test_units_of_terms_and_constraints(name, expected):
    assert unit(name) == expected
    assert axis(name) == ("nats per example" if expected == "nats" else expected)


@pytest.mark.parametrize(
    ("name", "has"),
    [("JS(q(z)||p(z))", "JS"), ("KL(q(x|z)||p(x|z))", "KL"), ("REC_x", None), ("RATE", None)],
)
def test_a_constraint_has_the_facts_of_its_divergence(name, has):
    facts = zoo.Constraint(name).facts
    assert (facts and facts.name) == has


def test_an_unknown_divergence_may_be_in_a_module():
    with pytest.raises(InputError, match=r"Unknown divergence 'MDM': .*needs --import=MODULE"):
        divergences.divergence("MDM")
