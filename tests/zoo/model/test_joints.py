import keras
import numpy as np
import tensorflow as tf


def test_critics_are_shown_earlier_samples(small, images):
    model = small("ali", history=16)
    assert set(model.histories) == {"x_p"}
    x = images[:8]
    joints = model.joints(x, [0, 0], training=True)
    (q,), (p,) = joints.remembered("x")
    assert q is joints.x_q
    # An empty history keeps and returns what comes.
    np.testing.assert_array_equal(p, joints.x_p)
    model.joints(x, [0, 1], training=True).remembered("x")
    later = model.joints(x, [0, 2], training=True)
    _, (mixed,) = later.remembered("x")
    new = tf.reduce_all(mixed == later.x_p, axis=(1, 2, 3))
    assert 0 < int(tf.reduce_sum(tf.cast(new, tf.int32))) < 8
    # One draw of the history a step, whoever asks.
    np.testing.assert_array_equal(later.remembered("x")[1][0], mixed)
    assert later.remembered("xz") is None
    assert model.joints(x, [0, 0]).remembered("x") is None


def test_a_history_reaches_the_critic_alone(small, images):
    def moved(history):
        model = small("vae_gan", history=history, compile={"critic_optimizer": "sgd"})
        for start in (0, 8, 16):
            model.train_on_batch(images[start : start + 8])
        primal = [v.numpy() for v in model.primal_variables]
        return primal, [v.numpy() for v in model.critic_variables]

    (first, critic), (second, other) = moved(0), moved(8)
    # The critic saw other samples from the second batch on, and so did what follows it after that.
    assert any(not np.allclose(a, b, atol=1e-8) for a, b in zip(critic, other, strict=True))
    assert len(first) == len(second)


def test_a_history_is_saved(small, images, tmp_path):
    model = small("ali", history=16)
    model.fit(images, batch_size=8, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.histories["x_p"].kept, model.histories["x_p"].kept)
