"""The repair: the smallest raise of multipliers, with the information preference untouched."""

from fractions import Fraction

import pytest
import tabular
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo import Constraint, Objective
from zoo.objectives import derivation, family

KEYS = tuple(tabular.KL_CONSTRAINTS)
EIGHT = ("REC_x", "RATE", "Dz_qp", "Dx_qp", "REC_z", "J_pq", "Dx_pq", "Dz_pq")

rationals = st.builds(Fraction, st.integers(-12, 12), st.integers(1, 6))
sparse = st.one_of(st.just(Fraction(0)), rationals)
vectors = st.tuples(*[sparse] * 12)
others = st.lists(
    st.tuples(
        st.sampled_from(("JS(q(z)||p(z))", "MMD(q(z)||p(z))", "JS(q(x,z)||p(x,z))")), rationals
    ),
    max_size=3,
)
shares = st.builds(Fraction, st.integers(1, 9), st.just(9))  # of the amount that was raised


def objective_of(values, extra=()):
    weights = {key: w for key, w in zip(KEYS, values[2:], strict=True) if w}
    declared = tabular.kl_objective(values[0], values[1], weights)
    more = tuple(Constraint(text, weight) for text, weight in extra)
    return Objective(declared.alpha_q, declared.alpha_p, (*declared.constraints, *more))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(vectors, others, shares)
def test_repair_is_admissible_faithful_and_minimal(values, extra, share):
    objective = objective_of(values, extra)
    form = objective.tractable()
    repair = form.repair
    if form.admissible:
        assert repair is None
        return
    if repair is None:  # only where nothing would be left to train
        c = form.coefficients
        assert all(value <= 0 for value in c.values())
        assert c["REC_z"] == 0
        assert c["RATE"] == c["REC_x"]
        return
    repaired = repair.objective.tractable()
    assert repaired.admissible
    assert (repair.objective.alpha_q, repair.objective.alpha_p) == values[:2]
    assert derivation.effective_alpha(repaired) == values[:2]
    assert repair.reverse_rate == (values[1] > 0)
    assert len(dict(repair.raises)) == len(repair.raises)
    for expression, amount in repair.raises:
        assert amount > 0
        assert not repair.objective.raised(expression, -share * amount).tractable().admissible
    # Its words say all of it.
    for expression, _ in repair.raises:
        assert f"raise the multiplier on {expression} by" in str(repair)
    assert ("RATE_p" in str(repair)) == repair.reverse_rate
    # What was not raised is as it was declared.
    raised = dict(repair.raises)
    for key, expression in tabular.KL_CONSTRAINTS.items():
        before = dict(zip(KEYS, values[2:], strict=True))[key]
        after = sum(c.weight for c in repair.objective.constraints if c.expression == expression)
        assert after == before + raised.get(expression, 0)


@pytest.mark.parametrize(
    ("a", "lam"), [(0, "1/2"), ("1/2", "1/4"), ("-1/2", 1), ("1/3", "1/3"), (-3, 2)]
)
def test_infovae_with_too_little_becomes_beta_vae(a, lam):
    """l + a < 1 is repaired to beta-VAE with beta = 1 - a."""
    form = family.objective("infovae_kl", a=a, l=lam).tractable()
    beta = 1 - Fraction(a)
    deficit = beta - Fraction(lam)
    assert deficit > 0
    assert not form.admissible
    assert form.repair.raises == (("KL(q(z)||p(z))", deficit),)
    repaired = form.repair.objective.tractable()
    assert repaired.affine == family.objective("beta_vae", beta=beta).tractable().affine
    assert repaired.hardness == "likelihood-based"


