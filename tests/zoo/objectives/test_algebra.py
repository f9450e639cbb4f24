"""The theorem: every KL objective has one form on eight terms, equal to what was declared.

alpha_q I_q + alpha_p I_p + sum of weighted KLs  =  sum_i c_i term_i + constant
"""

from fractions import Fraction

import numpy as np
import pytest
import spans
import tabular
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo import Constraint, Objective
from zoo.objectives import algebra, family, vectors
from zoo.objectives.affine import Affine, variable

KEYS = tuple(tabular.KL_CONSTRAINTS)
EIGHT = ("REC_x", "RATE", "Dz_qp", "Dx_qp", "REC_z", "J_pq", "Dx_pq", "Dz_pq")

rationals = st.builds(Fraction, st.integers(-12, 12), st.integers(1, 6))
sparse = st.one_of(st.just(Fraction(0)), rationals)
twelve = st.tuples(*[sparse] * 12)
seeds = st.integers(0, 2**20)


def thorough(examples):
    """Many examples, the same on every run, on however busy a machine."""
    return settings(max_examples=examples, deadline=None, derandomize=True)


def objective_of(values):
    """alpha_q, alpha_p and ten weights; a weight of zero declares no constraint."""
    weights = {key: w for key, w in zip(KEYS, values[2:], strict=True) if w}
    return tabular.kl_objective(values[0], values[1], weights)


def closed_formula(values):
    """The coefficients as they come out by hand, with L and K the weights on joint-like KLs."""
    alpha_q, alpha_p = values[:2]
    w = dict(zip(KEYS, values[2:], strict=True))
    big_l = w["qp", "xz"] + w["qp", "z|x"] + w["qp", "x|z"]
    big_k = w["pq", "xz"] + w["pq", "z|x"] + w["pq", "x|z"]
    return {
        "REC_x": big_l,
        "RATE": alpha_q + big_l,
        "Dz_qp": w["qp", "z"] - alpha_q - w["qp", "x|z"],
        "Dx_qp": w["qp", "x"] - w["qp", "z|x"],
        "REC_z": -alpha_p,
        "J_pq": alpha_p + big_k,
        "Dx_pq": w["pq", "x"] - alpha_p - w["pq", "z|x"],
        "Dz_pq": w["pq", "z"] - w["pq", "x|z"],
    }


def form_value(form, tables, multipliers=None, best=0.0):
    """Returns sum_i c_i term_i + constant, and the sum of the magnitudes for a tolerance."""
    multipliers = dict(multipliers or {})

    def number(value):
        return float(value.at(multipliers) if isinstance(value, Affine) else value)

    parts = [number(c) * tables.term(name) for name, c in form.affine.items()]
    learned = dict(form.objective.learned)
    for name, c in form.constant.items():
        if name in ("H_q(x)", "H_p(z)"):
            entropy = tables.entropy_x if name == "H_q(x)" else tables.entropy_z
            parts.append(number(c) * entropy)
        else:
            symbol, epsilon = name.split()
            assert epsilon == f"e{symbol[1:]}"
            parts.append(number(c) * float(multipliers[symbol]) * learned[symbol].at_most.at(best))
    return sum(parts), 1 + sum(map(abs, parts))


@thorough(700)
@given(twelve)
def test_form_is_the_closed_formula(values):
    form = objective_of(values).tractable()
    expected = closed_formula(values)
    assert {name: form.coefficients[name] for name in EIGHT} == expected
    assert set(form.affine) == {name for name, c in expected.items() if c}
    assert all(isinstance(c, Fraction) for c in form.coefficients.values())
    # The invariants: rewriting cannot change which information is preferred.
    c = form.coefficients
    assert c["RATE"] - c["REC_x"] == values[0]
    assert -c["REC_z"] == values[1]


@thorough(350)
@given(twelve, seeds, st.integers(2, 5), st.integers(2, 5))
def test_form_equals_the_declaration_on_tables(values, seed, x, z):
    objective = objective_of(values)
    tables = tabular.random_tables(seed, x, z)
    value, scale = form_value(objective.tractable(), tables)
    # Sums of a few dozen float64 products: 1e-10 of the magnitudes is far above rounding.
    assert value == pytest.approx(tabular.lagrangian(objective, tables), abs=1e-10 * scale)


