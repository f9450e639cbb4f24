"""Declarations as data: constraints, objectives, edits, bounds and configs."""

import copy
import dataclasses
import json
import pickle
from fractions import Fraction

import pytest
import tabular
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo import Constraint, InputError, Objective
from zoo.objectives import algebra
from zoo.objectives.affine import variable
from zoo.objectives.declaration import Declaration
from zoo.objectives.grammar import Tolerance

rationals = st.builds(Fraction, st.integers(-12, 12), st.integers(1, 7))
EXPRESSIONS = (
    *tabular.KL_CONSTRAINTS.values(),
    "JS(q(x,z)||p(x,z))",
    "MMD(q(z)||p(z))",
    "CHI2(p(x)||q(x))",
    "REC_x",
    "REC_z",
    "RATE",
)


def test_a_constraint_says_its_weight_and_tolerance_either_way():
    written = Constraint("0.5*MMD(q(z)||p(z)) <= 1.2 * best + 1e-4")
    given_apart = Constraint("MMD(q(z)||p(z))", weight=0.5, at_most="1.2*best + 1e-4")
    assert written == given_apart
    assert written.learned
    assert written.weight == Fraction(1, 2)
    assert written.at_most == Tolerance(Fraction(1, 10**4), Fraction(6, 5))
    assert Constraint("RATE").weight == 1
    assert not Constraint("RATE").learned
    assert Constraint("RATE", at_most=5e-4).at_most == Tolerance(Fraction(5, 10**4))
    assert Constraint("RATE", at_most=0).learned


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("2*RATE", 3), "has a weight; do not give 3 too"),
        (("RATE <= 1", None, 2), "has a tolerance; do not give 2 too"),
        (("RATE", "two"), "'two' is not a finite number"),
        (("RATE", None, "worst"), "position 1: expected 'best' but found 'worst'"),
        (("RATE", None, float("nan")), "nan is not a finite number"),
        (("RATE", -1, 3), "starts at -1: give a start that is not negative"),
        (("-2*RATE <= 3",), "starts at -2: give a start that is not negative"),
    ],
)
def test_contradictory_constraints_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Constraint(*arguments)


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("JS(p(x,z)||q(x,z))", "JS_xz"),
        ("MMD(q(z)||p(z))", "MMD_z"),
        ("W1(q(x)||p(x))", "W1_x"),
        ("CHI2(p(x)||q(x))", "CHI2_x_pq"),
        ("FKL(q(z)||p(z))", "FKL_z_qp"),
    ],
)
def test_terms_of_other_divergences(text, term):
    assert Constraint(text).term == term
    assert Objective(constraints=[text]).tractable().affine == {term: 1}


def test_declarations_are_frozen_values():
    objective = zoo.objective("infovae_kl")
    for value in (objective, objective.constraints[0]):
        with pytest.raises(AttributeError):
            value.weight = 3
    assert len({objective, zoo.objective("infovae_kl"), zoo.objective("infovae_mmd")}) == 2
    assert pickle.loads(pickle.dumps(objective)) == objective
    assert copy.deepcopy(objective) == objective


def test_constraints_may_be_text_or_a_single_one():
    expected = Objective(alpha_q=Fraction(-1, 2), constraints=(Constraint("2*RATE"),))
    assert Objective(alpha_q="-0.5", constraints="2*RATE") == expected
    assert Objective(alpha_q=-0.5, constraints=Constraint("RATE", 2)) == expected
    assert Objective(alpha_q="-1/2", constraints=["2 * RATE"]) == expected


@pytest.mark.parametrize("alpha", ["many", None, float("inf"), [1]])
def test_alpha_is_a_number(alpha):
    with pytest.raises(InputError, match="is not a finite number"):
        Objective(alpha_q=alpha)


def test_estimators_are_known_by_name():
    with pytest.raises(InputError, match="Unknown estimator of Dz_qp 'mmd': choose one of"):
        Objective(constraints="RATE", estimators={"Dz_qp": "mmd"})


def test_one_tolerance_for_each_divergence():
    with pytest.raises(InputError, match="RATE has two tolerances"):
        Objective(constraints=["RATE <= 4", "2*RATE <= 5"])
    with pytest.raises(InputError, match="A constraint is 5"):
        Objective(constraints=[5])


def test_learned_multipliers_are_numbered_in_order():
    one = Objective(constraints=["RATE", "REC_x <= 4"])
    assert [(s, c.expression) for s, c in one.learned] == [("l", "REC_x")]
    two = Objective(constraints=["3*REC_x <= 4", "RATE", "0.5*MMD(q(z)||p(z)) <= best"])
    assert [(s, c.expression) for s, c in two.learned] == [
        ("l1", "REC_x"),
        ("l2", "MMD(q(z)||p(z))"),
    ]
    assert two.initial_multipliers == {"l1": 3, "l2": Fraction(1, 2)}
    assert two.multiplier(two.constraints[0]) == variable("l1")
    assert two.multiplier(two.constraints[1]) == 1
    form = two.tractable()
    assert form.affine == {"REC_x": variable("l1"), "RATE": 1, "MMD_z": variable("l2")}
    assert form.coefficients == {"REC_x": 3, "RATE": 1, "MMD_z": Fraction(1, 2)}
    assert form.coefficients["Dz_qp"] == 0
    assert "Dz_qp" not in form.coefficients


