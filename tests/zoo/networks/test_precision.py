"""bfloat16 layers: their products, gradients of first and second order, weights and saving."""

import itertools

import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from zoo import errors, networks
from zoo.networks import precision

SHAPE, LATENT, BATCH = (28, 28, 1), 5, 8
ROLES = {
    "encoder": (SHAPE, 6),
    "decoder": (LATENT, SHAPE),
    "critic_x": (SHAPE,),
    "critic_z": (LATENT,),
    "critic_xz": (SHAPE, LATENT),
}
SMALL = {"mlp": {"hidden": (48, 32), "activation": "softplus"}, "dcgan": {"width": 8}}
CASES = [(network, role) for network in SMALL for role in ROLES]

# Rounding to bfloat16 errs by at most 2^-9 and, uniformly, by 2^-9 / sqrt(3) of each factor: a
# product's relative error in norm is then about sqrt(2/3) 2^-9, and a chain of n products adds up
# to sqrt(n) of it. Four to five products lead to an output and as many back; with a margin of 2
# for nonlinearities and for numbers that cancel:
CLOSE = 2 * 10**0.5 * (2 / 3) ** 0.5 * 2**-9
# Gradients of ReLUs jump: an error of that size moves about as large a share of the units past 0,
# whose slopes then are wrong altogether, and the norm of so many errors is the root of their share.
SLOPES_CLOSE = {"mlp": 2 * CLOSE, "dcgan": CLOSE**0.5}


def build(network, role, kind="bfloat16", **options):
    function = getattr(networks.get(network), role)
    options = {**SMALL[network], **options}
    return function(*ROLES[role], precision=kind, seed=3, **options)


def inputs(role):
    generator = np.random.default_rng(1)
    x = generator.random((BATCH, *SHAPE), dtype="float32")
    z = generator.standard_normal((BATCH, LATENT), dtype="float32")
    return {"decoder": z, "critic_z": z, "critic_xz": [x, z]}.get(role, x)


def rounded(values):
    return values.astype(ml_dtypes.bfloat16).astype("float64")


def distance(one, two):
    one, two = np.asarray(one, "float64"), np.asarray(two, "float64")
    return np.linalg.norm(one - two) / np.linalg.norm(two)


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("sizes", [(7, 33, 20), (1, 16, 5), (6, 3, 1)])
def test_a_product_and_its_gradients_round_their_factors_alone(sizes, jit):
    generator = np.random.default_rng(0)
    m, k, n = sizes
    a = generator.standard_normal((m, k), dtype="float32")
    b = generator.standard_normal((k, n), dtype="float32")
    dy = generator.standard_normal((m, n), dtype="float32")
    for adjoint_a, adjoint_b in itertools.product([False, True], repeat=2):

        @tf.function(jit_compile=jit, autograph=False)
        def run(a, b, dy, options=(adjoint_a, adjoint_b)):
            with tf.GradientTape() as tape:
                tape.watch([a, b])
                y = precision.product(a, b, *options)
            return y, *tape.gradient(y, [a, b], dy)

        y, da, db = run(a.T if adjoint_a else a, b.T if adjoint_b else b, dy)
        da, db = (da.numpy().T if adjoint_a else da), (db.numpy().T if adjoint_b else db)
        for found, left, right in ((y, a, b), (da, dy, b.T), (db, a.T, dy)):
            # Sums of up to 33 float32 products.
            scale = np.abs(left) @ np.abs(right)
            assert np.all(np.abs(found - rounded(left) @ rounded(right)) <= 33 * 2**-24 * scale)
            assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("network", "spectral_norm", "jit"),
    [("mlp", False, True), ("mlp", True, True), ("mlp", True, False), ("dcgan", True, False)],
)
def test_gradient_penalties(network, spectral_norm, jit):
    def penalty_gradients(kind):
        critic = build(network, "critic_x", kind, spectral_norm=spectral_norm)

        @tf.function(jit_compile=jit)
        def run(x):
            with tf.GradientTape() as outer:
                with tf.GradientTape() as inner:
                    inner.watch(x)
                    logits = critic(x, training=True)
                # R1 = E |dD/dx|^2
                slope = inner.gradient(logits, x)
                penalty = tf.reduce_mean(tf.reduce_sum(tf.square(slope), [1, 2, 3]))
            kernels = [v.value for v in critic.trainable_variables if v.name == "kernel"]
            return penalty, outer.gradient(penalty, kernels)

        return run(tf.constant(inputs("critic_x")))

    penalty, gradients = penalty_gradients("bfloat16")
    exact, exact_gradients = penalty_gradients("float32")
    # A square doubles the error.
    assert 0 < distance(penalty, exact) < 2 * SLOPES_CLOSE[network]
    for found, expected in zip(gradients, exact_gradients, strict=True):
        assert distance(found, expected) < 2 * SLOPES_CLOSE[network]