def test_a_negative_rate_is_lifted_through_the_decoder_and_dz_checked_again():
    # -2 I_q + J_qp = REC_x - RATE + 2 Dz_qp: KL(q(x|z)||p(x|z)) takes 1 from Dz_qp, 1 is left.
    form = Objective(alpha_q=-2, constraints=["KL(q(x,z)||p(x,z))"]).tractable()
    assert form.affine == {"REC_x": 1, "RATE": -1, "Dz_qp": 2}
    assert form.repair.raises == (("KL(q(x|z)||p(x|z))", 1),)
    assert form.repair.objective.tractable().affine == {"REC_x": 2, "Dz_qp": 1}
    # Here Dz_qp has 1 and loses 2 to the same lift.
    form = Objective(
        alpha_q=-5, constraints=["3*KL(q(x,z)||p(x,z))", "-4*KL(q(z)||p(z))"]
    ).tractable()
    assert form.affine == {"REC_x": 3, "RATE": -2, "Dz_qp": 1}
    assert form.repair.raises == (("KL(q(x|z)||p(x|z))", 2), ("KL(q(z)||p(z))", 1))
    assert form.repair.objective.tractable().affine == {"REC_x": 5}


def test_a_negative_likelihood_is_lifted_through_the_joint():
    form = Objective(alpha_q=3, constraints=["-1*KL(q(x,z)||p(x,z))", "RATE"]).tractable()
    assert form.coefficients["REC_x"] == -1
    assert form.repair.raises[0] == ("KL(q(x,z)||p(x,z))", 1)
    assert form.repair.objective.tractable().coefficients["REC_x"] == 0


def test_a_positive_alpha_p_needs_the_reverse_rate():
    objective = Objective(alpha_p=1, constraints=["2*KL(p(x,z)||q(x,z))", "KL(p(x)||q(x))"])
    form = objective.tractable()
    assert form.affine == {"REC_z": -1, "J_pq": 3}
    assert form.repair.raises == ()
    assert form.repair.reverse_rate
    repaired = form.repair.objective.tractable()
    assert repaired.affine == {"J_pq": 2, "RATE_p": 1}
    assert repaired.hardness == "binary"
    # I_p + Dx_pq = KL(p(x,z)||p(z)q(x))
    tables = tabular.random_tables(2)
    assert tables.term("RATE_p") == pytest.approx(
        tables.information("p") + tables.term("Dx_pq"), abs=1e-12
    )


def test_only_the_negative_part_of_rec_z_becomes_the_reverse_rate():
    objective = Objective(
        alpha_p=1, constraints=["REC_z <= 3", "KL(p(x)||q(x))"], reverse_rate=True
    )
    form = objective.tractable()
    assert form.admissible
    assert {name: str(c) for name, c in form.affine.items()} == {"REC_z": "l", "RATE_p": "1"}


def test_another_divergence_is_lifted_to_zero_once():
    form = Objective(
        constraints=["KL(q(x,z)||p(x,z))", "-1*JS(q(z)||p(z))", "-2*JS(q(z)||p(z))"]
    ).tractable()
    assert form.repair.raises == (("JS(q(z)||p(z))", 3),)
    assert form.repair.objective.tractable().affine == {"REC_x": 1, "RATE": 1}


def test_learned_multipliers_stay_as_they_are():
    objective = Objective(
        alpha_q=-1, constraints=["KL(q(x,z)||p(x,z)) <= best + 4", "-1*KL(q(z)||p(z))"]
    )
    form = objective.tractable()
    assert str(form.affine["RATE"]) == "l - 1"
    # RATE = l - 1 is negative at l = 0: the raise must not count on the multiplier.
    repair = form.repair
    assert repair.raises == (("KL(q(x|z)||p(x|z))", 1), ("KL(q(z)||p(z))", 1))
    assert repair.objective.learned == objective.learned
    assert repair.objective.tractable().admissible


def test_no_repair_where_raising_helps_nothing():
    implicit = Objective(alpha_p=-1, constraints=["KL(p(z|x)||q(z|x))"], implicit_encoder=True)
    conditional = Objective(constraints=["JS(q(z|x)||p(z|x))"])
    nothing = Objective(constraints=["-1*KL(q(z)||p(z))"])
    for objective in (implicit, conditional, nothing):
        form = objective.tractable()
        assert not form.admissible
        assert form.repair is None


def test_an_implicit_encoders_rate_is_lifted_alike():
    form = Objective(
        alpha_q=-2, constraints=["KL(q(x,z)||p(x,z))"], implicit_encoder=True
    ).tractable()
    assert form.repair.raises == (("KL(q(x|z)||p(x|z))", 1),)
