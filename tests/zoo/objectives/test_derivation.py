"""The derivation as text and as JSON: what it prints is what holds."""

import json
import re
from fractions import Fraction

import pytest
import tabular
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo import Constraint, Objective
from zoo.objectives import algebra, derivation, vectors
from zoo.objectives.affine import Affine, exact, variable

KEYS = tuple(tabular.KL_CONSTRAINTS)
rationals = st.builds(Fraction, st.integers(-12, 12), st.integers(1, 6))
twelve = st.tuples(*[rationals] * 12)


def derived(objective, form):
    """declared + sum of nulls - sum of terms, over the basic terms: 0 if the derivation holds.

    The two entropies are nulls too, so the constant needs no place of its own.
    """
    parts = [(Fraction(1), algebra.kl_vector(objective))]
    parts += [(c, vectors.NULLS[name]) for name, c in form.nulls.items()]
    parts += [(-1 * form.affine[name], term) for name, term in vectors.TERMS.items()]
    return vectors.combine(*parts)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(twelve)
def test_the_printed_nulls_turn_the_declaration_into_the_form(values):
    weights = {key: w for key, w in zip(KEYS, values[2:], strict=True) if w}
    objective = tabular.kl_objective(values[0], values[1], weights)
    form = objective.tractable()
    assert not any(derived(objective, form))
    # The constant is what the entropies' nulls took away.
    assert form.constant.get("H_q(x)", 0) == form.nulls.get("E_q[log q(x)]", 0)
    assert form.constant.get("H_p(z)", 0) == form.nulls.get("E_p[log p(z)]", 0)


# AVB trains RATE_ratio, which is RATE by another estimator and has no vector of its own.
@pytest.mark.parametrize("name", [name for name in zoo.names() if name != "avb"])
def test_each_models_derivation_holds(name):
    objective = zoo.objective(name)
    assert not any(derived(objective, objective.tractable()))


@pytest.mark.parametrize("name", zoo.names())
def test_explain_has_its_five_steps(name):
    objective = zoo.objective(name)
    form = objective.tractable()
    text = objective.explain()
    assert text == derivation.explain(objective)
    assert text.splitlines()[0] == name
    assert re.findall(r"^(\d)\. (\w+)", text, re.MULTILINE) == [
        ("1", "Declared"),
        ("2", "Expanded"),
        ("3", "Elementary"),
        ("4", "Trained"),
        ("5", "Judged"),
    ]
    trained = text.split("4. Trained\n")[1].splitlines()[0].strip()
    assert trained == derivation.form_text(form)
    assert f"class        {form.hardness}" in text
    assert "admissible   yes" in text
    assert "refused" not in text
    assert "repair " not in text
    for constraint in objective.constraints:
        assert constraint.expression in text
    for null in form.nulls:
        assert f"({null})" in text


def test_explain_shows_the_expansion():
    text = zoo.objective("beta_vae", beta=4).explain()
    assert "minimise   3 I_q(x;z)" in text
    assert "with       4*KL(q(z)||p(z))" in text
    assert "KL(q(x|z)||p(x|z)) = -E_q[log p(x|z)] + E_q[log q(x|z)]" in text
    assert "   REC_x + 4 RATE\n   up to the constant -H_q(x)" in text
    assert "complete     C3" in text


def test_explain_of_a_refused_objective():
    text = zoo.objective("infovae_kl", a="1/2", l="1/5").explain()
    assert "admissible   no" in text
    assert "refused      Dz_qp has coefficient -0.3: training would maximise Dz_qp." in text
    assert "repair       raise the multiplier on KL(q(z)||p(z)) by 0.3" in text
    assert "giving REC_x + 0.5 RATE" in text


