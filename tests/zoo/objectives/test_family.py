"""The family's table: every named model is what its row says, at numbers and at symbols."""

import json
import re
from fractions import Fraction

import pytest
import tabular
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo import InputError, Objective
from zoo.objectives import family
from zoo.objectives.affine import Affine, variable
from zoo.objectives.derivation import effective_alpha, form_text

LIKELIHOOD, UNARY, BINARY = "likelihood-based", "unary", "binary"
HALF = Fraction(1, 2)
L, L1, L2 = variable("l"), variable("l1"), variable("l2")

NAMES = [
    *("vae", "beta_vae", "vmi", "infovae_kl", "infovae_mmd", "infovae_stein"),
    *("infovae_adversarial", "aae", "wae_mmd", "wae_gan", "vae_gan", "infogan", "ali", "bigan"),
    *("alice", "infobigan", "cyclegan", "discogan", "avb", "as_vae", "lagvae_max", "lagvae_min"),
    "geco",
]

# name: (class, complete sets, [(parameters, alpha_q, alpha_p, trained form), ...])
TABLE = {
    "vae": (LIKELIHOOD, ("C1",), [({}, 0, 0, {"REC_x": 1, "RATE": 1})]),
    "beta_vae": (
        LIKELIHOOD,
        ("C3",),
        [
            ({}, 3, 0, {"REC_x": 1, "RATE": 4}),
            ({"beta": 1}, 0, 0, {"REC_x": 1, "RATE": 1}),
            ({"beta": 0.5}, -HALF, 0, {"REC_x": 1, "RATE": HALF}),
        ],
    ),
    "vmi": (LIKELIHOOD, (), [({}, 0, -1, {"REC_z": 1})]),
    "infovae_kl": (
        UNARY,
        ("C3",),
        [
            ({}, 0, 0, {"REC_x": 1, "RATE": 1, "Dz_qp": 1}),
            ({"a": 1, "l": 5}, -1, 0, {"REC_x": 1, "Dz_qp": 5}),
            (
                {"a": "1/3", "l": 1},
                Fraction(-1, 3),
                0,
                {"REC_x": 1, "RATE": Fraction(2, 3), "Dz_qp": Fraction(1, 3)},
            ),
        ],
    ),
    "infovae_mmd": (
        UNARY,
        ("C3",),
        [
            ({}, 0, 0, {"REC_x": 1, "RATE": 1, "MMD_z": 999}),
            ({"a": 1, "l": 5}, -1, 0, {"REC_x": 1, "MMD_z": 5}),
            ({"a": -2, "l": 10}, 2, 0, {"REC_x": 1, "RATE": 3, "MMD_z": 7}),
        ],
    ),
    "infovae_stein": (
        UNARY,
        ("C3",),
        [
            ({}, 0, 0, {"REC_x": 1, "RATE": 1, "Dz_qp": 1}),
            ({"a": 0.5, "l": 2}, -HALF, 0, {"REC_x": 1, "RATE": HALF, "Dz_qp": 3 * HALF}),
        ],
    ),
    "infovae_adversarial": (
        UNARY,
        ("C3",),
        [
            ({}, 0, 0, {"REC_x": 1, "RATE": 1, "JS_z": 1}),
            ({"a": 0.5, "l": 2}, -HALF, 0, {"REC_x": 1, "RATE": HALF, "JS_z": 3 * HALF}),
        ],
    ),
    "aae": (UNARY, ("C3",), [({}, -1, 0, {"REC_x": 1, "JS_z": 1})]),
    "wae_mmd": (
        UNARY,
        ("C3",),
        [
            ({}, -1, 0, {"REC_x": 1, "MMD_z": 1}),
            ({"l": 10}, -1, 0, {"REC_x": 1, "MMD_z": 10}),
        ],
    ),
    "wae_gan": (
        UNARY,
        ("C3",),
        [
            ({}, -1, 0, {"REC_x": 1, "JS_z": 1}),
            ({"l": "1/7"}, -1, 0, {"REC_x": 1, "JS_z": Fraction(1, 7)}),
        ],
    ),
    "vae_gan": (
        UNARY,
        ("C1",),
        [
            ({}, 0, 0, {"REC_x": 1, "RATE": 1, "JS_x": 1}),
            ({"g": 0.01}, 0, 0, {"REC_x": 1, "RATE": 1, "JS_x": Fraction(1, 100)}),
        ],
    ),
    "infogan": (
        UNARY,
        ("C2",),
        [
            ({}, 0, -1, {"REC_z": 1, "JS_x": 1}),
            ({"l": 0.5}, 0, -HALF, {"REC_z": HALF, "JS_x": 1}),
        ],
    ),
    "ali": (BINARY, ("C1",), [({}, 0, 0, {"JS_xz": 1})]),
    "bigan": (BINARY, ("C1",), [({}, 0, 0, {"JS_xz": 1})]),
    "alice": (
        BINARY,
        ("C1",),
        [
            ({}, -1, 0, {"REC_x": 1, "JS_xz": 1}),
            ({"l": 3}, -3, 0, {"REC_x": 3, "JS_xz": 1}),
        ],
    ),
    "infobigan": (
        BINARY,
        ("C2",),
        [
            ({}, 0, -HALF, {"REC_z": HALF, "J_pq": HALF, "Dx_pq": HALF, "Dx_qp": 1}),
            ({"a2": 0, "l5": 3, "l6": 2}, 0, 0, {"J_pq": 1, "Dx_pq": 2, "Dx_qp": 2}),
            (
                {"a2": -0.25, "l5": 0.75, "l6": 0.5},
                0,
                -HALF / 2,
                {"REC_z": HALF / 2, "J_pq": Fraction(3, 4), "Dx_qp": HALF},
            ),
        ],
    ),
    "cyclegan": (
        UNARY,
        ("C2", "C3"),
        [
            ({}, -1, -1, {"REC_x": 1, "REC_z": 1, "JS_x": 1, "JS_z": 1}),
            ({"l1": 10, "l2": 5}, -10, -5, {"REC_x": 10, "REC_z": 5, "JS_x": 1, "JS_z": 1}),
        ],
    ),
    "discogan": (
        UNARY,
        ("C2", "C3"),
        [
            ({}, -1, -1, {"REC_x": 1, "REC_z": 1, "JS_x": 1, "JS_z": 1}),
            ({"l1": 0.5, "l2": 2}, -HALF, -2, {"REC_x": HALF, "REC_z": 2, "JS_x": 1, "JS_z": 1}),
        ],
    ),
    "avb": (BINARY, ("C1",), [({}, 0, 0, {"REC_x": 1, "RATE_ratio": 1})]),
    "as_vae": (
        BINARY,
        ("C1",),
        [({}, 0, 0, {"REC_x": 1, "RATE": 1, "J_pq": 1, "Dx_qp": 1, "Dz_pq": 1})],
    ),
    "lagvae_max": (
        UNARY,
        ("C1", "C3"),
        [
            ({}, -1, 0, {"REC_x": L1 + 1, "RATE": L1, "MMD_z": L2}),
            ({"a1": 2, "e1": 90, "e2": 5e-4}, -2, 0, {"REC_x": L1 + 2, "RATE": L1, "MMD_z": L2}),
        ],
    ),
    "lagvae_min": (
        UNARY,
        ("C1",),
        [
            ({}, 1, 0, {"REC_x": L1, "RATE": L1 + 1, "MMD_z": L2}),
            ({"a1": 0.5}, HALF, 0, {"REC_x": L1, "RATE": L1 + HALF, "MMD_z": L2}),
        ],
    ),
    "geco": (
        LIKELIHOOD,
        ("C3",),
        [
            ({}, 1 - L, 0, {"REC_x": L, "RATE": 1}),
            ({"kappa": 60}, 1 - L, 0, {"REC_x": L, "RATE": 1}),
        ],
    ),
}
CASES = [
    pytest.param(name, hardness, complete, *row, id=f"{name}-{index}")
    for name, (hardness, complete, rows) in TABLE.items()
    for index, row in enumerate(rows)
]


