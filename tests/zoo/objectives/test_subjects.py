"""Subjects of constraints: what each kind says of itself, and a third kind in one class."""

import math
from dataclasses import dataclass

import pytest

import zoo
from zoo import InputError, Objective
from zoo.objectives import subjects
from zoo.objectives.subjects import Comparison, LikelihoodTerm, Subject, axis, unit
from zoo.objectives.vectors import TERMS, kl


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
    ("expression", "term", "implies", "compares", "quantity"),
    [
        ("KL(q(z)||p(z))", "Dz_qp", "z", "", "KL(q(z)||p(z))"),
        ("KL(p(x)||q(x))", "Dx_pq", "x", "", "KL(p(x)||q(x))"),
        ("KL(p(x,z)||q(x,z))", "J_pq", "xz", "", "KL(p(x,z)||q(x,z))"),
        ("KL(q(x,z)||p(x,z))", None, "xz", "", "-ELBO"),
        ("KL(q(x|z)||p(x|z))", None, "x|z", "", "KL(q(x|z)||p(x|z)) + H_q(x)"),
        ("JS(q(x)||p(x))", "JS_x", "x", "x", "JS(q(x)||p(x))"),
        ("CHI2(p(x,z)||q(x,z))", "CHI2_xz_pq", "xz", "xz", "CHI2(p(x,z)||q(x,z))"),
        ("JS(q(z|x)||p(z|x))", None, "z|x", "", "JS(q(z|x)||p(z|x))"),
        ("REC_x", "REC_x", "x|z", "", "REC_x"),
        ("REC_z", "REC_z", "z|x", "", "REC_z"),
        ("RATE", "RATE", "z", "", "RATE"),
    ],
)
def test_what_a_subject_says(expression, term, implies, compares, quantity):
    constraint = zoo.Constraint(expression)
    subject = constraint.subject
    assert constraint.expression == subject.expression == expression
    assert constraint.term == subject.term == term
    assert subject.implies == {implies}
    assert subject.compares == compares
    assert subject.quantity == quantity
    assert subject.bounds_elbo == (quantity == "-ELBO")


def test_vectors_of_subjects():
    assert zoo.Constraint("REC_x").subject.vector == TERMS["REC_x"]
    assert zoo.Constraint("KL(q(z|x)||p(z|x))").subject.vector == kl("qp", "z|x")
    assert zoo.Constraint("JS(q(z)||p(z))").subject.vector is None


def test_kinds_and_ranges():
    js, rate = (zoo.Constraint(text).subject for text in ("JS(q(z)||p(z))", "RATE"))
    assert isinstance(js, Comparison)
    assert isinstance(rate, LikelihoodTerm)
    assert js.range == (0.0, math.log(2))
    assert zoo.Constraint("MMD(q(z)||p(z))").subject.range == (0.0, math.inf)
    assert rate.range == (-math.inf, math.inf)
    assert js.critic
    assert not rate.critic
    assert js.refusal is None
    assert "compares conditionals" in zoo.Constraint("JS(q(z|x)||p(z|x))").subject.refusal


@dataclass(frozen=True)
class Distortion(Subject):
    """A distance of data from its reconstruction: "ABS(x, x_p)"."""

    name: str

    @classmethod
    def known(cls, name):
        return name == "ABS"

    @classmethod
    def read(cls, reader):
        name = reader.take()
        for token in ("(", "x", ",", "x_p", ")"):
            reader.expect(token)
        return cls(name)

    @classmethod
    def unit_of(cls, name):
        return "intensity" if name.startswith("ABS") else None

    expression = property(lambda self: f"{self.name}(x, x_p)")
    term = property(lambda self: f"{self.name}_x")
    vector = property(lambda self: None)
    describes = property(lambda self: "mean absolute difference")
    range = property(lambda self: (0.0, math.inf))


def test_a_third_kind_is_one_class(monkeypatch):
    monkeypatch.setattr(subjects, "KINDS", (*subjects.KINDS, Distortion))
    objective = Objective(constraints=["RATE", "ABS(x,x_p) <= best + 0.02"])
    assert objective.constraints[1].subject == Distortion("ABS")
    assert Objective.from_config(objective.to_config()) == objective
    form = objective.tractable()
    assert str(form.affine["ABS_x"]) == "l"
    assert form.hardness == "likelihood-based"
    assert form.admissible
    assert form.complete == ()
    assert "ABS(x, x_p) is not a KL: it is added as it is (mean absolute" in objective.explain()
    assert unit("ABS_x") == unit("ABS(x, x_p)") == "intensity"
    refused = Objective(constraints=["RATE", "REC_x", "-2*ABS(x,x_p)"]).tractable()
    assert refused.repair.raises == (("ABS(x, x_p)", 2),)
    with pytest.raises(InputError, match="position 7: expected 'x_p' but found 'z'"):
        zoo.Constraint("ABS(x,z)")
