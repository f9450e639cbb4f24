import keras
import numpy as np
import tensorflow as tf

from zoo.model.running_means import RunningMeans


def test_means_are_weighted_by_examples():
    means = RunningMeans(("a", "b"))
    assert {name: float(value) for name, value in means.result().items()} == {"a": 0.0, "b": 0.0}
    means.update_state({"a": 1.0, "b": -2.0}, 3)
    means.update_state({"a": tf.constant(5.0)}, tf.constant(1))
    # (3 * 1 + 1 * 5) / 4,   (3 * -2 + 1 * 0) / 4
    assert {name: float(value) for name, value in means.result().items()} == {"a": 2.0, "b": -1.5}
    means.reset_state()
    means.update_state({"a": 7.0}, 2)
    assert float(means.result()["a"]) == 7.0


def test_one_that_is_not_finite_leaves_the_others_alone():
    means = RunningMeans(("a", "b"))
    means.update_state({"a": np.nan, "b": 1.0}, 2)
    assert np.isnan(means.result()["a"])
    assert float(means.result()["b"]) == 1.0


def test_config():
    means = RunningMeans(("a", "b"), name="logs")
    copy = keras.metrics.deserialize(keras.metrics.serialize(means))
    assert copy.names == ("a", "b")
    assert copy.name == "logs"