def test_names_in_their_order():
    assert zoo.names() == NAMES
    assert len(NAMES) == 23
    assert list(TABLE) == NAMES


@pytest.mark.parametrize(
    ("name", "hardness", "complete", "parameters", "alpha_q", "alpha_p", "trained"), CASES
)
def test_each_row_of_the_table(name, hardness, complete, parameters, alpha_q, alpha_p, trained):
    objective = zoo.objective(name, **parameters)
    form = objective.tractable()
    assert form.affine == trained
    assert effective_alpha(form) == (alpha_q, alpha_p)
    assert form.hardness == hardness
    assert form.complete == complete
    assert form.admissible
    assert form.repair is None
    assert form.refusals == ()
    assert objective.name == name
    again = Objective.from_config(json.loads(json.dumps(objective.to_config())))
    assert again == objective


# The forms as the table prints them, with the members' own letters.
PRINTED = {
    "beta_vae": ("beta - 1", "0", "REC_x + beta RATE"),
    "infovae_kl": ("-a", "0", "REC_x + (1 - a) RATE + (a + l - 1) Dz_qp"),
    "infovae_stein": ("-a", "0", "REC_x + (1 - a) RATE + (a + l - 1) Dz_qp"),
    "infovae_mmd": ("-a", "0", "REC_x + (1 - a) RATE + (a + l - 1) MMD_z"),
    "infovae_adversarial": ("-a", "0", "REC_x + (1 - a) RATE + (a + l - 1) JS_z"),
    "wae_mmd": ("-1", "0", "REC_x + l MMD_z"),
    "wae_gan": ("-1", "0", "REC_x + l JS_z"),
    "vae_gan": ("0", "0", "REC_x + RATE + g JS_x"),
    "infogan": ("0", "-l", "l REC_z + JS_x"),
    "alice": ("-l", "0", "l REC_x + JS_xz"),
    "infobigan": ("0", "a2", "-a2 REC_z + (1 + a2) J_pq + l6 Dx_qp + (l5 - 1 - a2) Dx_pq"),
    "cyclegan": ("-l1", "-l2", "l1 REC_x + l2 REC_z + JS_x + JS_z"),
    "discogan": ("-l1", "-l2", "l1 REC_x + l2 REC_z + JS_x + JS_z"),
    "lagvae_max": ("-a1", "0", "(a1 + l1) REC_x + l1 RATE + l2 MMD_z"),
    "lagvae_min": ("a1", "0", "l1 REC_x + (a1 + l1) RATE + l2 MMD_z"),
    "geco": ("1 - l", "0", "l REC_x + RATE"),
}


