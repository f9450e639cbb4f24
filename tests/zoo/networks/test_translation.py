"""Image-to-image networks and their patch critic: shapes, ranges, gradients, saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo import errors, networks
from zoo.networks import patches

BATCH = 3
NETWORKS = ("resnet", "unet")
CASES = [
    pytest.param(network, side, channels, {}, id=f"{network}-{side}-{channels}")
    for network in NETWORKS
    for side, channels in ((28, (1, 1)), (32, (1, 3)))
]
CASES += [
    pytest.param(network, 28, (1, 1), options, id=f"{network}-{next(iter(options.items()))}")
    for network, options in [
        ("resnet", {"normalization": "instance"}),
        ("resnet", {"blocks": 1}),
        ("resnet", {"precision": "bfloat16"}),
        ("unet", {"skips": False}),
        ("unet", {"precision": "bfloat16"}),
    ]
]


def images(side=28, channels=1, seed=0):
    shape = (BATCH, side, side, channels)
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def build(network, side=28, channels=(1, 1), params=1, seed=0, **options):
    start, end = ((side, side, c) for c in channels)
    make = networks.get(network).translator
    return make(start, end, params, **{"width": 4, "seed": seed, **options})


@pytest.mark.parametrize(("network", "side", "channels", "options"), CASES)
def test_every_translator(network, side, channels, options):
    model = build(network, side, channels, **options)
    example = images(side, channels[0])
    output = model(example)
    assert output.shape == (BATCH, side, side, channels[1])
    assert output.dtype == tf.float32
    assert model.name == "translator"
    assert model.built
    # Pixels, and not all of one value.
    assert 0 < np.min(output) < np.max(output) < 1

    # Gradients reach every variable.
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(model(example, training=True) - images(side, channels[1])))
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert np.all(np.isfinite(gradient)), variable.path
        assert np.any(gradient != 0), variable.path

    # A config rebuilds the network, names included; weights are a function of the seed.
    copy = type(model).from_config(model.get_config())
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy(example), output)
    same, other = (build(network, side, channels, seed=s, **options) for s in (0, 1))
    np.testing.assert_array_equal(same(example), output)
    assert np.any(other(example) != output)

    # No example depends on the others of its batch; convolutions of other sizes round otherwise.
    np.testing.assert_allclose(model(example[:1]), output[:1], atol=1e-5)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("side", [64, 256])
def test_large_images(network, side):
    options = {"blocks": 1} if network == "resnet" else {}
    model = build(network, side, (3, 3), width=2, **options)
    assert model.output_shape == (None, side, side, 3)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_bottom(network):
    model = build(network, skips=False) if network == "unet" else build(network)
    shapes = [tuple(layer.output.shape[1:]) for layer in model.layers]
    # 28, 14, 7 and residual blocks there; or on to 4 and 2.
    smallest = min(shapes, key=lambda shape: shape[0])
    assert smallest == ((7, 7, 16) if network == "resnet" else (2, 2, 32))


def test_blocks_grow_with_the_image():
    def blocks(side):
        names = {layer.name for layer in build("resnet", side, width=1).layers}
        return sum(f"block_{index}" in names for index in range(20))

    assert [blocks(side) for side in (28, 64, 256)] == [3, 6, 9]


def test_skips_carry_the_image_past_the_bottom():
    with_skips, without = build("unet"), build("unet", skips=False)
    assert any(layer.name.endswith("skip") for layer in with_skips.layers)
    for model, expected in ((with_skips, True), (without, False)):
        # Nothing passes the bottom any more.
        bottom = model.get_layer("down_3")
        bottom.set_weights([np.zeros_like(weight) for weight in bottom.get_weights()])
        differ = np.any(model(images()) != model(images(seed=1)))
        assert differ == expected


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("squash", ["sigmoid", "none"])
@pytest.mark.parametrize("params", [1, 2])
def test_only_locations_are_squashed(network, squash, params):
    model = build(network, channels=(1, 3), params=params, squash=squash)
    for layer in ("location", "raw")[:params]:
        weights = model.get_layer(layer).get_weights()
        model.get_layer(layer).set_weights([50 * weight for weight in weights])
    output = model(images())
    assert output.shape == (BATCH, 28, 28, 3 * params)
    location, raw = output[..., :3], output[..., 3:]
    if squash == "sigmoid":
        assert np.min(location) >= 0
        assert np.max(location) <= 1
    else:
        assert np.min(location) < -1
        assert np.max(location) > 1
    if params == 2:
        assert np.min(raw) < -1


@pytest.mark.parametrize("normalization", ["group", "instance", "none"])
def test_what_normalisation_forgets(normalization):
    # Fresh biases are 0: half the brightness gives half the first features, which a normalised
    # network does not see (but for the 1e-3 added to variances), and all of the others if not.
    model = build("resnet", normalization=normalization, squash="none")
    bright, dark = model(images()), model(0.5 * images())
    expected = 0.5 * bright if normalization == "none" else bright
    np.testing.assert_allclose(dark, expected, atol=0.03 * float(np.std(bright)))


@pytest.mark.parametrize(
    ("side", "halvings", "maps", "patch"), [(28, 1, 14, 16), (64, 2, 16, 34), (128, 3, 16, 70)]
)
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_the_patch_critic(side, halvings, maps, patch, spectral_norm):
    make = networks.get("resnet").critic_x
    assert networks.get("unet").critic_x is make
    model = make((side, side, 1), width=2, seed=0, spectral_norm=spectral_norm)
    assert model.name == "critic_x"
    logits = model(images(side))
    assert logits.shape == (BATCH, maps * maps)
    assert logits.dtype == tf.float32
    # What a logit in the middle sees: a square patch.
    x = tf.Variable(images(side))
    with tf.GradientTape() as tape:
        middle = tf.reduce_sum(model(x)[:, maps * (maps // 2) + maps // 2])
    seen = np.any(tape.gradient(middle, x) != 0, axis=(0, 3))
    rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
    # Borders cut off what is beyond the image.
    assert np.ptp(rows) + 1 <= min(patch, side)
    assert np.ptp(rows) + 1 >= min(patch, side) - 2
    assert np.ptp(columns) == np.ptp(rows)
    assert (
        make((side, side, 1), width=2, halvings=halvings).count_params()
        == make((side, side, 1), width=2).count_params()
    )
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(images(side), training=True) - 1.0))
    for gradient in tape.gradient(loss, model.trainable_variables):
        assert np.any(gradient != 0)


@pytest.mark.parametrize("network", NETWORKS)
def test_saving(network, tmp_path):
    model = build(network, params=2)
    model.save(tmp_path / "network.keras")
    read = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(read(images()), model(images()))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("role", ["resnet", "unet", "critic"])
def test_xla_and_precision(role, precision):
    def make(precision):
        if role == "critic":
            return patches.critic_x((28, 28, 1), width=4, precision=precision, seed=0)
        return build(role, precision=precision)

    exact, model = make("float32"), make(precision)
    outputs = tf.function(lambda x: model(x, training=True), jit_compile=True)(images())
    expected = exact(images())
    assert outputs.dtype == tf.float32
    # bfloat16 has three digits, which a dozen layers of fresh weights widen; float32 seven.
    error = 0.2 if precision == "bfloat16" else 1e-4
    np.testing.assert_allclose(outputs, expected, atol=error * float(np.std(expected)) + 1e-6)
    # Inference is float32 in either.
    np.testing.assert_array_equal(model(images()), expected)


@pytest.mark.parametrize("network", NETWORKS)
def test_options_are_listed_and_others_refused(network):
    make = networks.get(network).translator
    assert {"width", "normalization", "squash", "precision", "seed"} <= set(make.options)
    assert {"spectral_norm", "width", "halvings"} <= set(networks.get(network).critic_x.options)
    for name, value, reason in [
        ("widht", 1, "Unknown option 'widht': did you mean 'width'"),
        ("width", 0, "width is 0"),
        ("normalization", "batch", "Unknown normalization 'batch'"),
        ("squash", "tanh", "Unknown squash 'tanh'"),
        ("precision", "int8", "Unknown precision 'int8'"),
    ]:
        with pytest.raises(errors.InputError, match=reason):
            make((28, 28, 1), (28, 28, 1), **{name: value})
    with pytest.raises(errors.InputError, match="params_per_element is 0"):
        make((28, 28, 1), (28, 28, 1), 0)


def test_other_bad_options_are_refused():
    with pytest.raises(errors.InputError, match="blocks is 0"):
        build("resnet", blocks=0)
    with pytest.raises(errors.InputError, match="halvings is 0"):
        patches.critic_x((28, 28, 1), halvings=0)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ((27, 27, 1), (27, 27, 1), r"\(27, 27, 1\).*multiples of 4, from 8 on"),
        ((4, 4, 1), (4, 4, 1), r"\(4, 4, 1\).*multiples of 4, from 8 on"),
        ((28, 28), (28, 28), r"\(28, 28\).*multiples of 4, from 8 on"),
        ((28, 28, 1), (32, 32, 1), r"\(28, 28, 1\) cannot be translated into \(32, 32, 1\)"),
        ((28, 28, 1), (7,), r"\(7,\).*multiples of 4, from 8 on"),
    ],
)
def test_shapes_that_do_not_fit(network, start, end, message):
    with pytest.raises(errors.InputError, match=message):
        networks.get(network).translator(start, end)
    if start == end:
        with pytest.raises(errors.InputError, match=message):
            networks.get(network).critic_x(start)


@pytest.mark.parametrize("network", NETWORKS)
def test_images_need_not_be_square(network):
    make = networks.get(network)
    assert make.translator((8, 12, 3), (8, 12, 1), width=2).output_shape == (None, 8, 12, 1)
    assert make.critic_x((8, 12, 3), width=2).output_shape == (None, 24)
