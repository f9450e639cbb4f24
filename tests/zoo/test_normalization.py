import zoo
from zoo.normalization import normalises_critics


def test_critics_are_normalised_where_they_stand_alone_or_are_constrained():
    assert normalises_critics(zoo.objective("ali"))
    assert normalises_critics(zoo.objective("infobigan"))
    assert normalises_critics(zoo.objective("infogan"))
    assert not normalises_critics(zoo.objective("alice"))
    assert not normalises_critics(zoo.objective("vae_gan"))
    # No critic estimates what lagvae learns multipliers for.
    assert not normalises_critics(zoo.objective("lagvae_max"))
    learned = zoo.Objective(-1, 0, ["KL(q(x|z)||p(x|z))", "JS(q(x,z)||p(x,z)) <= 0.05"])
    assert normalises_critics(learned)
