import itertools

import numpy as np
import pytest
import tensorflow as tf

from train.data import SPLITS, Dataset, Split, StreamedSplit, pipeline

SIZES = {"train": 23, "validation": 10, "test": 11}
ONE_PASS = {"repeat": False, "shuffle": False, "drop_remainder": False}


def image_stack(split):
    """Grey images [N, 3, 3, 1] whose corner pixel is their index; 9 pixels are no multiple of 4."""
    size = SIZES[split]
    images = np.random.default_rng(size).integers(0, 256, (size, 3, 3, 1), dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(size)
    return images


def make(resident=True, binarization="none"):
    def streamed(split):
        images = image_stack(split)
        opened = lambda: tf.data.Dataset.from_tensor_slices(images)  # noqa: E731
        return StreamedSplit(len(images), (3, 3, 1), False, opened)

    parts = {split: Split(image_stack(split)) if resident else streamed(split) for split in SPLITS}
    return Dataset("corner", (3, 3, 1), parts, binarization)


def arrays(batches, count=None):
    return [batch.numpy() for batch in itertools.islice(batches, count)]


def indices(batches):
    return [np.rint(batch[:, 0, 0, 0] * 255).astype(int).tolist() for batch in batches]


@pytest.fixture(params=[True, False], ids=["resident", "streamed"])
def resident(request):
    return request.param


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Several blocks an epoch, so that streaming crosses their borders too."""
    monkeypatch.setattr(pipeline, "_BLOCK_IMAGES", 9)


@pytest.mark.parametrize("binarization", ["none", "static", "dynamic"])
@pytest.mark.parametrize("drop_remainder", [True, False])
def test_a_batch_is_a_pure_function_of_seed_and_step(resident, binarization, drop_remainder):
    dataset = make(resident, binarization)
    options = {"seed": 7, "drop_remainder": drop_remainder}
    # 23 images in batches of 5: an epoch ends after 4 (or 5) batches, so 14 cross three borders.
    whole = arrays(dataset.batches("train", 5, **options), 14)
    for start in (1, 4, 5, 13):
        resumed = arrays(dataset.batches("train", 5, start_step=start, **options), 14 - start)
        for expected, got in zip(whole[start:], resumed, strict=True):
            np.testing.assert_array_equal(expected, got)


def test_the_global_seed_plays_no_part(resident):
    dataset = make(resident, "dynamic")
    tf.random.set_seed(1)
    first = arrays(dataset.batches("train", 5, seed=7), 6)
    tf.random.set_seed(2)
    second = arrays(dataset.batches("train", 5, seed=7), 6)
    np.testing.assert_array_equal(first, second)


def test_an_epoch_visits_each_image_once_in_a_new_order(resident):
    batches = make(resident).batches("train", 5, seed=3, drop_remainder=False)
    shown = indices(arrays(batches, 15))
    epochs = [list(itertools.chain(*shown[start : start + 5])) for start in (0, 5, 10)]
    assert all(sorted(epoch) == list(range(23)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert all(epoch != sorted(epoch) for epoch in epochs)


def test_the_dropped_remainder_changes(resident):
    shown = indices(arrays(make(resident).batches("train", 5, seed=3), 40))
    assert all(len(batch) == 5 for batch in shown)
    assert set(itertools.chain(*shown)) == set(range(23))


def test_seeds_and_splits_have_their_own_order(resident):
    dataset = make(resident)
    orders = [indices(arrays(dataset.batches("train", 23, seed), 1))[0] for seed in (0, 1, -1)]
    assert len({tuple(order) for order in orders}) == 3
    val, test = (indices(arrays(dataset.batches(s, 10, 0), 1))[0] for s in ("validation", "test"))
    assert val != test


def test_evaluation_is_one_pass_in_order_whatever_the_batch_size(resident):
    dataset = make(resident, "dynamic")

    def test_images(batch_size, seed):
        return np.concatenate(arrays(dataset.batches("test", batch_size, seed, **ONE_PASS)))

    first = test_images(4, seed=0)
    assert first.shape == (11, 3, 3, 1)
    np.testing.assert_array_equal(first, test_images(4, seed=0))
    np.testing.assert_array_equal(first, test_images(11, seed=0))
    np.testing.assert_array_equal(first, test_images(64, seed=0))
    assert (first != test_images(4, seed=1)).any()
    grey = np.concatenate(arrays(make(resident).batches("test", 4, 0, **ONE_PASS)))
    np.testing.assert_array_equal(grey, make().split("test").as_float())


def test_streamed_and_resident_evaluation_agree():
    def passes(resident):
        return arrays(make(resident, "dynamic").batches("validation", 3, 5, **ONE_PASS))

    for expected, got in zip(passes(True), passes(False), strict=True):
        np.testing.assert_array_equal(expected, got)


def test_static_binarization_thresholds_at_half():
    grey = np.concatenate(arrays(make().batches("train", 5, 0, **ONE_PASS)))
    binary = np.concatenate(arrays(make(binarization="static").batches("train", 5, 0, **ONE_PASS)))
    np.testing.assert_array_equal(binary, grey >= 0.5)


def test_dynamic_binarization_is_bernoulli_and_new_each_epoch():
    batches = make(binarization="dynamic").batches("validation", 10, seed=0, shuffle=False)
    epochs = np.stack(arrays(batches, 2000))
    assert set(np.unique(epochs)) == {0.0, 1.0}
    grey = make().split("validation").as_float()
    # The mean of 2000 Bernoulli draws has a standard deviation of at most 0.0112; among 90 pixels
    # a deviation of 4.5 of them has a probability of 90 * 7e-6.
    np.testing.assert_allclose(epochs.mean(axis=0), grey, atol=4.5 * 0.0112)
    # Noise of different epochs, images and pixels is independent: correlations are near 0.
    noise = (epochs - grey)[:, :, 1:, 1:].reshape(2000, -1)
    assert np.abs(np.mean(noise[1:] * noise[:-1])) < 0.005
    off_diagonal = np.corrcoef(noise.T)[np.triu_indices(noise.shape[1], 1)]
    assert np.abs(off_diagonal).max() < 5 / np.sqrt(2000)


@pytest.mark.parametrize("size", [1000, 55000])
def test_permutations_of_different_epochs_are_uncorrelated(size):
    plan = pipeline.Plan(size, 1, size, seed=3, stream=0, shuffle=True)
    limit = tf.constant(size, tf.int64)
    orders = [plan.permute(tf.range(limit), limit, tf.constant(n, tf.int64)) for n in range(8)]
    rows = np.stack([np.arange(size), *(order.numpy() for order in orders)])
    correlations = np.corrcoef(rows)[np.triu_indices(9, 1)] * np.sqrt(size)
    # Each is standard normal; TensorFlow's own index_shuffle gives up to 190 for 55,000.
    assert np.abs(correlations).max() < 4.5


@pytest.mark.parametrize("size", [1, 2, 3, 127, 128, 129])
def test_permutations_are_permutations(size):
    plan = pipeline.Plan(size, 1, size, seed=-5, stream=1, shuffle=True)
    limit = tf.constant(size, tf.int64)
    order = plan.permute(tf.range(limit), limit, tf.constant(0, tf.int64)).numpy()
    assert sorted(order) == list(range(size))


def test_specification(resident):
    dataset = make(resident, "dynamic")
    endless = dataset.batches("train", 5, seed=0)
    assert endless.element_spec == tf.TensorSpec((5, 3, 3, 1), tf.float32)
    if resident:
        assert endless.cardinality() == tf.data.INFINITE_CARDINALITY
        assert dataset.batches("train", 5, seed=0, start_step=1, repeat=False).cardinality() == 3


def test_float_images_pass_unchanged():
    images = np.random.default_rng(0).random((6, 2, 2, 3)).astype(np.float32)
    dataset = Dataset("floats", (2, 2, 3), {"train": Split(images)}, "none")
    np.testing.assert_array_equal(arrays(dataset.batches("train", 6, 0, **ONE_PASS))[0], images)
