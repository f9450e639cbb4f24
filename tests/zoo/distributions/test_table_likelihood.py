"""The likelihood of rows: its density in NumPy and in other units, draws and their gradients."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import zoo
from zoo.distributions import likelihoods
from zoo.distributions.conditionals import Conditional
from zoo.distributions.tables import TableLikelihood
from zoo.errors import InputError
from zoo.networks import mlp

random = np.random.default_rng(0)
ROWS = {
    "height": random.normal(170, 10, 40),
    "sex": random.choice(["f", "m"], 40),
    "weight": random.normal(70, 5, 40),
    "town": random.choice(["a", "b", "c"], 40),
}
TABLE = zoo.tables.fit(ROWS)
X = TABLE.encode(ROWS)


def parts_of(params, numbers):
    return params[:, :numbers], params[:, numbers : numbers + 2], params[:, numbers + 2 :]


@pytest.mark.parametrize("scale", ["learned", "per_element", 0.5])
def test_the_density_and_its_change_of_units(scale):
    family = TableLikelihood(TABLE, scale)
    assert family.params_shape(TABLE.shape) == (2 * (1 + (scale == "per_element")) + 5,)
    params = random.normal(size=(40, *family.params_shape(TABLE.shape))).astype("float32")
    raw = np.float32([0.3, -0.7])
    found = family.distribution(params, tf.constant(raw)).log_prob(X)
    numbers, *logits = parts_of(params, 4 if scale == "per_element" else 2)
    location, deviation = numbers[:, :2], 0.5
    if scale == "learned":
        deviation = 0.01 + np.log1p(np.exp(raw))
    elif scale == "per_element":
        deviation = 0.01 + np.log1p(np.exp(family.initial_raw_scale + numbers[:, 2:]))
    log_q = [np.log(np.exp(each) / np.exp(each).sum(1, keepdims=True)) for each in logits]
    categories = (log_q[0] * X[:, 2:4]).sum(1) + (log_q[1] * X[:, 4:]).sum(1)
    wanted = scipy.stats.norm.logpdf(X[:, :2], location, deviation).sum(1) + categories
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    # Of raw values y = mean + stddev x, whose density is that of a normal in their own units.
    mean, stddev = (np.array([getattr(c, n)[0] for c in TABLE.numeric]) for n in ("mean", "stddev"))
    y = np.stack([ROWS["height"], ROWS["weight"]], axis=1)
    in_units = scipy.stats.norm.logpdf(y, mean + stddev * location, stddev * deviation).sum(1)
    np.testing.assert_allclose(found - TABLE.log_det, in_units + categories, rtol=1e-4, atol=1e-4)


def test_each_number_learns_a_scale():
    network = mlp.decoder(3, (7,), hidden=(8,), seed=0)
    p = Conditional(network, TableLikelihood(TABLE), TABLE.shape)
    assert p.raw_scale.shape == (2,)
    np.testing.assert_allclose(p(tf.zeros((1, 3))).distributions[0].distribution.scale, [1.0, 1.0])
    assert (p.has_mean, p.has_density, p.capabilities.reparameterised) == (True, True, False)
    assert p.capabilities.has_stddev
    of_numbers = TableLikelihood(zoo.tables.fit({"height": ROWS["height"]}))
    assert (of_numbers.reparameterised, of_numbers.stand_in) == (True, None)
    of_categories = TableLikelihood(zoo.tables.fit({"sex": ROWS["sex"]}))
    assert not of_categories.learns_scale


def test_draws_have_the_shares_that_the_mean_says():
    family = TableLikelihood(TABLE, 0.5)
    params = tf.constant([[1.0, -2.0, 0.0, 1.0, -1.0, 0.0, 1.0]])
    distribution = family.distribution(params)
    drawn = distribution.sample(20_000, seed=[0, 1])[:, 0]
    # Four standard errors of a share of 1/2.
    np.testing.assert_allclose(np.mean(drawn, axis=0), distribution.mean()[0], atol=2 / 20_000**0.5)
    np.testing.assert_array_equal(np.sum(drawn[:, 2:4], axis=1), 1)
    np.testing.assert_array_equal(np.sum(drawn[:, 4:], axis=1), 1)


def test_critics_see_rows_with_a_gradient():
    family = TableLikelihood(TABLE, 0.5)
    params = tf.Variable(random.normal(size=(6, 7)).astype("float32"))
    with tf.GradientTape() as tape:
        distribution = family.distribution(params)
        shown = family.relaxed_sample(distribution, tf.constant([3, 4]))
        total = tf.reduce_sum(shown * np.arange(7.0, dtype="float32"))
    np.testing.assert_array_equal(shown, distribution.sample(seed=tf.constant([3, 4])))
    slope = tape.gradient(total, params).numpy()
    np.testing.assert_allclose(slope[:, :2], np.tile([0.0, 1.0], (6, 1)))
    for place in (slice(2, 4), slice(4, 7)):
        q = tf.nn.softmax(params[:, place]).numpy()
        value = np.arange(7.0)[place]
        # d/dl sum_k v_k q_k = q (v - E v)
        np.testing.assert_allclose(slope[:, place], q * (value - q @ value[:, None]), atol=1e-5)


def test_it_is_saved_and_named():
    family = TableLikelihood(TABLE, "per_element", floor=0.1)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(family))
    assert (copy.table, copy.get_config()) == (TABLE, family.get_config())
    assert "table" in likelihoods.names()


@pytest.mark.parametrize(
    ("options", "message"), [({"scale": 0}, "scale is 0: give"), ({"floor": -1}, "floor is -1")]
)
def test_wrong_options(options, message):
    with pytest.raises(InputError, match=message):
        TableLikelihood(TABLE, **options)


LEARNED = zoo.Objective(constraints=["KL(q(x,z)||p(x,z)) <= 6", "MMD(q(x)||p(x)) <= 0.05"])


@pytest.mark.parametrize("objective", ["vae", "aae", "alice", "avb", "infovae_mmd", LEARNED])
def test_objectives_of_all_kinds_train_on_rows(objective):
    model = zoo.build(objective, likelihood=TABLE, latent_dim=2, network_options={"hidden": (8,)})
    model.compile(jit_compile=False)
    history = model.fit(ROWS, batch_size=20, epochs=2, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