def test_raised_changes_the_fixed_multiplier_and_no_other():
    objective = Objective(constraints=["KL(q(z)||p(z)) <= 1", "2*KL(q(z)||p(z))"])
    raised = objective.raised("kl(q(z)||p(z))", Fraction(1, 2))
    assert [str(c) for c in raised.constraints] == ["KL(q(z)||p(z)) <= 1", "2.5*KL(q(z)||p(z))"]
    added = objective.raised("KL(q(x)||p(x))", 3)
    assert [str(c) for c in added.constraints[2:]] == ["3*KL(q(x)||p(x))"]
    assert objective.constraints[1].weight == 2


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    rationals,
    rationals,
    st.lists(
        st.tuples(
            st.sampled_from(EXPRESSIONS),
            rationals,
            st.sampled_from((None, "0.5", "best", "1.2*best - 1/3")),
        ),
        max_size=5,
        unique_by=lambda row: row[0],
    ),
    st.booleans(),
    st.booleans(),
    st.sampled_from(({}, {"Dz_qp": "stein"}, {"J_pq": "ratio", "Dx_qp": "ratio"})),
)
def test_config_round_trip(alpha_q, alpha_p, rows, implicit, reverse, estimators):
    objective = Objective(
        alpha_q,
        alpha_p,
        [Constraint(e, w if eps is None else abs(w), eps) for e, w, eps in rows],
        name="any",
        implicit_encoder=implicit,
        reverse_rate=reverse,
        estimators=estimators,
        edits=("an edit",),
        parameters={"a": alpha_q, "e": "best + 4", "n": "90"},
    )
    config = objective.to_config()
    again = Objective.from_config(json.loads(json.dumps(config)))
    assert again == objective
    assert again.to_config() == config
    assert again.tractable().affine == objective.tractable().affine


@pytest.mark.parametrize(
    "config",
    [
        None,
        [],
        "vae",
        {"alpha": 1},
        {"alpha_q": [1]},
        {"constraints": 5},
        {"constraints": [5]},
        {"constraints": None},
        {"constraints": ["KL"]},
        {"estimators": 5},
        {"estimators": {"Dz_qp": "guess"}},
        {"edits": 5},
        {"parameters": 5},
        {"parameters": {"a": [1]}},
    ],
)
def test_a_config_that_is_none_is_refused(config):
    with pytest.raises(InputError):
        Objective.from_config(config)


def test_substitution_is_a_declared_edit():
    infovae = zoo.objective("infovae_kl", a="1/4", l=3)
    edited = infovae.substitute("KL(q(z)||p(z))", "MMD")
    expected = zoo.objective("infovae_mmd", a="1/4", l=3)
    assert edited.tractable().affine == expected.tractable().affine
    assert edited.tractable().affine == {
        "REC_x": 1,
        "RATE": Fraction(3, 4),
        "MMD_z": Fraction(9, 4),
    }
    assert edited.edits == ("Dz_qp became MMD_z: an edit, not an equivalence",)
    assert edited.edits[0] in edited.tractable().notes
    adversarial = infovae.substitute("KL(q(z)||p(z))", "js").tractable().affine
    expected = zoo.objective("infovae_adversarial", a="1/4", l=3)
    assert adversarial == expected.tractable().affine


@settings(max_examples=100, deadline=None, derandomize=True)
@given(rationals, rationals)
def test_substitution_makes_infovae_mmd_wherever_it_is_allowed(a, lam):
    infovae = zoo.objective("infovae_kl", a=a, l=lam)
    if a + lam - 1 < 0:
        with pytest.raises(InputError, match="only a non-negative one can become MMD"):
            infovae.substitute("KL(q(z)||p(z))", "MMD")
        return
    edited = infovae.substitute("KL(q(z)||p(z))", "MMD").tractable()
    expected = zoo.objective("infovae_mmd", a=a, l=lam).tractable()
    assert edited.affine == expected.affine
    assert edited.coefficients["RATE"] - edited.coefficients["REC_x"] == -a


def test_substitution_in_the_other_spaces():
    as_vae = zoo.objective("as_vae")
    for expression, divergence, term, new in (
        ("KL(p(x,z)||q(x,z))", "JS", "J_pq", "JS_xz"),
        ("KL(q(x)||p(x))", "W1", "Dx_qp", "W1_x"),
        ("KL(p(z)||q(z))", "CHI2", "Dz_pq", "CHI2_z_pq"),
    ):
        before = as_vae.tractable().affine
        after = as_vae.substitute(expression, divergence).tractable().affine
        assert term not in after
        assert after[new] == before[term] == 1
        assert {k: v for k, v in after.items() if k != new} == {
            k: v for k, v in before.items() if k != term
        }