OTHERS = ("JS", "MMD", "CHI2", "H2", "TV", "FKL", "RKL")
LEARNABLE = (
    "KL(q(x,z)||p(x,z))",
    "KL(p(x,z)||q(x,z))",
    "KL(q(z)||p(z))",
    "KL(p(x)||q(x))",
    "MMD(q(z)||p(z))",
    "JS(q(x,z)||p(x,z))",
    "CHI2(p(x)||q(x))",
    "REC_x",
    "REC_z",
    "RATE",
)


@thorough(250)
@given(
    twelve,
    st.lists(
        st.tuples(st.sampled_from(LEARNABLE), rationals, st.sampled_from(("0.25", "1.2*best - 1"))),
        min_size=1,
        max_size=3,
        unique_by=lambda row: row[0],
    ),
    st.lists(
        st.tuples(
            st.sampled_from(OTHERS),
            st.sampled_from(("x", "z", "x,z")),
            st.sampled_from(("qp", "pq")),
            rationals,
        ),
        max_size=2,
    ),
    st.lists(rationals, min_size=3, max_size=3),
    st.booleans(),
    st.booleans(),
    seeds,
)
def test_form_equals_the_declaration_with_learned_multipliers_and_other_divergences(
    values, learned, others, multipliers, implicit_encoder, reverse_rate, seed
):
    declared = objective_of(values)
    objective = Objective(
        declared.alpha_q,
        declared.alpha_p,
        (
            *(Constraint(text, abs(start), at_most=eps) for text, start, eps in learned),
            *declared.constraints,
            *(
                Constraint(f"{name}({a}({space})||{b}({space}))", weight)
                for name, space, (a, b), weight in others
            ),
        ),
        implicit_encoder=implicit_encoder,
        reverse_rate=reverse_rate,
    )
    form = objective.tractable()
    symbols = [symbol for symbol, _ in objective.learned]
    assert symbols == (["l"] if len(learned) == 1 else [f"l{i + 1}" for i in range(len(learned))])
    at = {symbol: abs(m) for symbol, m in zip(symbols, multipliers, strict=False)}
    tables = tabular.random_tables(seed)
    value, scale = form_value(form, tables, at, best=0.5)
    declaration = tabular.lagrangian(objective, tables, at, best=0.5)
    assert value == pytest.approx(declaration, abs=1e-10 * scale)
    # `coefficients` is the same form at each multiplier's first value.
    initial = {s: abs(start) for s, (_, start, _) in zip(symbols, learned, strict=True)}
    for name, c in form.affine.items():
        assert form.coefficients[name] == (c.at(initial) if isinstance(c, Affine) else c)


# Exact identities between declarations, as changes of the weights: what is added and taken.
REWRITINGS = (
    # J_qp = E_q(z) KL(q(x|z)||p(x|z)) + Dz_qp = E_q(x) KL(q(z|x)||p(z|x)) + Dx_qp
    {("qp", "xz"): -1, ("qp", "x|z"): 1, ("qp", "z"): 1},
    {("qp", "xz"): -1, ("qp", "z|x"): 1, ("qp", "x"): 1},
    # J_pq = E_p(x) KL(p(z|x)||q(z|x)) + Dx_pq = E_p(z) KL(p(x|z)||q(x|z)) + Dz_pq
    {("pq", "xz"): -1, ("pq", "z|x"): 1, ("pq", "x"): 1},
    {("pq", "xz"): -1, ("pq", "x|z"): 1, ("pq", "z"): 1},
)


