"""When a form may be trained, how hard it is, and what its constraints imply."""

from fractions import Fraction

import pytest
import spans
import tabular
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo import Constraint, Objective
from zoo.objectives import algebra, family, vectors
from zoo.objectives.affine import variable

KEYS = tuple(tabular.KL_CONSTRAINTS)
EIGHT = ("REC_x", "RATE", "Dz_qp", "Dx_qp", "REC_z", "J_pq", "Dx_pq", "Dz_pq")
MARGINAL = ("Dz_qp", "Dx_qp", "Dx_pq", "Dz_pq")
P = list(vectors.NULLS.values())

rationals = st.builds(Fraction, st.integers(-12, 12), st.integers(1, 6))
sparse = st.one_of(st.just(Fraction(0)), st.just(Fraction(0)), rationals)
twelve = st.tuples(*[sparse] * 12)


def thorough(examples):
    return settings(max_examples=examples, deadline=None, derandomize=True)


def objective_of(values):
    weights = {key: w for key, w in zip(KEYS, values[2:], strict=True) if w}
    return tabular.kl_objective(values[0], values[1], weights)


@thorough(300)
@given(twelve)
def test_admissible_if_and_only_if_no_coefficient_is_negative(values):
    form = objective_of(values).tractable()
    c = [form.coefficients[name] for name in EIGHT]
    assert form.admissible == (all(x >= 0 for x in c) and any(c))
    if any(c):
        assert len(form.refusals) == sum(x < 0 for x in c)


def test_refusals_name_the_term_and_what_training_would_do():
    form = Objective(alpha_p=1, constraints=["-2*KL(q(z)||p(z))"]).tractable()
    assert form.refusals == (
        "Dz_qp has coefficient -2: training would maximise Dz_qp.",
        "REC_z has coefficient -1: training would minimise the likelihood in REC_z.",
        "Dx_pq has coefficient -1: training would maximise Dx_pq.",
    )


def test_nothing_to_train_is_refused():
    for objective in (
        Objective(),
        Objective(constraints=["0*KL(q(x,z)||p(x,z))"]),
        Objective(constraints=["KL(q(z)||p(z))", "-1*KL(q(z)||p(z))"]),
    ):
        form = objective.tractable()
        assert not form.admissible
        assert form.refusals == ("Every term has coefficient 0: there is nothing to train.",)
        assert form.repair is None


def test_a_negative_weight_on_another_divergence_is_refused():
    form = Objective(constraints=["KL(q(x,z)||p(x,z))", "-1*MMD(q(z)||p(z))"]).tractable()
    assert form.refusals == ("MMD_z has coefficient -1: training would maximise MMD_z.",)


@pytest.mark.parametrize("name", ["JS", "MMD", "W1", "SW", "CHI2", "TV", "H2", "FKL", "RKL"])
@pytest.mark.parametrize("space", ["x|z", "z|x"])
def test_only_kl_can_compare_conditionals(name, space):
    objective = Objective(constraints=["KL(q(x,z)||p(x,z))", f"{name}(q({space})||p({space}))"])
    form = objective.tractable()
    assert form.hardness == "not computable"
    assert not form.admissible
    assert form.repair is None
    assert "compares conditionals" in form.refusals[0]
    assert name in form.refusals[0]


def test_an_implicit_encoder_has_no_density():
    form = Objective(constraints=["KL(q(x,z)||p(x,z))"], implicit_encoder=True).tractable()
    assert form.affine == {"REC_x": 1, "RATE_ratio": 1}
    assert form.hardness == "binary"
    infogan = Objective(
        alpha_p=-1, constraints=["KL(p(z|x)||q(z|x))", "JS(q(x)||p(x))"], implicit_encoder=True
    ).tractable()
    assert not infogan.admissible
    assert "implicit encoder" in infogan.refusals[-1]


def test_the_reverse_rate_compares_joints():
    objective = Objective(alpha_p=1, constraints=["KL(p(x)||q(x))"], reverse_rate=True)
    form = objective.tractable()
    assert form.affine == {"RATE_p": 1}
    assert form.hardness == "binary"


