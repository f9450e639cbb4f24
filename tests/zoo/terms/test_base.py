import dataclasses
import json

import pytest

import zoo
from zoo import terms
from zoo.errors import InputError
from zoo.objectives.divergences import DIVERGENCES
from zoo.terms import base

SPACES = ["x", "z", "xz"]


def critic(samples, training):
    raise AssertionError("building a term calls no critic")


# The KL terms that samples must estimate; J_qp for reading alone.
KL_TERMS = {"Dz_qp", "Dz_pq", "Dx_qp", "Dx_pq", "J_qp", "J_pq", "RATE_ratio", "RATE_p"}


def test_every_divergence_and_every_term_of_the_algebra_is_available():
    on_spaces = {
        zoo.Constraint(f"{divergence}({a}({space})||{b}({space}))").term
        for divergence in DIVERGENCES
        if divergence != "KL"
        for space in ("x", "z", "x,z")
        for a, b in ("qp", "pq")
    }
    assert {"REC_x", "REC_z", "RATE"} | KL_TERMS | on_spaces == terms.available()


def test_every_model_of_the_family_has_its_terms():
    for name in zoo.names():
        objective = zoo.objective(name)
        for term in objective.tractable().affine:
            space = terms.critic_space(term, objective.estimators.get(term))
            assert space in {"x", "z", "xz", None}


@pytest.mark.parametrize("name", ["REC_x", "REC_z", "RATE", "MMD_x", "MMD_z", "MMD_xz"])
def test_terms_without_a_critic(name):
    term = terms.make(name)
    assert term.name == name
    assert not term.needs_critic
    assert terms.critic_space(name) is None


@pytest.mark.parametrize("space", SPACES)
def test_terms_with_a_critic(space):
    term = terms.make(f"JS_{space}", critic=critic)
    assert term.name == f"JS_{space}"
    assert term.needs_critic
    assert terms.critic_space(term.name) == space


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("REC_x", {}),
        ("RATE", {"estimator": "monte_carlo"}),
        ("MMD_z", {"kernel": "rbf_mixture", "scales": [0.5, 1.0], "embedding": "sampled"}),
        ("JS_x", {"surrogate": "saturating", "r1_gamma": 10.0}),
        ("CHI2_xz_pq", {"gradient_penalty": 1.0}),
        ("Dz_qp", {"estimator": "stein", "statistic": "v"}),
        ("Dz_qp", {"estimator": "ratio", "r1_gamma": 1.0}),
        ("RATE_ratio", {"adaptive_contrast": True}),
        ("SW_xz", {"projections": 7}),
    ],
)
def test_config_is_plain_data_that_makes_the_term_again(name, options):
    player = critic if terms.critic_space(name, options.get("estimator")) else None
    term = terms.make(name, critic=player, **options)
    config = json.loads(json.dumps(term.get_config()))
    assert config.items() >= options.items()
    assert terms.make(**config, critic=player) == term


def test_adding_a_divergence_takes_one_class(monkeypatch):
    monkeypatch.setattr(base, "_REGISTRY", dict(base._REGISTRY))

    @base.register("ENERGY")
    @dataclasses.dataclass(frozen=True)
    class Energy(base.Term):
        spaces = ("x", "z")
        space: str
        power: float = 1.0

        def __call__(self, joints, training=True):
            return terms.Estimate.of(self.power)

    assert {name for name in terms.available() if "ENERGY" in name} == {"ENERGY_x", "ENERGY_z"}
    term = terms.make("ENERGY_z", power=2.0)
    assert term.get_config() == {"name": "ENERGY_z", "power": 2.0}
    assert term(None).value == 2.0


def test_an_asymmetric_divergence_has_directions_in_its_names(monkeypatch):
    monkeypatch.setattr(base, "_REGISTRY", dict(base._REGISTRY))

    @base.register("SKEW")
    @dataclasses.dataclass(frozen=True)
    class Skew(base.Term):
        spaces, directions = ("x", "z"), ("qp", "pq")
        space: str
        direction: str

        def __call__(self, joints, training=True):
            return terms.Estimate.of(self.direction)

    expected = {f"SKEW_{space}_{direction}" for space in "xz" for direction in ("qp", "pq")}
    assert {name for name in terms.available() if "SKEW" in name} == expected
    term = terms.make("SKEW_x_pq")
    assert (term.space, term.direction, term.name) == ("x", "pq", "SKEW_x_pq")
    assert term.get_config() == {"name": "SKEW_x_pq"}


def test_a_term_may_have_several_estimators(monkeypatch):
    monkeypatch.setattr(base, "_REGISTRY", dict(base._REGISTRY))

    @base.register("Dx", estimator="neighbours")
    @dataclasses.dataclass(frozen=True)
    class Neighbours(base.Term):
        directions = ("qp",)
        direction: str
        k: int = 1

        def __call__(self, joints, training=True):
            return terms.Estimate.of(self.k)

    term = terms.make("Dx_qp", estimator="neighbours", k=3)
    assert term.get_config() == {"name": "Dx_qp", "estimator": "neighbours", "k": 3}
    assert terms.critic_space("Dx_qp", "neighbours") is None
    # The other one stays the default, and the only one of Dx_pq.
    assert terms.critic_space("Dx_qp") == "x"
    with pytest.raises(
        InputError, match="Unknown estimator of Dx_pq 'neighbours': choose one of ratio"
    ):
        terms.make("Dx_pq", estimator="neighbours")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: terms.make("MMD_y"), "Unknown term 'MMD_y': did you mean .*'MMD_z'"),
        (lambda: terms.make("MMD"), "Unknown term 'MMD'"),
        (lambda: terms.make("RATE_z"), "Unknown term 'RATE_z'"),
        (lambda: terms.critic_space("GS_z"), "Unknown term 'GS_z': did you mean .*'JS_z'"),
        (lambda: terms.make("MMD_z", kernl="rbf"), "Unknown option 'kernl': did you mean 'kernel'"),
        (lambda: terms.make("MMD_z", space="x"), "Unknown option 'space'"),
        (lambda: terms.make("REC_x", kernel="rbf"), "Unknown option 'kernel': REC_x has no option"),
        (lambda: terms.make("JS_z"), "JS_z needs a critic"),
        (lambda: terms.make("MMD_z", critic=critic), "MMD_z needs no critic"),
    ],
)
def test_refusals_name_the_fault(make, message):
    with pytest.raises(InputError, match=message):
        make()
