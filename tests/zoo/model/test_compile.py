"""What `compile` takes beside the optimizers: margins, on_nan, feed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.errors import InputError

LEARNED = zoo.Objective(
    alpha_q=1, constraints=["KL(q(z)||p(z))", "KL(q(x,z)||p(x,z)) <= 60", "MMD(q(z)||p(z)) <= 5e-4"]
)


def test_margins_are_what_the_dual_step_aims_below_by(small):
    model = small(LEARNED, compile={"margins": [2.0, 1e-4]})
    np.testing.assert_allclose(model.margins, [2.0, 1e-4])
    model.compile(jit_compile=False)
    np.testing.assert_allclose(model.margins, [2.0, 1e-4])


@pytest.mark.parametrize("margins", [[1.0], [1.0, np.nan], [[1.0, 2.0]]])
def test_margins_that_do_not_fit_are_one_sentence(small, margins):
    with pytest.raises(InputError, match="one finite number for each of the 2 learned"):
        small(LEARNED, compile={"margins": margins})


def test_with_feed_a_step_is_still_one_step(small, images):
    model = small("vae", compile={"feed": lambda chosen: tf.gather(images, chosen)})
    model.train_step(images[:8])
    assert int(model.step) == 1


def test_what_cannot_go_together_is_said_before_training(small, monkeypatch):
    with pytest.raises(InputError, match="Unknown on_nan 'skipp': did you mean 'skip'"):
        small("vae", compile={"on_nan": "skipp"})
    with pytest.raises(InputError, match="steps_per_execution is 2 where feed takes chunks"):
        small("vae", compile={"feed": tf.identity, "steps_per_execution": 2})
    model = small("vae")
    monkeypatch.setattr(type(model), "replicas", 2)
    for option in ({"feed": tf.identity}, {"on_nan": "skip"}):
        with pytest.raises(InputError, match="needs one replica and there are 2"):
            model.compile(**option)


def test_compiled_again_with_its_optimizers_training_continues(small, images):
    def trained(again):
        model = small("alice", seed=3)
        for x in (images[:8], images[8:16]):
            model.train_on_batch(x)
            if again:
                model.compile(model.optimizer, model.critic_optimizer, jit_compile=False)
        return model

    for a, b in zip(trained(False).weights, trained(True).weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_was_compiled_is_saved(small, tmp_path):
    model = small(LEARNED, compile={"on_nan": "skip", "margins": [2.0, 1e-4]}, precision="bfloat16")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.on_nan, loaded.precision) == ("skip", "bfloat16")
    np.testing.assert_array_equal(loaded.margins, model.margins)
