import zoo
from zoo.normalization import R1_BESIDE_CYCLES, R1_GAMMA, normalises_critics, r1_gamma


def test_critics_that_are_constrained_are_normalised():
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