@pytest.mark.parametrize("name", PRINTED)
def test_forms_at_symbols(name):
    form = family.get(name).symbolic().tractable()
    alpha_q, alpha_p = effective_alpha(form)
    assert (str(alpha_q), str(alpha_p), form_text(form)) == PRINTED[name]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(NAMES), st.tuples(*[st.fractions(-9, 9, max_denominator=9)] * 3))
def test_symbols_and_numbers_agree(name, numbers):
    member = family.get(name)
    letters = [n for n, v in member.defaults.items() if not isinstance(v, str)]
    values = dict(zip(letters, numbers, strict=False))
    form = member.objective(**values).tractable()
    symbolic = member.symbolic().tractable()

    def at(number):
        return number.at(values) if isinstance(number, Affine) else number

    assert {n: at(c) for n, c in symbolic.affine.items() if at(c)} == form.affine


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("vae", lambda t: t["REC_x"] + t["RATE"]),
        ("beta_vae", lambda t: t["REC_x"] + 4 * t["RATE"]),
        ("vmi", lambda t: t["REC_z"]),
        ("infovae_kl", lambda t: t["REC_x"] + t["RATE"] + t["Dz_qp"]),
        ("infovae_mmd", lambda t: t["REC_x"] + t["RATE"] + 999 * t["MMD_z"]),
        ("aae", lambda t: t["REC_x"] + t["JS_z"]),
        ("vae_gan", lambda t: t["REC_x"] + t["RATE"] + t["JS_x"]),
        ("infogan", lambda t: t["REC_z"] + t["JS_x"]),
        ("ali", lambda t: t["JS_xz"]),
        ("alice", lambda t: t["REC_x"] + t["JS_xz"]),
        ("cyclegan", lambda t: t["REC_x"] + t["REC_z"] + t["JS_x"] + t["JS_z"]),
        ("avb", lambda t: t["REC_x"] + t["RATE_ratio"]),
        (
            "as_vae",
            lambda t: t["REC_x"] + t["RATE"] + t["J_pq"] + t["Dx_qp"] + t["Dz_pq"],
        ),
    ],
)
def test_declarations_are_what_is_trained_up_to_a_constant(name, terms):
    objective = zoo.objective(name)

    class ByName(dict):
        def __init__(self, tables):
            self.tables = tables

        def __missing__(self, term):
            return self.tables.term(term)

    def difference(tables):
        return tabular.lagrangian(objective, tables) - terms(ByName(tables))

    assert tabular.spread(difference) < 1e-11  # nats; the weights go up to 999


