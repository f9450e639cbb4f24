import numpy as np

import zoo
from zoo.objectives import critic_defaults
from zoo.objectives.critic_defaults import (
    R1_BESIDE_CYCLES,
    R1_GAMMA,
    constrains_codes,
    normalises_critics,
    r1_gamma,
)


def constrained(*constraints):
    return zoo.Objective(-1, 0, ["KL(q(x|z)||p(x|z))", *constraints])


def test_critics_of_constrained_codes_are_strong():
    for constraint in (
        "JS(q(z)||p(z)) <= 0.02",
        "KL(q(z)||p(z)) <= 0.1",
        "KL(p(z)||q(z)) <= 0.1",
        "H2(q(z)||p(z)) <= 0.05",
    ):
        objective = constrained(constraint)
        assert constrains_codes(objective)
        assert not normalises_critics(objective)
        assert r1_gamma(objective, "z") == 0.0
        model = zoo.build(objective, (8, 8, 1), 2, network_options={"hidden": (8,)})
        (critic,) = model.critics.values()
        assert [tuple(v.shape) for v in critic.trainable_variables][::2] == [
            (4, 256),
            (256, 256),
            (256, 1),
        ]
        model.compile()
        assert model.critic_steps == 3
        assert float(model.critic_optimizer.learning_rate) == np.float32(1e-3)
        assert float(model.optimizer.learning_rate) == np.float32(2e-4)


def test_other_critics_are_as_they_were():
    learned = ["JS(q(x,z)||p(x,z)) <= 0.05", "JS(q(x)||p(x)) <= 0.1", "MMD(q(z)||p(z)) <= 1e-3"]
    learned += ["TV(q(z)||p(z)) <= 0.1", "W1(q(z)||p(z)) <= 0.1"]
    beside = constrained("JS(q(z)||p(z)) <= 0.02", "JS(q(x)||p(x))")
    objectives = [*(constrained(c) for c in learned), beside, constrained("JS(q(z)||p(z))")]
    for objective in [*objectives, *(zoo.objective(name) for name in zoo.names())]:
        assert not constrains_codes(objective)
        assert critic_defaults.critic_steps(objective) == 1
        assert critic_defaults.critic_options(objective, "mlp") == {}


def test_what_is_asked_for_comes_before_the_strong_critic():
    objective = constrained("JS(q(z)||p(z)) <= 0.02")
    options = {"critic_z.hidden": (5,), "critic_z.squares": False}
    model = zoo.build(objective, (8, 8, 1), 2, network_options=options)
    assert [tuple(v.shape) for v in model.critic_variables] == [(2, 5), (5,), (5, 1), (1,)]
    model.compile(critic_optimizer=model.critic_adam(1e-4), critic_steps=2)
    assert model.critic_steps == 2
    assert float(model.critic_optimizer.learning_rate) == np.float32(1e-4)


def test_critics_of_images_that_are_constrained_are_normalised():
    assert not normalises_critics(zoo.objective("ali"))
    assert not normalises_critics(zoo.objective("alice"))
    # No critic estimates what lagvae learns multipliers for.
    assert not normalises_critics(zoo.objective("lagvae_max"))
    learned = zoo.Objective(-1, 0, ["KL(q(x|z)||p(x|z))", "JS(q(x,z)||p(x,z)) <= 0.05"])
    assert normalises_critics(learned)
    assert normalises_critics(zoo.Objective(0, 0, ["W1(q(x,z)||p(x,z))"]))


def test_critics_without_company_pay_for_their_slopes():
    for space, gamma in R1_GAMMA.items():
        for name in ("ali", "bigan", "infogan", "infobigan"):
            assert r1_gamma(zoo.objective(name), space) == gamma
        for name in ("alice", "aae", "vae_gan", "as_vae", "vae"):
            assert r1_gamma(zoo.objective(name), space) == 0.0
    # A brake is enough.
    assert r1_gamma(zoo.Objective(0, 0, ["JS(q(x,z)||p(x,z)) <= 0.05"]), "xz") == 0.0


def test_critics_beside_cycles_pay_less():
    for name in ("cyclegan", "discogan"):
        objective = zoo.objective(name, l1="1/80", l2="1/80")
        assert not normalises_critics(objective)
        assert r1_gamma(objective, "x") == r1_gamma(objective, "z") == R1_BESIDE_CYCLES
    both = ["KL(q(x|z)||p(x|z))", "KL(p(z|x)||q(z|x))"]
    one_game = zoo.Objective(-1, -1, [*both, "JS(q(x,z)||p(x,z))"])
    assert r1_gamma(one_game, "xz") == 0.0
    games = [*both, "JS(q(x)||p(x)) <= 0.05", "JS(q(z)||p(z))"]
    assert r1_gamma(zoo.Objective(-1, -1, games), "x") == 0.0


def test_critics_of_images_that_outweigh_reconstructions_are_normalised():
    assert normalises_critics(zoo.objective("alice", l="1/50"))
    assert normalises_critics(zoo.objective("vae_gan", g=10))
    assert not normalises_critics(zoo.objective("vae_gan", g=9))
    assert not normalises_critics(zoo.objective("wae_gan", l=100))


def penalties(**options):
    model = zoo.build("ali", (28, 28, 1), 2, network_options={"hidden": (8,)}, **options)
    return model.term_options.get("JS_xz", {})


def test_what_is_asked_for_comes_before_what_is_usual():
    assert penalties() == {"r1_gamma": R1_GAMMA["xz"]}
    assert penalties(spectral_norm=False) == {"r1_gamma": R1_GAMMA["xz"]}
    assert penalties(spectral_norm=True) == {}
    for own in ({"r1_gamma": 0.0}, {"gradient_penalty": 1.0}):
        assert penalties(term_options={"JS_xz": own}) == own