@thorough(250)
@given(twelve, st.tuples(*[rationals] * 4), st.tuples(*[rationals] * 3))
def test_form_is_invariant_under_chain_rule_rewritings(values, amounts, to_likelihoods):
    form = objective_of(values).tractable()
    weights = dict(zip(KEYS, values[2:], strict=True))
    for rewriting, amount in zip(REWRITINGS, amounts, strict=True):
        for key, sign in rewriting.items():
            weights[key] += sign * amount
    # RATE = I_q + Dz_qp;  REC_x = C_x - I_q + H_q(x);  REC_z = C_z - I_p + H_p(z)
    rate, rec_x, rec_z = to_likelihoods
    weights["qp", "z"] -= rate
    weights["qp", "x|z"] -= rec_x
    weights["pq", "z|x"] -= rec_z
    rewritten = tabular.kl_objective(values[0] - rate + rec_x, values[1] + rec_z, weights)
    rewritten = Objective(
        rewritten.alpha_q,
        rewritten.alpha_p,
        (
            *rewritten.constraints,
            Constraint("RATE", rate),
            Constraint("REC_x", rec_x),
            Constraint("REC_z", rec_z),
        ),
    )
    assert rewritten.tractable().affine == form.affine
    assert rewritten.tractable().hardness == form.hardness


@thorough(150)
@given(twelve, st.tuples(*[rationals] * 10))
def test_adding_nulls_changes_no_coefficient(values, weights):
    target = algebra.kl_vector(objective_of(values))
    terms, nulls = vectors.decompose(target)
    added = zip(weights, vectors.NULLS.values(), strict=True)
    new_terms, new_nulls = vectors.decompose(vectors.combine((Fraction(1), target), *added))
    assert new_terms == terms
    for name, weight in zip(vectors.NULLS, weights, strict=True):
        assert new_nulls[name] == nulls[name] + weight


@thorough(100)
@given(twelve, twelve, rationals)
def test_form_is_linear_in_the_declaration(first, second, factor):
    total = tuple(a + factor * b for a, b in zip(first, second, strict=True))
    forms = [objective_of(values).tractable().coefficients for values in (first, second, total)]
    for name in EIGHT:
        assert forms[2][name] == forms[0][name] + factor * forms[1][name]


@thorough(60)
@given(twelve)
def test_decomposition_adds_up_exactly(values):
    target = algebra.kl_vector(objective_of(values))
    terms, nulls = vectors.decompose(target)
    parts = [(c, vectors.TERMS[name]) for name, c in terms.items()]
    parts += [(c, vectors.NULLS[name]) for name, c in nulls.items()]
    assert vectors.combine(*parts) == target


def test_repeated_constraints_add_up():
    twice = Objective(constraints=["0.5*KL(q(z)||p(z))", "1/3*KL(q(z)||p(z))", "REC_x", "REC_x"])
    assert twice.tractable().coefficients == {"REC_x": 2, "Dz_qp": Fraction(5, 6)}


def test_symbols_go_through_the_algebra():
    a, b = variable("a"), variable("b")
    form = Objective(alpha_q=a, constraints=[Constraint("KL(q(x,z)||p(x,z))", b)]).tractable()
    assert form.affine == {"REC_x": b, "RATE": a + b, "Dz_qp": -a}


def basic_term(tables, expectation, atom):
    """E_e[log s(...)], a basic term."""
    return tables.mean_log(expectation, atom[0], atom[2:-1].replace(",", ""))


def value_on(tables, target):
    return sum(
        float(entry) * basic_term(tables, *basis)
        for basis, entry in zip(vectors.BASIS, target, strict=True)
        if entry
    )


@pytest.mark.parametrize("name", EIGHT)
def test_each_term_is_its_vector_on_tables(name):
    for tables in tabular.models_of(3):
        assert value_on(tables, vectors.TERMS[name]) == pytest.approx(tables.term(name), abs=1e-12)


@pytest.mark.parametrize("name", vectors.NULLS)
def test_each_null_is_a_constant_on_tables(name):
    null = vectors.NULLS[name]
    # A sum of at most 3 logarithms under one expectation.
    assert tabular.spread(lambda tables: value_on(tables, null)) < 1e-12
    tables = tabular.random_tables(5)
    constant = {"E_q[log q(x)]": -tables.entropy_x, "E_p[log p(z)]": -tables.entropy_z}
    assert value_on(tables, null) == pytest.approx(constant.get(name, 0), abs=1e-12)


