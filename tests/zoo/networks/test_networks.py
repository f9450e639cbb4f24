"""One battery for every network, role and image shape."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo import errors, networks

BATCH, LATENT = 4, 5
SMALL = {"mlp": {"hidden": (16, 8)}, "dcgan": {"width": 4}}
SHAPES = {
    "mlp": [(28, 28, 1), (5, 3, 2), (2,)],
    "dcgan": [(28, 28, 1), (28, 28, 3), (32, 32, 3), (64, 64, 1)],
}
ROLES = ("encoder", "decoder", "critic_x", "critic_z", "critic_xz")
CASES = [
    pytest.param(network, shape, role, {}, id=f"{network}-{'x'.join(map(str, shape))}-{role}")
    for network, shapes in SHAPES.items()
    for shape in shapes
    for role in ROLES
]
CASES += [
    pytest.param(
        network, SHAPES[network][0], role, {"spectral_norm": True}, id=f"{network}-{role}-sn"
    )
    for network in SHAPES
    for role in ROLES[2:]
]
CASES += [
    pytest.param("dcgan", (28, 28, 1), role, {"normalization": how}, id=f"dcgan-{role}-{how}")
    for role in ROLES[:2]
    for how in ("layer", "group", "batch")
]


def test_names_and_get():
    assert networks.names() == ["dcgan", "mlp", "resnet", "similarity", "unet"]
    for name in ("dcgan", "mlp"):
        for role in ROLES:
            assert callable(getattr(networks.get(name), role))
    with pytest.raises(errors.InputError, match="Unknown network 'dcgn': did you mean 'dcgan'"):
        networks.get("dcgn")


def build(network, shape, role, options=None, seed=0):
    arguments = {
        "encoder": (shape, 6),
        "decoder": (LATENT, shape, 2),
        "critic_x": (shape,),
        "critic_z": (LATENT,),
        "critic_xz": (shape, LATENT),
    }[role]
    options = {**SMALL[network], **(options or {})}
    return getattr(networks.get(network), role)(*arguments, seed=seed, **options)


def inputs(shape, role):
    generator = np.random.default_rng(0)
    x = generator.uniform(size=(BATCH, *shape)).astype("float32")
    z = generator.normal(size=(BATCH, LATENT)).astype("float32")
    return {"encoder": x, "decoder": z, "critic_x": x, "critic_z": z, "critic_xz": [x, z]}[role]


@pytest.mark.parametrize(("network", "shape", "role", "options"), CASES)
def test_every_network(network, shape, role, options, tmp_path):
    model = build(network, shape, role, options)
    example = inputs(shape, role)

    # Shapes, types and names.
    output = model(example)
    expected = {"encoder": (6,), "decoder": (*shape[:-1], 2 * shape[-1])}.get(role, ())
    assert output.shape == (BATCH, *expected)
    assert output.dtype == tf.float32
    assert model.built
    assert model.name == role
    assert model.output_shape == (None, *expected)

    # Gradients reach every variable.
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(model(example) - 1.0))
    for variable, gradient in zip(
        model.trainable_variables,
        tape.gradient(loss, model.trainable_variables),
        strict=True,
    ):
        assert np.all(np.isfinite(gradient)), variable.path
        assert np.any(gradient != 0), variable.path

    # A config rebuilds the network, names included.
    copy = type(model).from_config(model.get_config())
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy(example), output)

    # Weights are a function of the seed.
    same, other = build(network, shape, role, options), build(network, shape, role, options, seed=1)
    for one, two in zip(model.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert np.any(model(example) != other(example))


@pytest.mark.parametrize("network", SHAPES)
@pytest.mark.parametrize("role", ["decoder", "critic_xz"])
def test_saving(network, role, tmp_path):
    options = {"spectral_norm": True} if role == "critic_xz" else {}
    model = build(network, (28, 28, 1), role, options)
    example = inputs((28, 28, 1), role)
    model(example, training=True)
    model.save(tmp_path / "network.keras")
    read = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(read(example), model(example))


@pytest.mark.parametrize("squash", ["sigmoid", "none"])
@pytest.mark.parametrize("params", [1, 2])
def test_the_mlp_translates(squash, params, tmp_path):
    # A linear map, location and raw scale apart: W x + b, the location through a sigmoid.
    make = networks.get("mlp").translator
    model = make((6, 5, 1), (3, 4, 2), params, hidden=(), squash=squash, seed=0)
    x = np.random.default_rng(0).uniform(size=(BATCH, 6, 5, 1)).astype("float32")
    output = model(x)
    assert model.name == "translator"
    assert output.shape == (BATCH, 3, 4, 2 * params)
    parts = []
    for name in ("location", "raw")[:params]:
        kernel, bias = model.get_layer(name).get_weights()
        parts.append((x.reshape(BATCH, 30) @ kernel + bias).reshape(BATCH, 3, 4, 2))
    if squash == "sigmoid":
        parts[0] = 1 / (1 + np.exp(-parts[0]))
    # Float32 sums of 30 products, in another order.
    np.testing.assert_allclose(output, np.concatenate(parts, axis=-1), atol=1e-5)
    deep = make((6, 5, 1), (3, 4, 2), params, hidden=(7,), squash=squash, seed=0)
    assert deep.count_params() == 31 * 7 + 8 * 24 * params
    deep.save(tmp_path / "network.keras")
    read = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(read(x), deep(x))


@pytest.mark.parametrize("network", SHAPES)
def test_kernels_differ_between_layers_and_roles(network):
    def kernels(role):
        model = build(
            network, (28, 28, 1), role, {"hidden": (16, 16, 16)} if network == "mlp" else {}
        )
        return [weight.ravel() for weight in model.get_weights() if weight.ndim > 1]

    everything = [kernel for role in ROLES for kernel in kernels(role)]
    # Uniform draws scaled alike: equal seeds would show as equal first ratios.
    ratios = [round(float(kernel[1] / kernel[0]), 5) for kernel in everything]
    assert len(set(ratios)) == len(ratios)


def test_without_a_seed_weights_are_drawn_afresh():
    one, two = (networks.get("mlp").critic_z(LATENT, hidden=(4,)) for _ in range(2))
    assert np.any(one.get_weights()[0] != two.get_weights()[0])


@pytest.mark.parametrize("network", SHAPES)
def test_spectral_norm_makes_the_largest_singular_value_one(network):
    model = build(network, (28, 28, 1), "critic_xz", {"spectral_norm": True})
    example = inputs((28, 28, 1), "critic_xz")
    for _ in range(50):
        model(example, training=True)
    kernels = [weight for weight in model.trainable_variables if weight.path.endswith("kernel")]
    assert len(kernels) >= 3
    for kernel in kernels:
        matrix = np.reshape(kernel, (-1, kernel.shape[-1]))
        # Power iteration converges as the ratio of the first two singular values, 50 times.
        np.testing.assert_allclose(np.linalg.norm(matrix, 2), 1.0, rtol=0.03)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("network", SHAPES)
def test_options_are_listed_and_others_refused(network, role):
    function = getattr(networks.get(network), role)
    assert {"precision", "seed", *SMALL[network]} <= set(function.options)
    assert ("spectral_norm" in function.options) == role.startswith("critic")
    with pytest.raises(errors.InputError, match="Unknown option 'sed': did you mean 'seed'"):
        build(network, (28, 28, 1), role, {"sed": 1})


@pytest.mark.parametrize("shape", [(27, 27, 1), (28, 32, 1), (64, 64, 4), (28, 28), (2,)])
@pytest.mark.parametrize("role", ["encoder", "decoder", "critic_x", "critic_xz"])
def test_dcgan_names_the_shapes_that_work(shape, role):
    with pytest.raises(errors.InputError, match=r"28x28, 32x32 and 64x64 with 1 or 3 channels"):
        build("dcgan", shape, role)


@pytest.mark.parametrize(
    ("network", "arguments", "options", "reason"),
    [
        ("mlp", ((), 3), {}, r"image_shape is \(\)"),
        ("mlp", ((28, 0, 1), 3), {}, r"image_shape is \(28, 0, 1\)"),
        ("mlp", ((28, 28, 1), 0), {}, "outputs is 0"),
        ("mlp", ((28, 28, 1), 3), {"hidden": 512}, "hidden is 512"),
        ("mlp", ((28, 28, 1), 3), {"hidden": (512, 0)}, r"hidden\[1\] is 0"),
        ("mlp", ((28, 28, 1), 3), {"activation": "rellu"}, "did you mean 'relu'"),
        ("mlp", ((28, 28, 1), 3), {"seed": 0.5}, "seed is 0.5"),
        ("dcgan", ((28, 28, 1), 3), {"width": 0}, "width is 0"),
        ("dcgan", ((28, 28, 1), 3), {"normalization": "bach"}, "Unknown normalization 'bach'"),
    ],
)
def test_bad_options_are_refused(network, arguments, options, reason):
    with pytest.raises(errors.InputError, match=reason):
        networks.get(network).encoder(*arguments, **options)
