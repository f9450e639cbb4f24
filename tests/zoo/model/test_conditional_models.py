"""Models with a condition: what it may be, what reads it, and that the algebra holds given it."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import rel_entr

import zoo
from zoo.batch import Batch
from zoo.errors import InputError
from zoo.terms import base, jensen_shannon

CLASSES = 3
SHAPE = (6, 6, 1)
SMALL = {"image_shape": SHAPE, "latent_dim": 2, "network_options": {"hidden": (8,)}}
EVERY_KIND = zoo.Objective(
    constraints=(
        "KL(q(x,z)||p(x,z))",
        "MMD(q(z)||p(z))",
        "JS(q(x)||p(x))",
        "JS(q(z)||p(z))",
        "JS(q(x,z)||p(x,z))",
        "W1(q(z)||p(z))",
    ),
    name="every_kind",
)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.random((48, *SHAPE), dtype=np.float32), np.arange(48) % CLASSES


def conditional(objective="vae", **options):
    return zoo.build(objective, **{**SMALL, "condition": CLASSES, **options})


def fixed(network, label):
    """Returns the network at one class: of one input less."""
    *inputs, c = network.inputs
    one = [keras.Input(each.shape[1:]) for each in inputs]

    class OneHot(keras.layers.Layer):
        def call(self, x):
            row = tf.one_hot(label, c.shape[1])[tf.newaxis]
            return tf.repeat(row, tf.shape(x)[0], axis=0)

    outputs = network([*one, OneHot()(one[0])])
    return keras.Model(one if len(one) > 1 else one[0], outputs)


def at_class(model, label):
    """Returns the unconditional model of the conditional one's networks at one class."""
    return zoo.build(
        model.objective,
        encoder=fixed(model.encoder.network, label),
        decoder=fixed(model.decoder.network, label),
        critics={name: fixed(critic, label) for name, critic in model.critics.items()},
        **SMALL,
    )


def test_terms_are_those_of_the_unconditional_models_given_each_class(data):
    """On one class, with the same noise, to rounding: MMD's pairs are all of that class."""
    model = conditional(EVERY_KIND)
    x, c = data
    for label in range(CLASSES):
        own = x[c == label]
        given = model.term_values(own, [1, 2], c=np.full(len(own), label))
        alone = at_class(model, label).term_values(own, [1, 2])
        assert given.keys() == alone.keys() >= {"MMD_z", "JS_x", "JS_z", "JS_xz", "W1_z", "REC_x"}
        for name, value in alone.items():
            np.testing.assert_allclose(given[name], value, rtol=2e-5, atol=2e-5, err_msg=name)


def test_terms_are_the_mean_over_classes(data):
    """RATE has no noise here, so the mean is exact; of REC_x by the noise of 3000 draws."""
    model = conditional()
    x, c = data
    whole = model.term_values(x, [0, 0], c=c)
    of_each = [
        at_class(model, label).term_values(x[c == label], [0, 0])["RATE"]
        for label in range(CLASSES)
    ]
    np.testing.assert_allclose(whole["RATE"], np.mean(of_each), rtol=1e-5)
    many, classes = np.tile(x, (60, 1, 1, 1)), np.tile(c, 60)
    pooled = model.term_values(many, [0, 0], c=classes)["REC_x"]
    each = [
        at_class(model, label).term_values(many[classes == label], [0, 1])["REC_x"]
        for label in range(CLASSES)
    ]
    np.testing.assert_allclose(pooled, np.mean(each), rtol=0.01)


