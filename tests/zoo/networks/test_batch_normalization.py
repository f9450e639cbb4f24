"""Batch normalisation against its formula, in the one step, on one replica and on two."""

import subprocess
import sys

import keras
import numpy as np
import tensorflow as tf

import zoo
from zoo.networks.batch_normalization import BatchNormalization

LATENTS = "categorical(3), noise(2)"


def model(name="infogan", **options):
    parts = {"width": 4, "decoder.normalization": "batch"}
    built = zoo.build(
        name, network="dcgan", latents=LATENTS, network_options=parts, seed=1, **options
    )
    built.compile(jit_compile=False)
    return built


def images(count=8):
    return np.random.default_rng(0).random((count, 28, 28, 1), dtype=np.float32)


def moving(built):
    return [v.numpy() for v in built.decoder.non_trainable_variables]


def test_the_formula():
    layer = BatchNormalization(momentum=0.75, epsilon=1e-3)
    x = np.random.default_rng(0).normal(3.0, 2.0, (6, 2, 2, 4)).astype(np.float32)
    y = layer(x, training=True)
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    # float32 sums of 24 numbers
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(var + 1e-3), atol=1e-5)
    m, v = 0.25 * mean, 0.75 + 0.25 * var
    np.testing.assert_allclose(layer.moving_mean, m, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, v, rtol=1e-5)
    np.testing.assert_allclose(layer(x), (x - m) / np.sqrt(v + 1e-3), atol=1e-5)


def test_a_step_moves_the_statistics_once_and_towards_those_of_what_was_generated():
    built = model()
    (layer, *_) = [la for la in built.decoder.network.layers if isinstance(la, BatchNormalization)]
    before = keras.Model(built.decoder.network.input, layer.input)
    joints = built.joints(images(), built._step_seed(0, built.step), training=True)
    entering = before(joints.z_p).numpy()
    built.train_on_batch(images())
    # m <- 0.99 m + 0.01 mean_B, from m = 0;  v likewise, from 1
    np.testing.assert_allclose(layer.moving_mean, 0.01 * entering.mean((0, 1, 2)), atol=1e-6)
    v = 0.99 + 0.01 * entering.var((0, 1, 2))
    np.testing.assert_allclose(layer.moving_variance, v, rtol=1e-5)


def test_examples_are_tied_in_training_alone_and_evaluation_moves_nothing():
    built = model()
    built.train_on_batch(images())
    z = built.prior.sample(4, seed=[0, 1])
    alone, among = built.decode(z[:1]).mean(), built.decode(z).mean()[:1]
    # batches of other sizes are summed in another order
    np.testing.assert_allclose(alone, among, atol=1e-5)
    trained = built.decoder(z, training=True).mean()[:1]
    assert np.abs(trained - among).max() > 1e-3
    kept = moving(built)
    built.evaluate(images(), verbose=0)
    built.sample(3)
    for one, two in zip(kept, moving(built), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_loaded_model_goes_on_where_the_saved_one_was(tmp_path):
    built = model()
    built.train_on_batch(images())
    built.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.sample(3), built.sample(3))
    for each in (built, loaded):
        each.train_on_batch(images())
    assert moving(built)
    for one, two in zip(built.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_batch_that_is_skipped_leaves_the_statistics():
    built = model("vae")
    built.compile(jit_compile=False, on_nan="skip")
    built.train_on_batch(images())
    kept = moving(built)
    built.train_on_batch(np.full_like(images(), np.nan))
    for one, two in zip(kept, moving(built), strict=True):
        np.testing.assert_array_equal(one, two)


def test_averaged_weights_have_averaged_statistics():
    built = model(ema=0.5)
    before = moving(built)
    built.train_on_batch(images())
    after = moving(built)
    with built.averaged():
        for average, one, two in zip(moving(built), before, after, strict=True):
            np.testing.assert_allclose(average, 0.5 * (one + two), rtol=1e-6)
    for one, two in zip(after, moving(built), strict=True):
        np.testing.assert_array_equal(one, two)


def test_replicas_have_the_statistics_of_all_their_examples():
    code = """
import numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
from zoo.networks.batch_normalization import BatchNormalization
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    layer = BatchNormalization(momentum=0.5)
    layer.build((None, 3))
x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
values = strategy.experimental_distribute_values_from_function(
    lambda context: tf.constant(x[context.replica_id_in_sync_group]))
found = strategy.run(tf.function(lambda x: layer(x, training=True)), (values,))
mean, var = x.mean((0, 1)), x.var((0, 1))
np.testing.assert_allclose(layer.moving_mean.numpy(), 0.5 * mean, rtol=1e-4, atol=1e-6)
np.testing.assert_allclose(layer.moving_variance.numpy(), 0.5 + 0.5 * var, rtol=1e-5)
found = np.stack(strategy.experimental_local_results(found))
np.testing.assert_allclose(found, (x - mean) / np.sqrt(var + layer.epsilon), rtol=1e-4, atol=1e-5)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert tf.distribute.get_strategy().num_replicas_in_sync == 1
