"""A batch that gives no finite gradient leaves no trace, if the model is told to skip it."""

import numpy as np
import pytest
import tensorflow as tf

import zoo

SHAPE = (6, 6, 1)


def build(jit):
    """A model with everything a step moves: two players, multipliers, averages, a history."""
    objective = zoo.Objective(
        alpha_q=-1,
        constraints=["KL(q(x|z)||p(x|z))", "JS(q(x)||p(x)) <= 0.05"],
    )
    model = zoo.build(
        objective,
        image_shape=SHAPE,
        latent_dim=2,
        network="mlp",
        ema=0.9,
        history=8,
        spectral_norm=True,
        seed=3,
    )
    model.compile(jit_compile=jit, on_nan="skip")
    return model


def vae(on_nan):
    model = zoo.build("vae", image_shape=SHAPE, latent_dim=2, network="mlp", seed=3)
    model.compile(jit_compile=False, on_nan=on_nan)
    return model


def images(seed, bad=False):
    x = np.random.default_rng(seed).random((4, *SHAPE), np.float32)
    if bad:
        x[2, 0, 0] = np.nan
    return x


def fit(model, *batches):
    return model.fit(np.concatenate(batches), batch_size=4, shuffle=False, verbose=0).history


def state(model):
    found = [*model.variables, *model.optimizer.variables, *model.critic_optimizer.variables]
    return [v.numpy().copy() for v in found if v is not model.step]


@pytest.mark.parametrize("jit", [False, True])
def test_a_bad_batch_leaves_everything_as_it_was_but_the_step(jit):
    model = build(jit)
    fit(model, images(0))
    before = state(model)
    history = fit(model, images(1, bad=True))
    assert history["skipped"] == [1]
    assert int(model.step) == 2
    for old, new in zip(before, state(model), strict=True):
        np.testing.assert_array_equal(old, new)
    moved = fit(model, images(2))
    assert moved["skipped"] == [0]
    assert all(np.isfinite(value).all() for value in moved.values())
    # The history takes images in until it is full, and everything else moves as well.
    assert sum(not np.array_equal(a, b) for a, b in zip(before, state(model), strict=True)) > 40


def test_gradients_count_too():
    """A loss can be finite where its gradient is not: sqrt(0) has an infinite slope."""
    model = vae("skip")
    before = state(model)
    weight = model.encoder.trainable_variables[-1]
    value = model.lagrangian.value
    # + 0 in value, but d/dw sqrt(w - w) = inf * 0 = nan
    model.lagrangian.value = lambda terms, multipliers: (
        value(terms, multipliers) + tf.reduce_sum(tf.sqrt(weight.value - weight.value))
    )
    assert fit(model, images(1))["skipped"] == [1]
    for old, new in zip(before, state(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_what_is_learned_is_learned_from_the_other_batches():
    skipping, stopping = vae("skip"), vae("stop")
    found = fit(skipping, images(0), images(1), images(2, bad=True))
    expected = fit(stopping, images(0), images(1))
    assert found.pop("skipped") == [1]
    assert found == expected
    for ours, theirs in zip(state(skipping), state(stopping), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_evaluation_counts_nothing():
    assert "skipped" not in vae("skip").evaluate(images(0), return_dict=True, verbose=0)
