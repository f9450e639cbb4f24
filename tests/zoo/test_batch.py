"""What `fit` may be given beside x."""

import numpy as np
import pytest

import zoo
from zoo.batch import Batch
from zoo.errors import InputError

X = np.random.default_rng(0).random((8, 4, 4, 1), dtype=np.float32)
Y = np.arange(8)


@pytest.mark.parametrize(
    ("kind", "options", "z", "c"),
    [
        ("labels", {}, None, None),
        ("pairs", {"paired": True}, Y, None),
        ("conditions", {"conditional": True}, None, Y),
    ],
)
def test_a_second_part_is_what_the_model_needs(kind, options, z, c):
    assert Batch.of((X, Y), **options).parts() == (X, z, c), kind
    assert Batch.of((X, Y, None), **options).parts() == (X, z, c)
    assert Batch.of(X, **options).parts() == (X, None, None)
    whole = Batch(X, c=Y)
    assert Batch.of(whole, **options) is whole


@pytest.mark.parametrize(
    "weights", [{"sample_weight": np.ones(8)}, {"class_weight": dict.fromkeys(range(8), 2.0)}]
)
def test_weights_of_examples_are_refused_before_the_model_moves(weights):
    model = zoo.build("vae", image_shape=(4, 4, 1), latent_dim=2, network_options={"hidden": (4,)})
    model.compile(jit_compile=False)
    before = [np.array(v) for v in model.trainable_variables]
    with pytest.raises(InputError, match="class weights are not used: leave them out"):
        model.fit(X, Y, verbose=0, **weights)
    for variable, value in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