def test_explain_of_learned_multipliers_estimators_and_capabilities():
    text = zoo.objective("lagvae_max").explain()
    assert "with       l1*KL(q(x,z)||p(x,z)) <= best + 4" in text
    assert "with       l2*MMD(q(z)||p(z)) <= best + 0.0005" in text
    assert "(1 + l1) REC_x + l1 RATE + l2 MMD_z" in text
    assert "strong duality can fail" in text
    assert "Dz_qp by stein" in zoo.objective("infovae_stein").explain()
    assert "RATE by density ratio, RATE_ratio" in zoo.objective("avb").explain()
    reverse = Objective(
        alpha_p=1, constraints=["KL(p(x,z)||q(x,z))", "KL(p(x)||q(x))"], reverse_rate=True
    )
    assert "using J_pq = REC_z + RATE_p - H_p(z)" in reverse.explain()
    edited = zoo.objective("infovae_kl").substitute("KL(q(z)||p(z))", "MMD")
    assert "Dz_qp became MMD_z: an edit, not an equivalence" in edited.explain()


def test_explain_of_nothing():
    text = Objective().explain()
    assert "minimise   0" in text
    assert "with       no constraint" in text
    assert "there is nothing to train" in text


def test_the_nulls_of_a_symbolic_derivation_are_bracketed():
    text = zoo.objectives.family.get("infovae_mmd").symbolic().explain()
    assert "   (a - 1) * (E_q[log q(x,z) - log q(x) - log q(z|x)])" in text
    assert "+ -a" not in text


@pytest.mark.parametrize(
    ("coefficients", "text"),
    [
        ({}, "0"),
        ({"RATE": Fraction(1), "REC_x": Fraction(1)}, "REC_x + RATE"),
        ({"RATE": Fraction(-1)}, "-RATE"),
        ({"JS_z": Fraction(2), "RATE": Fraction(-1, 2)}, "-0.5 RATE + 2 JS_z"),
        ({"RATE": 1 - variable("a"), "REC_x": variable("b")}, "b REC_x + (1 - a) RATE"),
        ({"RATE": -variable("a"), "REC_x": -variable("b")}, "-b REC_x - a RATE"),
        ({"MMD_z": Fraction(1, 3), "Dz_qp": Fraction(1)}, "Dz_qp + 1/3 MMD_z"),
    ],
)
def test_weighted_text(coefficients, text):
    assert derivation.weighted_text(coefficients) == text


def test_effective_alpha_counts_every_estimator_of_the_rate():
    avb = Objective(
        alpha_q=2,
        alpha_p=1,
        constraints=["KL(q(x,z)||p(x,z))", "2*KL(q(z)||p(z))", "KL(p(x)||q(x))"],
        implicit_encoder=True,
        reverse_rate=True,
    ).tractable()
    assert avb.affine == {"REC_x": 1, "RATE_ratio": 3, "RATE_p": 1}
    assert derivation.effective_alpha(avb) == (2, 1)


@pytest.mark.parametrize("name", zoo.names())
def test_json_is_the_form(name):
    objective = zoo.objective(name)
    form = objective.tractable()
    data = json.loads(json.dumps(derivation.as_json(objective)))
    assert set(data["coefficients"]) == set(form.affine)
    for term, text in data["coefficients"].items():
        c = form.affine[term]
        assert text == str(c) if isinstance(c, Affine) else exact(text) == c
    assert data["hardness"] == form.hardness
    assert data["trained"] == derivation.form_text(form)
    assert data["admissible"] is True
    assert data["refusals"] == []
    assert data["repair"] is None
    assert data["complete"] == list(form.complete)
    assert set(data["nulls"]) == set(form.nulls)
    config = {key: data[key] for key in objective.to_config()}
    assert Objective.from_config(config) == objective


def test_json_of_a_repair_is_an_objective_again():
    objective = Objective(alpha_p="1/2", constraints=["-1*KL(p(x)||q(x))", "JS(q(z)||p(z))"])
    data = json.loads(json.dumps(derivation.as_json(objective)))
    assert data["admissible"] is False
    assert data["coefficients"] == {"REC_z": "-0.5", "J_pq": "0.5", "Dx_pq": "-1.5", "JS_z": "1"}
    assert data["repair"]["reverse_rate"] is True
    assert data["repair"]["raises"] == {"KL(p(x)||q(x))": "1.5"}
    repaired = Objective.from_config(data["repair"]["objective"])
    assert repaired.tractable().admissible
    assert repaired.constraints[0] == Constraint("0.5*KL(p(x)||q(x))")