@thorough(250)
@given(
    twelve,
    st.lists(
        st.tuples(
            st.sampled_from(("JS", "MMD", "CHI2", "W1")),
            st.sampled_from(("x", "z", "x,z")),
            st.builds(Fraction, st.integers(1, 9)),
            st.sampled_from((None, "0.5", "best + 1")),
        ),
        max_size=2,
        unique_by=lambda other: other[:2],
    ),
    st.booleans(),
)
def test_class_rule(values, others, cancel):
    """Binary if alpha_p + K != 0 or a joint is compared by samples; unary if a marginal is."""
    if cancel:  # alpha_p + K = 0: otherwise nearly every random objective is binary
        values = (values[0], -sum(values[7:8]) - sum(values[10:12]), *values[2:])
    declared = objective_of(values)
    w = dict(zip(KEYS, values[2:], strict=True))
    big_k = w["pq", "xz"] + w["pq", "z|x"] + w["pq", "x|z"]
    if cancel:
        assert values[1] + big_k == 0
    objective = Objective(
        declared.alpha_q,
        declared.alpha_p,
        (
            *declared.constraints,
            *(
                Constraint(f"{name}(q({space})||p({space}))", weight, at_most=eps)
                for name, space, weight, eps in others
            ),
        ),
    )
    form = objective.tractable()
    spaces = {space for _, space, _, _ in others}
    if values[1] + big_k != 0 or "x,z" in spaces:
        expected = "binary"
    elif any(form.coefficients[name] for name in MARGINAL) or spaces:
        expected = "unary"
    else:
        expected = "likelihood-based"
    assert form.hardness == expected


def test_a_learned_multiplier_counts_even_if_it_starts_at_zero():
    start = Constraint("MMD(q(z)||p(z))", weight=0, at_most=5e-4)
    form = Objective(constraints=["KL(q(x,z)||p(x,z))", start]).tractable()
    assert form.hardness == "unary"
    joint = Constraint("JS(q(x,z)||p(x,z))", weight=0, at_most="best + 0.1")
    assert Objective(constraints=[joint]).tractable().hardness == "binary"


def in_span(target, *spaces):
    space = [vector for part in spaces for vector in part]
    return spans.rank([*space, target]) == spans.rank(space)


@thorough(60)
@given(twelve, st.sampled_from(("likelihood-based", "unary", "binary")))
def test_class_is_the_smallest_toolbox_that_spans_the_objective(values, wanted):
    """[U] definition 2: computable = in the span of the tools and the elementary nulls."""
    weights = dict(zip(KEYS, values[2:], strict=True))
    alpha_q, alpha_p = values[:2]
    if wanted != "binary":  # alpha_p + K = 0
        alpha_p = -(weights["pq", "xz"] + weights["pq", "z|x"] + weights["pq", "x|z"])
    if wanted == "likelihood-based":  # and every D coefficient is 0
        weights["qp", "z"] = alpha_q + weights["qp", "x|z"]
        weights["qp", "x"] = weights["qp", "z|x"]
        weights["pq", "x"] = alpha_p + weights["pq", "z|x"]
        weights["pq", "z"] = weights["pq", "x|z"]
    objective = tabular.kl_objective(alpha_q, alpha_p, weights)
    target = algebra.kl_vector(objective)
    hardness = objective.tractable().hardness
    boxes = spans.TOOLBOXES
    assert in_span(target, boxes["likelihood-based"], P) == (hardness == "likelihood-based")
    assert in_span(target, boxes["unary"], P) == (hardness != "binary")
    assert in_span(target, boxes["binary"], P)
    if wanted == "likelihood-based":
        assert hardness == wanted