def test_no_basic_term_is_lost():
    assert len(set(vectors.BASIS)) == len(vectors.BASIS) == 20
    assert len(vectors.TERMS) == 8
    assert len(vectors.NULLS) == 10
    assert set(vectors.TERMS) == set(EIGHT)
    assert spans.rank([*vectors.TERMS.values(), *vectors.NULLS.values()]) == 18


# The table at the end of [U] appendix B, computed. Each family at several values of its
# parameters, as declared: only KL members, the GAN's JS on x replaced by both KLs on x.

P = list(vectors.NULLS.values())
R = list(spans.KL_EXPRESSIONS.values())


def declared(objective):
    return algebra.kl_vector(objective)


def kl_infovae(alpha, l3, l4):
    """[U] theorem 4: alpha I_q + C_x + l3 KL(q(z)||p(z)) + l4 KL(p(z)||q(z))."""
    return Objective(
        alpha_q=alpha,
        constraints=[
            Constraint("KL(q(x|z)||p(x|z))"),
            Constraint("KL(q(z)||p(z))", l3),
            Constraint("KL(p(z)||q(z))", l4),
        ],
    )


def kl_infogan(l1, l2):
    """[U] theorem 4: -I_p + C_z + l1 KL(p(x)||q(x)) + l2 KL(q(x)||p(x))."""
    return Objective(
        alpha_p=-1,
        constraints=[
            Constraint("KL(p(z|x)||q(z|x))"),
            Constraint("KL(p(x)||q(x))", l1),
            Constraint("KL(q(x)||p(x))", l2),
        ],
    )


BETA_VAE = [declared(family.objective("beta_vae", beta=beta)) for beta in (0, "1/2", 1, 4)]
VMI = [declared(family.objective("vmi"))]
INFOVAE = [
    *(declared(kl_infovae(*v)) for v in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (-2, 3, 5))),
    *(declared(family.objective("infovae_kl", a=a, l=lam)) for a, lam in ((0, 2), ("1/3", 7))),
]
INFOGAN = [declared(kl_infogan(*v)) for v in ((0, 0), (1, 0), (0, 1), (2, -3))]
INFOBIGAN = [
    declared(family.objective("infobigan", a2=a2, l5=l5, l6=l6))
    for a2, l5, l6 in ((-1, 0, 0), (0, 1, 0), ("-1/2", 1, 1), (0, 0, 1), (3, -2, 5))
]
CLOSURE = [
    ("likelihood-based", BETA_VAE + VMI, 13),
    ("unary", INFOGAN + INFOVAE, 17),
    ("binary", INFOBIGAN + INFOVAE, 18),
]


def test_dimensions_of_the_basis_spaces():
    assert spans.rank(P) == len(P) == 10
    assert spans.rank(R) == len(R) == 12
    assert spans.rank([*R, *P]) == 18
    assert [len(spans.TOOLBOXES[name]) for name, _, _ in CLOSURE] == [8, 12, 14]


@pytest.mark.parametrize(("toolbox", "members", "dimension"), CLOSURE)
def test_families_exhaust_their_computability_class(toolbox, members, dimension):
    tools = [*spans.TOOLBOXES[toolbox], *P]
    expressible = [*R, *P]
    assert spans.rank([*members, *P]) == dimension
    assert spans.intersection_dimension(tools, expressible) == dimension
    # Containment: the families lie in both spaces, so equal dimension means equal space.
    assert spans.rank([*tools, *members]) == spans.rank(tools)
    assert spans.rank([*expressible, *members]) == spans.rank(expressible)


def test_closure_fails_without_one_of_the_families():
    assert spans.rank([*BETA_VAE, *P]) == 12
    assert spans.rank([*INFOVAE, *P]) == 14
    assert spans.rank([*INFOGAN, *P]) == 13
    assert spans.rank([*INFOBIGAN, *P]) == 14


@thorough(60)
@given(st.lists(st.tuples(*[st.integers(-3, 3)] * 20), min_size=1, max_size=22))
def test_rank_agrees_with_numpy(rows):
    exact = spans.rank([tuple(map(Fraction, row)) for row in rows])
    assert exact == np.linalg.matrix_rank(np.array(rows, dtype=float))
