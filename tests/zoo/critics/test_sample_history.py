"""The history of images against the one-by-one procedure it stands for, in plain Python."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.critics.sample_history import SampleHistory
from zoo.errors import InputError

SEED = tf.constant([0, 0])


def numbered(start, count):
    """Images [count, 2, 2, 1], each of one value: its number from 1 on."""
    values = np.arange(start + 1, start + 1 + count, dtype=np.float32)
    return np.broadcast_to(values[:, None, None, None], (count, 2, 2, 1)).copy()


def numbers(images):
    images = np.asarray(images)
    assert np.all(images == images[:, :1, :1])
    return images[:, 0, 0, 0].astype(int).tolist()


def one_by_one(kept, size, batch, draws):
    """Zhu et al.'s image pool; `draws` are the uniforms that the layer draws for the batch."""
    returned = []
    for image, place, coin in zip(batch, *draws, strict=True):
        if len(kept) < size:
            kept.append(image)
            returned.append(image)
        elif coin < 0.5:
            place = min(int(np.float32(place) * np.float32(size)), size - 1)
            returned.append(kept[place])
            kept[place] = image
        else:
            returned.append(image)
    return returned


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize(("size", "batch"), [(5, 4), (4, 4), (3, 8), (50, 7), (1, 3)])
def test_it_is_the_one_by_one_procedure(size, batch, jit):
    history = SampleHistory(size, (2, 2, 1))
    call = tf.function(history, jit_compile=jit)
    draw = tf.function(lambda seed: tf.random.stateless_uniform([2, batch], seed), jit_compile=jit)
    kept = []
    for step in range(12):
        given = numbered(step * batch, batch)
        seed = tf.constant([3, step])
        expected = one_by_one(kept, size, numbers(given), draw(seed).numpy())
        assert numbers(call(given, seed)) == expected
        assert numbers(history.kept)[: len(kept)] == kept
        assert int(history.count) == len(kept)


def test_half_are_replaced_by_older_ones_once_it_is_full():
    history = SampleHistory(50, (2, 2, 1))
    replaced, ages = [], []
    for step in range(400):
        given = numbered(step * 32, 32)
        returned = numbers(history(given, tf.constant([0, step])))
        if step >= 50:
            old = [g - r for g, r in zip(numbers(given), returned, strict=True) if g != r]
            replaced.append(len(old) / 32)
            ages += old
    # 11200 fair coins: a standard error of 0.005, five of which are allowed.
    assert np.mean(replaced) == pytest.approx(0.5, abs=0.025)
    # An image stays for 50 replacements on average, so for 100 images; ages are geometric, whose
    # standard deviation is their mean: 100 / sqrt(5600) = 1.3, correlated among neighbours.
    assert min(ages) > 0
    assert np.mean(ages) == pytest.approx(100, abs=8)


def test_nothing_is_lost_or_doubled():
    history = SampleHistory(10, (2, 2, 1))
    seen = []
    for step in range(30):
        seen += numbers(history(numbered(step * 8, 8), tf.constant([1, step])))
    # Of 240 images each is returned at most once while it is replaced, and those kept are still
    # to come; only the first ten were both kept and returned.
    after = [number for number in seen[10:] if number > 10] + [
        number for number in numbers(history.kept) if number > 10
    ]
    assert len(set(after)) == len(after)
    assert set(after) | set(range(1, 11)) == set(range(1, 241))


def test_it_leaves_evaluation_alone_and_stops_gradients():
    history = SampleHistory(2, (2, 2, 1))
    images = tf.constant(numbered(0, 6))
    np.testing.assert_array_equal(history(images, SEED, training=False), images)
    assert int(history.count) == 0
    with tf.GradientTape() as tape:
        tape.watch(images)
        returned = history(images, SEED)
    assert tape.gradient(returned, images) is None
    assert history.trainable_variables == []


def test_it_is_saved_with_its_images(tmp_path):
    class Holder(keras.Model):
        def __init__(self):
            super().__init__()
            self.history = SampleHistory(3, (2, 2, 1))
            self.built = True

        def call(self, images):
            return self.history(images, SEED)

    first, second = Holder(), Holder()
    for step in range(3):
        first.history(numbered(4 * step, 4), tf.constant([0, step]))
    first.save_weights(tmp_path / "holder.weights.h5")
    second.load_weights(tmp_path / "holder.weights.h5")
    given, seed = numbered(12, 4), tf.constant([0, 3])
    np.testing.assert_array_equal(first.history(given, seed), second.history(given, seed))
    np.testing.assert_array_equal(first.history.kept, second.history.kept)

    copy = SampleHistory.from_config(SampleHistory(7, (4, 4, 3), name="fakes").get_config())
    assert (copy.size, copy.image_shape, copy.name) == (7, (4, 4, 3), "fakes")


@pytest.mark.parametrize("size", [0, -1, 2.0, True])
def test_impossible_sizes(size):
    with pytest.raises(InputError, match=f"A history's size is {size}: give a positive"):
        SampleHistory(size, (2, 2, 1))