@pytest.mark.parametrize(("network", "role"), CASES)
def test_training_is_close_to_float32_and_inference_equal(network, role):
    options = {"spectral_norm": True} if role.startswith("critic") else {}
    close, exact = (build(network, role, kind, **options) for kind in ("bfloat16", "float32"))
    example = inputs(role)

    def kinds(weights):
        return [(w.name, tuple(w.shape), w.dtype) for w in weights]

    assert kinds(close.weights) == kinds(exact.weights)
    assert {w.dtype for w in close.weights} == {"float32"}
    for one, two in zip(close.get_weights(), exact.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(close(example), exact(example))
    start = close.get_weights()

    def step(model, jit):
        model.set_weights(start)

        @tf.function(jit_compile=jit)
        def run(example):
            with tf.GradientTape() as tape:
                output = model(example, training=True)
                loss = tf.reduce_sum(tf.square(output - 1.0))
            return output, tape.gradient(loss, [v.value for v in model.trainable_variables])

        return run(example)

    output, gradients = step(exact, jit=False)
    # XLA compiles convolutions slowly: one role's will do.
    compiled = network == "mlp" or role == "decoder"
    for jit in (True, False) if compiled else (False,):
        rough, rough_gradients = step(close, jit)
        assert rough.dtype == tf.float32
        assert distance(rough, output) < CLOSE
        for found, expected in zip(rough_gradients, gradients, strict=True):
            assert found.dtype == tf.float32
            assert distance(found, expected) < SLOPES_CLOSE[network]
        if (network, role) != ("dcgan", "critic_z"):  # too small to round
            assert distance(rough, output) > 0


def test_float32_networks_have_only_keras_layers():
    for network, role in CASES:
        for layer in build(network, role, "float32")._flatten_layers():
            assert type(layer).__module__.startswith("keras.")


@pytest.mark.parametrize(
    "layer",
    [
        precision.Dense(3, activation="softplus", name="dense"),
        precision.Dense(3, use_bias=False),
        precision.Conv2D(3, 4, strides=2, padding="same", activation="relu"),
        precision.Conv2DTranspose(3, 4, strides=2, padding="same", use_bias=False),
    ],
)
def test_a_layer_is_rebuilt_by_its_config_and_equals_kerass(layer):
    example = np.random.default_rng(0).standard_normal((2, 5, 6, 4), dtype="float32")
    config = keras.saving.serialize_keras_object(layer)
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is type(layer)
    assert keras.saving.serialize_keras_object(copy)["config"] == config["config"]
    stock = getattr(keras.layers, type(layer).__name__).from_config(layer.get_config())
    for made in (layer, copy, stock):
        made.build(example.shape)
    copy.set_weights(layer.get_weights())
    stock.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(example), stock(example))
    np.testing.assert_array_equal(layer(example, training=True), copy(example, training=True))
    assert layer(example, training=True).shape == stock(example).shape
    assert 0 < distance(layer(example, training=True), stock(example)) < CLOSE
    assert layer.compute_output_shape(example.shape) == stock.compute_output_shape(example.shape)


@pytest.mark.parametrize("network", SMALL)
def test_checkpoints_are_read_in_either_precision(network, tmp_path):
    trained = build(network, "encoder")
    trained.compile("adam", "mse", jit_compile=networks.get(network).JIT_COMPILE)
    trained.fit(inputs("encoder"), np.ones((BATCH, 6), "float32"), verbose=0)
    trained.save(tmp_path / "model.keras")
    trained.save_weights(tmp_path / "model.weights.h5")
    tf.train.Checkpoint(trained).write(str(tmp_path / "checkpoint"))
    expected = trained(inputs("encoder"))
    read = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(read(inputs("encoder")), expected)
    assert [type(layer) for layer in read.layers] == [type(layer) for layer in trained.layers]
    for how in ("weights", "checkpoint"):
        other = build(network, "encoder", "float32")
        assert np.any(other(inputs("encoder")) != expected)
        if how == "weights":
            other.load_weights(tmp_path / "model.weights.h5")
        else:
            status = tf.train.Checkpoint(other).read(str(tmp_path / "checkpoint"))
            status.assert_existing_objects_matched()
        np.testing.assert_array_equal(other(inputs("encoder")), expected)


def test_best(tmp_path, monkeypatch):
    info = tmp_path / "cpuinfo"
    info.write_text("flags : fpu avx512_bf16 amx_bf16 amx_tile\n")
    assert precision.best(info) == "bfloat16"
    info.write_text("flags : fpu avx512_bf16\n")
    assert precision.best(info) == "float32"
    assert precision.best(tmp_path / "none") == "float32"

    details = {"old": {"compute_capability": (7, 5)}, "new": {"compute_capability": (8, 6)}}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details.get)
    for gpus, expected in (("new",), "bfloat16"), (("new", "old"), "float32"):
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind, gpus=gpus: gpus)
        assert precision.best(info) == expected


def test_an_unknown_precision_is_refused():
    with pytest.raises(errors.InputError, match="Unknown precision 'bfloat61'"):
        build("mlp", "encoder", "bfloat61")