def test_as_vae_is_the_symmetric_objective_of_its_paper():
    """REC_x + REC_z + KL(q(x,z)||p(x)p(z)) + KL(p(x,z)||q(x)q(z)), Pu et al. 2017."""
    objective = zoo.objective("as_vae")

    def difference(tables):
        symmetric = tables.term("REC_x") + tables.term("REC_z")
        symmetric += tables.to_product("q", tables.marginal("p", "x"), tables.p_z)
        symmetric += tables.to_product("p", tables.q_x, tables.marginal("q", "z"))
        return tabular.lagrangian(objective, tables) - symmetric

    assert tabular.spread(difference) < 1e-12


def test_geco_is_beta_vae_with_beta_one_over_l():
    form = zoo.objective("geco").tractable().affine
    for lam in (Fraction(1, 4), Fraction(1), Fraction(5)):
        rec, rate = form["REC_x"].at({"l": lam}), form["RATE"]
        beta_vae = zoo.objective("beta_vae", beta=1 / lam).tractable().coefficients
        assert (rec / lam, rate / lam) == (beta_vae["REC_x"], beta_vae["RATE"])


@pytest.mark.parametrize(
    ("a2", "l5", "l6", "admissible"),
    [
        (-1, 0, 0, True),
        (0, 1, 0, True),
        (-0.5, 0.5, 1, True),
        (-0.5, 0.4, 1, False),
        (0.1, 2, 1, False),
        (-1.1, 1, 1, False),
        (-0.5, 1, -0.1, False),
    ],
)
def test_where_infobigan_is_admissible(a2, l5, l6, admissible):
    """-1 <= a2 <= 0, l5 >= 1 + a2, l6 >= 0."""
    assert zoo.objective("infobigan", a2=a2, l5=l5, l6=l6).tractable().admissible == admissible


def test_lagvae_starts_at_the_multipliers_of_the_paper():
    objective = zoo.objective("lagvae_min")
    assert objective.initial_multipliers == {"l1": 1, "l2": 100}
    assert objective.tractable().coefficients == {"REC_x": 1, "RATE": 2, "MMD_z": 100}
    assert [str(c.at_most) for _, c in objective.learned] == ["best + 4", "best + 0.0005"]
    assert objective.tractable().constant == {"l1 e1": -1, "l2 e2": -1}


def test_lagvae_is_an_alias():
    assert zoo.objective("lagvae", a1=2) == zoo.objective("lagvae_max", a1=2)


@pytest.mark.parametrize("name", ["infovae_kl", "infovae_mmd", "wae_gan", "infogan", "alice"])
def test_lambda_may_be_written_in_full(name):
    assert zoo.objective(name, **{"lambda": 7}) == zoo.objective(name, l=7)


def test_estimators_of_the_infovaes():
    assert zoo.objective("infovae_kl").estimators == {"Dz_qp": "ratio"}
    assert zoo.objective("infovae_stein").estimators == {"Dz_qp": "stein"}


def test_parameters_are_kept_for_reading():
    assert zoo.objective("infobigan", l5="2").parameters == {"a2": -HALF, "l5": 2, "l6": 1}
    tolerances = zoo.objective("lagvae_min", e1=90).parameters
    assert tolerances == {"a1": 1, "e1": 90, "e2": "best + 0.0005"}


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("vea", {}, "Unknown model 'vea': did you mean 'vae'"),
        ("beta-vae", {}, "did you mean 'beta_vae'"),
        ("banana", {}, "Unknown model 'banana': "),
        ("vae", {"beta": 2}, "Model 'vae' has no parameters; remove 'beta'."),
        ("beta_vae", {"betta": 2}, "Unknown parameter of 'beta_vae' 'betta': did you mean 'beta'?"),
        ("beta_vae", {"lambda": 2}, "Unknown parameter of 'beta_vae' 'lambda'"),
        ("beta_vae", {"beta": "big"}, "'big' is not a finite number"),
        ("beta_vae", {"beta": float("inf")}, "inf is not a finite number"),
        ("lagvae", {"e1": "soon"}, "expected 'best' but found 'soon'"),
    ],
)
def test_wrong_names_and_values_are_refused(name, parameters, message):
    with pytest.raises(InputError) as caught:
        zoo.objective(name, **parameters)
    assert message in str(caught.value)


def test_every_member_names_its_source():
    for name in NAMES:
        assert re.search(r" (19|20)\d\d|^\[U\] ", family.get(name).source)
