from train.loop import recipes
from zoo.objectives import family


def test_what_is_given_comes_first():
    assert recipes.parameters("alice", {}) == {"l": "1/50"}
    assert recipes.parameters("alice", {"l": "1"}) == {"l": "1"}
    assert recipes.parameters("beta_vae", {"beta": "2"}) == {"beta": "2"}
    assert recipes.parameters(None, {}) == {}


def test_it_says_what_it_chose():
    assert recipes.said("alice", {}) == "alice with l=1/50; as declared: --set l=1"
    assert recipes.said("alice", {"l": "1"}) is None
    assert recipes.said("vae", {}) is None
    assert recipes.said(None, {}) is None


def test_every_recipe_is_of_a_models_own_parameters():
    for name, chosen in recipes.RECIPES.items():
        assert family.objective(name, **chosen).tractable().admissible