def test_a_critic_of_z_and_c_reads_the_mean_of_divergences():
    """E_c D(q(z|c)||p(z)) = D(q(z,c)||p(z)q(c)), at the critic T(z,c) = log q(z|c)/p(z)."""
    rng = np.random.default_rng(1)
    q_c, p_z = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(4))
    q_z = rng.dirichlet(np.ones(4), size=3)  # [c, z]
    joint, product = q_c[:, None] * q_z, q_c[:, None] * p_z
    middle = (q_z + p_z) / 2
    js = (rel_entr(q_z, middle).sum(1) + rel_entr(np.tile(p_z, (3, 1)), middle).sum(1)) / 2
    critic = np.log(q_z / p_z).ravel()
    found = jensen_shannon(
        critic,
        critic,
        expect_q=lambda t: tf.reduce_sum(joint.ravel() * tf.cast(t, tf.float64)),
        expect_p=lambda t: tf.reduce_sum(product.ravel() * tf.cast(t, tf.float64)),
    )
    np.testing.assert_allclose(found.value, q_c @ js, rtol=1e-5)
    np.testing.assert_allclose(
        rel_entr(joint, product).sum(), q_c @ rel_entr(q_z, np.tile(p_z, (3, 1))).sum(1)
    )


@pytest.mark.parametrize("name", ["vae", "aae", "alice", "avb", "infogan", "infovae_mmd"])
def test_it_trains_samples_and_is_saved(data, tmp_path, name):
    model = conditional(name)
    model.compile()
    x, c = data
    model.fit(x, c, batch_size=24, epochs=2, verbose=0)
    logs = model.evaluate(x, c, batch_size=24, verbose=0, return_dict=True)
    assert np.all(np.isfinite(list(logs.values())))
    assert model.sample(5, condition=2).shape == (5, *SHAPE)
    assert model.reconstruct(x[:4], condition=c[:4]).shape == (4, *SHAPE)
    assert model.decode(tf.zeros([2, 2]), condition=[0, 1]).batch_shape == (2,)
    # A class of its own for each, in turn, where none is asked for.
    np.testing.assert_array_equal(model.sample(6), model.sample(6, condition=[0, 1, 2, 0, 1, 2]))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.sample(5, condition=1), model.sample(5, condition=1))
    assert again.condition == model.condition


@pytest.mark.parametrize("network", ["mlp", "dcgan"])
@pytest.mark.parametrize("name", ["alice", "avb"])
def test_every_part_reads_it(name, network):
    options = {"width": 4} if network == "dcgan" else {"hidden": (8,)}
    model = zoo.build(
        name,
        (28, 28, 1),
        2,
        network,
        condition_shape=(2, 3),
        network_options=options,
        noise_dim=4,
    )
    x, z = tf.zeros([1, 28, 28, 1]), tf.zeros([1, 2])
    c = tf.random.stateless_normal([2, 1, 2, 3], [0, 0])
    one, other = (model.encode(x, each).sample(seed=[0, 0]) for each in c)
    assert np.abs(one - other).max() > 1e-6
    one, other = (model.decode(z, each).mean() for each in c)
    assert np.abs(one - other).max() > 1e-7
    (critic,) = model.critics.values()
    assert abs(float(critic([x, z, c[0]])[0]) - float(critic([x, z, c[1]])[0])) > 1e-7


def test_batches_may_be_arrays_data_sets_or_batch(data):
    x, c = data
    logs = []
    for batches in (
        tf.data.Dataset.from_tensor_slices((x, c)).batch(16),
        tf.data.Dataset.from_tensor_slices((x, c)).batch(16).map(lambda x, c: Batch(x, c=c)),
    ):
        model = conditional()
        model.compile()
        model.fit(batches, epochs=1, verbose=0)
        logs.append(model.evaluate(batches, verbose=0, return_dict=True))
    assert logs[0] == logs[1]


def test_a_model_given_one_value_is_unconditional(data):
    model = conditional()
    x, c = data
    given = model.given(1)
    own = x[c == 1]
    np.testing.assert_array_equal(given.encode(own).mean(), model.encode(own, c[c == 1]).mean())
    found = zoo.metrics.over_classes(
        lambda m, images: zoo.metrics.rate_distortion(m, images).rate, model, x, c
    )
    expected = model.term_values(x, [0, 0], c=c)["RATE"]
    np.testing.assert_allclose(found.value, expected, rtol=1e-5)
    assert found.size == len(x)
    information = zoo.metrics.information_given_classes(zoo.metrics.mutual_information, model, x, c)
    assert information.points == len(x) // CLASSES
    with pytest.raises(InputError, match="no condition"):
        zoo.build("vae", **SMALL).given(1)
    with pytest.raises(InputError, match="one class for each image"):
        zoo.metrics.over_classes(lambda m, images: None, model, x, c[:3])


