import dataclasses
import json

import pytest

from zoo import terms
from zoo.errors import InputError
from zoo.terms import base

SPACES = ["x", "z", "xz"]


def critic(samples, training):
    raise AssertionError("building a term calls no critic")


def test_available_names():
    on_spaces = {f"{divergence}_{space}" for divergence in ("MMD", "JS") for space in SPACES}
    assert {"REC_x", "REC_z", "RATE"} | on_spaces <= terms.available()


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
    ],
)
def test_config_is_plain_data_that_makes_the_term_again(name, options):
    player = critic if terms.critic_space(name) else None
    term = terms.make(name, critic=player, **options)
    config = json.loads(json.dumps(term.get_config()))
    assert config.items() >= options.items()
    assert terms.make(**config, critic=player) == term


def test_adding_a_divergence_takes_one_class(monkeypatch):
    monkeypatch.setattr(base, "_REGISTRY", dict(base._REGISTRY))

    @base.register("TV")
    @dataclasses.dataclass(frozen=True)
    class TotalVariation(base.Term):
        spaces = ("x", "z")
        space: str
        sharpness: float = 1.0

        def __call__(self, joints, training=True):
            return terms.Estimate.of(self.sharpness)

    assert {name for name in terms.available() if "TV" in name} == {"TV_x", "TV_z"}
    term = terms.make("TV_z", sharpness=2.0)
    assert term.get_config() == {"name": "TV_z", "sharpness": 2.0}
    assert term(None).value == 2.0


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