@pytest.mark.parametrize(
    ("constraints", "complete"),
    [
        (["KL(q(x,z)||p(x,z))"], ("C1",)),
        (["JS(q(x,z)||p(x,z))"], ("C1",)),
        (["KL(q(x)||p(x))", "KL(q(z|x)||p(z|x))"], ("C2",)),
        (["JS(q(x)||p(x))", "KL(p(z|x)||q(z|x))"], ("C2",)),
        (["MMD(q(z)||p(z))", "KL(q(x|z)||p(x|z))"], ("C3",)),
        (["RATE <= 20", "REC_x"], ("C3",)),
        (["REC_z", "W1(q(x)||p(x))"], ("C2",)),
        (["KL(p(z)||q(z)) <= 1", "REC_x <= best + 4"], ("C3",)),
        (["KL(q(x)||p(x))", "KL(q(x|z)||p(x|z))"], ()),
        (["KL(q(x)||p(x))", "KL(q(z)||p(z))"], ()),
        (["0*KL(q(x,z)||p(x,z))"], ()),
        (["-1*KL(q(x,z)||p(x,z))"], ()),
        ([], ()),
        (
            ["KL(q(x)||p(x))", "KL(q(z)||p(z))", "KL(q(x|z)||p(x|z))", "KL(q(z|x)||p(z|x))"],
            ("C2", "C3"),
        ),
    ],
)
def test_complete_sets_of_constraints(constraints, complete):
    form = Objective(constraints=constraints).tractable()
    assert form.complete == complete
    assert any(note.startswith("incomplete") for note in form.notes) == (not complete)


def test_a_complete_set_at_zero_means_equal_joints():
    """C1, C2 and C3 vanish exactly on p(x,z) = q(x,z); the pair (x, x|z) can vanish off it."""
    tables = tabular.random_tables(1)
    consistent = tabular.Tables(
        tables.marginal("p", "x"),
        tables.p_z,
        tables.density("p", "z|x"),
        tables.decoder,
    )
    for space in tabular.SPACES:
        assert consistent.kl("qp", space) == pytest.approx(0, abs=1e-14)
        assert tables.kl("qp", space) > 1e-3
    # x and z independent on both sides, equal on x, different on z.
    x, z = tables.q_x, tables.p_z
    other = z[::-1]
    broken = tabular.Tables(x, z, other + 0 * x[:, None], x[:, None] + 0 * z)
    assert broken.kl("qp", "x") == pytest.approx(0, abs=1e-14)
    assert broken.kl("qp", "x|z") == pytest.approx(0, abs=1e-14)
    assert broken.kl("qp", "xz") > 1e-3


def notes_of(objective):
    return " ".join(objective.tractable().notes)


def test_notes_on_variances_tolerances_and_duality():
    assert "variances have a floor" in notes_of(family.objective("aae"))
    assert "variances have a floor" not in notes_of(family.objective("beta_vae", beta=2))
    assert "bounds -ELBO" in notes_of(family.objective("lagvae_min"))
    assert "bounds -ELBO" not in notes_of(family.objective("vae"))
    assert "strong duality can fail" in notes_of(family.objective("lagvae_max"))
    assert "strong duality" not in notes_of(family.objective("lagvae_min"))


def test_a_learned_elbo_constraint_leaves_no_entropy_behind():
    # l (KL(q(x,z)||p(x,z)) + H_q(x) - e) = l (REC_x + RATE - e)
    form = Objective(constraints=["KL(q(x,z)||p(x,z)) <= 90"]).tractable()
    assert form.affine == {"REC_x": variable("l"), "RATE": variable("l")}
    assert form.constant == {"l e": -1}


def test_a_coefficient_must_stay_non_negative_for_every_multiplier():
    # The learned l on KL(q(x|z)||p(x|z)) makes Dz_qp l_z - l: whatever l_z, l can exceed it.
    form = Objective(
        constraints=["KL(q(x|z)||p(x|z)) <= 1", "5*KL(q(z)||p(z))", "KL(q(x,z)||p(x,z))"]
    ).tractable()
    assert form.coefficients["Dz_qp"] == 4  # at the multiplier's first value
    assert not form.admissible
    assert form.repair is None