def test_a_condition_that_does_not_fit(data):
    x, c = data
    model, plain = conditional(), zoo.build("vae", **SMALL)
    model.compile()
    plain.compile()
    batches = tf.data.Dataset.from_tensors(Batch(x, c=c))
    for call, message in (
        (lambda: model.encode(x), "give condition, whole numbers from 0 to 2"),
        (lambda: model.fit(x, verbose=0), r"give batches \(x, c\)"),
        (lambda: model.encode(x, c[:5]), "holds 5 examples where there are 48"),
        (lambda: model.encode(x, c + 1), "class 3: the model has 3 classes, from 0 to 2"),
        (lambda: model.encode(x, -c), "class -2"),
        (lambda: model.sample(2, condition=np.eye(3)[:2]), "is float64 of shape"),
        (lambda: zoo.build("vae", **SMALL).encode(x, c), "has no condition: leave out"),
        (lambda: conditional(condition_shape=(2,)), "both given"),
        (lambda: plain.evaluate(batches, verbose=0), "has no condition: give batches without c"),
        (lambda: conditional(condition=1), "number of classes, 2 or more"),
        (lambda: conditional(condition=None, condition_shape=(0,)), "positive whole numbers"),
    ):
        with pytest.raises(InputError, match=message):
            call()
    floats = conditional(condition=None, condition_shape=(2,))
    assert floats.sample(3, condition=np.ones(2, np.float32)).shape == (3, *SHAPE)
    with pytest.raises(InputError, match="no classes to go through"):
        floats.sample(3)


def test_a_class_outside_of_the_model_is_not_ignored_in_a_graph(data):
    x, c = data
    model = conditional()
    model.compile()
    logs = model.fit(x, np.where(c == 2, 7, c), batch_size=48, verbose=0).history
    assert np.isnan(logs["loss"][0])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vae", {"prior": "vamp:4"}, "VampPrior has pseudo-inputs without a condition"),
        ("infogan", {"history": 10}, "history keeps images without their condition"),
        ("infogan", {"share_features": True}, "leave out share_features"),
        ("cyclegan", {"latent_shape": SHAPE, "network": "mlp"}, "leave out condition"),
        ("infovae_stein", {}, "Dz_qp compares samples whatever their condition"),
        (
            zoo.Objective(constraints=("KL(q(x,z)||p(x,z))", "SW(q(z)||p(z))")),
            {},
            "SW_z compares samples .* or MMD",
        ),
        ("infovae_mmd", {"condition": None, "condition_shape": (2,)}, "MMD_z compares samples"),
        ("infovae_mmd", {"term_options": {"MMD_z": {"estimator": "linear"}}}, "MMD_z compares"),
        ("vae", {"network": "unet", "network_options": {}}, "unet network has no"),
    ],
)
def test_what_would_leave_it_out_is_refused(name, options, message):
    with pytest.raises(InputError, match=message):
        conditional(name, **options)


def test_a_mixture_prior_is_one_for_all_classes(data):
    model = conditional(prior="mixture:3")
    model.compile()
    model.fit(*data, verbose=0)
    assert model.sample(3).shape == (3, *SHAPE)


def test_own_networks_that_read_no_condition(data):
    x = keras.Input(SHAPE)
    encoder = keras.Model(x, keras.layers.Dense(4)(keras.layers.Flatten()(x)))
    with pytest.raises(InputError, match=r"\[\[batch, 6, 6, 1\], \[batch, 3\]\], a list"):
        conditional(encoder=encoder)


def test_a_term_says_whether_it_is_a_mean_over_the_condition():
    @dataclasses.dataclass(frozen=True)
    class Own(base.Term):
        def __call__(self, joints, training=True):
            raise NotImplementedError

    assert Own.conditions == "none"
