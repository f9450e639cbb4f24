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
from zoo.objectives.divergences import DIVERGENCES
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
        "import sys, zoo; zoo.Constraint('W1(q(z)||p(z)) <= 0.1').subject; "
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_an_unknown_divergence_may_be_in_a_module():
    with pytest.raises(InputError, match=r"Unknown divergence 'MDM': .*needs --import=MODULE"):
        divergences.divergence("MDM")