@pytest.mark.parametrize(
    ("objective", "expression", "divergence", "message"),
    [
        (zoo.objective("vae"), "KL(q(x|z)||p(x|z))", "MMD", "is not a term of the form"),
        (zoo.objective("vae"), "RATE", "MMD", "is not a term of the form"),
        (zoo.objective("infovae_kl"), "KL(q(z)||p(z))", "MDM", "did you mean 'MMD'"),
        (
            Objective(constraints=["RATE", "KL(q(z)||p(z)) <= 1"]),
            "KL(q(z)||p(z))",
            "MMD",
            "has the learned coefficient l: declare MMD with the tolerance",
        ),
    ],
)
def test_substitutions_that_are_refused(objective, expression, divergence, message):
    with pytest.raises(InputError, match=message):
        objective.substitute(expression, divergence)


def preferring(alpha_q):
    """[U] eq. 17: alpha I_q under a bound on -ELBO and one on MMD(q(z)||p(z))."""
    return Objective(
        alpha_q=alpha_q,
        constraints=[
            Constraint("KL(q(x,z)||p(x,z))", at_most="best + 4"),
            Constraint("MMD(q(z)||p(z))", weight=100, at_most="best + 0.0005"),
        ],
    )


@pytest.mark.parametrize("a1", [1, "1/2", 7])
def test_bounding_the_information_gives_lagvae(a1):
    for sign, name in ((1, "lagvae_min"), (-1, "lagvae_max")):
        bounded = preferring(sign * Fraction(a1)).bounded()
        member = zoo.objective(name, a1=a1)
        assert bounded.tractable().affine == member.tractable().affine
        assert bounded.tractable().admissible
        assert set(map(str, bounded.constraints)) == set(map(str, member.constraints))
    # Unbounded, Dz_qp = -a1 would be maximised or RATE = l1 - a1 could be.
    assert not preferring(Fraction(a1)).tractable().admissible
    assert not preferring(-Fraction(a1)).tractable().admissible


@pytest.mark.parametrize(("alpha_q", "alpha_p"), [(2, 0), (-2, 0), (0, 2), (0, -2), (1, -3)])
def test_bounds_of_the_information_on_tables(alpha_q, alpha_p):
    """[U] eq. 13: what is added is a KL, so alpha I is bounded from above, up to the entropies."""
    objective = Objective(alpha_q=alpha_q, alpha_p=alpha_p)
    bounded = objective.bounded()
    for tables in tabular.models_of(4):
        gap = tabular.lagrangian(bounded, tables) - tabular.lagrangian(objective, tables)
        assert gap > 0
    consistent = tabular.Tables(
        tables.marginal("p", "x"), tables.p_z, tables.density("p", "z|x"), tables.decoder
    )
    # Tight where p(x,z) = q(x,z).
    assert tabular.lagrangian(bounded, consistent) == pytest.approx(
        tabular.lagrangian(objective, consistent), abs=1e-12
    )


def test_bounding_needs_a_sign():
    with pytest.raises(InputError, match="The sign of alpha = a is open"):
        Objective(alpha_q=variable("a")).bounded()
    neutral = zoo.objective("vae")
    assert neutral.bounded() == neutral


def test_a_symbolic_weight_prints_in_brackets():
    assert str(Constraint("RATE", 1 - variable("a"))) == "(1 - a)*RATE"


def test_equal_objectives_share_one_form():
    first, second = zoo.objective("lagvae_max"), zoo.objective("lagvae_max")
    form = first.tractable()
    assert second.tractable() is form
    assert form.objective == second
    assert zoo.objective("lagvae_max", a1=2).tractable() is not form
    # None of these is part of an objective's hash, and all are part of what it equals.
    for change in (
        {"name": "other"},
        {"estimators": {"Dz_qp": "stein"}},
        {"edits": ("an edit",)},
        {"parameters": {}},
        {"implicit_encoder": True},
    ):
        changed = dataclasses.replace(first, **change)
        assert type(changed) is Objective
        assert changed.tractable() is not form
        assert changed.tractable().objective == changed
    assert form.objective.multiplier(second.constraints[1]) == variable("l1")


def test_what_is_shared_is_read_only():
    form = zoo.objective("lagvae_max").tractable()
    for shared in (form.affine, form.coefficients, form.constant, form.nulls):
        for change in (
            lambda c: c.update({"RATE": 0}),
            lambda c: c.__setitem__("RATE", 0),
            lambda c: c.pop("RATE", 0),
            lambda c: c.clear(),
        ):
            with pytest.raises(TypeError, match="read only"):
                change(shared)
    again = pickle.loads(pickle.dumps(form))
    assert again == copy.deepcopy(form) == form
    assert list(again.affine) == list(form.affine)


def test_a_declaration_is_not_an_objective():
    objective = zoo.objective("vae")
    declaration = Declaration(constraints=objective.constraints, name="vae")
    assert declaration != objective
    assert declaration.to_config() == objective.to_config()
    assert algebra.tractable(declaration).affine == objective.tractable().affine
    assert repr(objective).startswith("Objective(")
