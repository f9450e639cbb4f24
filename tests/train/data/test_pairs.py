import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from train.data import partners
from train.data.pairs import check_pair, load_pair
from zoo.errors import InputError

ONE_PASS = {"repeat": False, "shuffle": False, "drop_remainder": False}


def numbered(count, start=0, side=4):
    """Grey images [N, side, side] of noise whose middle pixel is their number."""
    images = np.random.default_rng(start).integers(0, 200, (count, side, side), dtype=np.uint8)
    images[:, 1, 1] = np.arange(start, start + count)
    return images


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two arrays, of 50 and of 31 images with labels, and a folder of 23."""
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", x=numbered(50), y=np.arange(50) % 10)
    np.savez("b.npz", x=numbered(31, 100))
    (tmp_path / "c").mkdir()
    for index, image in enumerate(numbered(23, 200)):
        Image.fromarray(image).save(tmp_path / "c" / f"{index:02}.png")
    return tmp_path


def numbers(batch):
    return np.rint(np.asarray(batch)[:, 1, 1, 0] * 255).astype(int).tolist()


def sources(batch):
    """Numbers of the images that rotated ones were made of: their middle pixel has moved."""
    return np.rint(np.asarray(batch)[:, 2, 1, 0] * 255).astype(int).tolist()


def arrays(batches, count=None):
    return [(x.numpy(), z.numpy()) for x, z in itertools.islice(batches, count)]


def test_training_has_no_pairs_to_learn_from(files):
    dataset = load_pair("a.npz", "rotated")
    train = dataset.split("train")
    assert (dataset.image_shape, dataset.latent_shape) == ((4, 4, 1), (4, 4, 1))
    assert dataset.true_partners
    assert [part.size for part in dataset.splits.values()] == [20, 5, 5]
    x, z = train.x.images[:, 1, 1, 0].tolist(), train.z.images[:, 2, 1, 0].tolist()
    held_out = [
        n for key in ("validation", "test") for n in dataset.split(key).x.images[:, 1, 1, 0]
    ]
    # Disjoint halves of the training images, which with the held-out ones are all there are.
    assert sorted([*x, *z, *held_out]) == list(range(50))
    # Labels go with the images they belong to.
    assert train.x.labels.tolist() == [n % 10 for n in x]
    assert train.z.labels.tolist() == [n % 10 for n in z]
    assert dataset.split("test").labels.tolist() == dataset.split("test").x.labels.tolist()


def test_both_are_shuffled_independently(files):
    dataset = load_pair("a.npz", "rotated")
    batches = arrays(dataset.batches("train", 5, seed=3), 8)
    for start in (0, 4):
        x = [n for x, _ in batches[start : start + 4] for n in numbers(x)]
        z = [n for _, z in batches[start : start + 4] for n in sources(z)]
        assert sorted(x) == sorted(dataset.split("train").x.images[:, 1, 1, 0])
        assert sorted(z) == sorted(dataset.split("train").z.images[:, 2, 1, 0])
        # Where each stands in its own set: the same order would be a correlation of 1.
        places = [np.argsort(np.argsort(order)) for order in (x, z)]
        assert places[0].tolist() != places[1].tolist()
    assert batches[0][0].dtype == np.float32
    assert batches[0][0].max() <= 1


@pytest.mark.parametrize("kind", partners.KINDS)
@pytest.mark.parametrize("shuffle", [False, True])
def test_held_out_images_are_with_their_partners(files, kind, shuffle):
    dataset = load_pair("a.npz", kind)
    for stream, split in ((1, "validation"), (2, "test")):
        parts = dataset.split(split)
        order = {n: i for i, n in enumerate(parts.x.images[:, 1, 1, 0].tolist())}
        made = partners.get(kind)(parts.x.images, stream) / np.float32(255)
        shown = 0
        for x, z in arrays(dataset.batches(split, 2, 0, **(ONE_PASS | {"shuffle": shuffle}))):
            index = [order[n] for n in numbers(x)]
            # float32 quotients of the same whole numbers
            np.testing.assert_allclose(z, made[index], atol=1e-7)
            shown += len(x)
        assert shown == 5


@pytest.mark.parametrize("names", [("a.npz", "edges"), ("a.npz", "c")])
def test_a_batch_is_a_pure_function_of_seed_and_step(files, names):
    dataset = load_pair(*names)
    whole = arrays(dataset.batches("train", 5, seed=7), 12)
    for start in (1, 4, 9):
        resumed = arrays(dataset.batches("train", 5, seed=7, start_step=start), 12 - start)
        for expected, got in zip(whole[start:], resumed, strict=True):
            np.testing.assert_array_equal(expected[0], got[0])
            np.testing.assert_array_equal(expected[1], got[1])
    assert np.any(arrays(dataset.batches("train", 5, seed=8), 1)[0][0] != whole[0][0])


@pytest.mark.parametrize("names", [("a.npz", "coloured"), ("c", "b.npz")])
@pytest.mark.parametrize("jit", [False, True])
def test_batches_made_inside_the_step_are_the_same(files, names, jit):
    dataset = load_pair(*names)
    feed = dataset.resident_batches("train", 6, seed=5)
    expected = arrays(dataset.batches("train", 6, seed=5, start_step=2), 6)
    made = tf.function(feed, jit_compile=jit)
    step = 0
    for chunk in feed.chunks(2, 3).take(2):
        assert {leaf.shape[0] for leaf in tf.nest.flatten(chunk)} == {3}
        for index in range(3):
            x, z = made(tf.nest.map_structure(lambda leaf, i=index: leaf[i], chunk))
            # XLA may multiply by 1/255 where TensorFlow divides: a float's last digit.
            np.testing.assert_allclose(x, expected[step][0], rtol=2e-7)
            np.testing.assert_allclose(z, expected[step][1], rtol=2e-7)
            step += 1


def test_two_datasets_of_different_sizes(files):
    dataset = load_pair("a.npz", "c")
    assert not dataset.true_partners
    # 50 images: 40, 5, 5; 23 images: 19, 2, 2. Held-out splits end with the smaller.
    assert [(p.x.size, p.z.size) for p in dataset.splits.values()] == [(40, 19), (2, 2), (2, 2)]
    assert dataset.steps_per_epoch(6) == 3
    assert dataset.steps_per_epoch(6, drop_remainder=False) == 4
    batches = arrays(dataset.batches("train", 6, seed=0), 18)
    x = [n for x, _ in batches for n in numbers(x)]
    # The larger set goes on where the smaller begins again: 18 batches are three passes of 36.
    assert all(len(set(x[start : start + 36])) == 36 for start in (0, 36, 72))
    assert set(x) == set(dataset.split("train").x.images[:, 1, 1, 0].tolist())
    once = arrays(dataset.batches("train", 6, 0, **ONE_PASS))
    assert [(len(x), len(z)) for x, z in once] == [(6, 6)] * 3 + [(1, 1)]


def test_impossible_batches(files):
    dataset = load_pair("a.npz", "c")
    with pytest.raises(InputError, match="batch_size 20 is larger than the 19 images of the train"):
        dataset.batches("train", 20, seed=0)
    with pytest.raises(InputError, match="batch_size is 0"):
        dataset.resident_batches("train", 0, seed=0)
    with pytest.raises(InputError, match="Unknown split 'tests': did you mean 'test'"):
        dataset.batches("tests", 1, seed=0)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a.npz", None), r"'a.npz' is one set of images: add --pair=rotated, edges or coloured"),
        (("a.npz", "rotate"), "Unknown pair 'rotate': did you mean 'rotated'"),
        (("a.npz", "none.npz"), "There is no file none.npz"),
        (("a.npz", "./none"), "There is no folder ./none"),
        (("nowhere", "rotated"), "Unknown dataset 'nowhere'"),
        (("cycle_gan/facades", "edges"), "'cycle_gan/facades' is already a pair: leave out"),
    ],
)
def test_names_that_lead_nowhere(files, names, message):
    with pytest.raises(InputError, match=message):
        check_pair(*names)
    with pytest.raises(InputError, match=message):
        load_pair(*names)


def test_images_that_cannot_be_paired(files):
    np.save("wide.npy", numbered(12)[:, :, :3])
    np.save("three.npy", numbered(3))
    with pytest.raises(InputError, match="4x3 cannot be paired with rotated"):
        load_pair("wide.npy", "rotated")
    with pytest.raises(InputError, match=r"'three.npy\+edges' has 1 training image"):
        load_pair("three.npy", "edges")


def test_names_are_checked_without_tensorflow(files):
    code = (
        "import sys, train.data.pairs as pairs\n"
        "pairs.check_pair('mnist_5k', 'rotated'); pairs.load_pair('mnist_5k', 'edges')\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_the_digits():
    dataset = load_pair("mnist_5k", "coloured")
    assert [part.size for part in dataset.splits.values()] == [2000, 500, 500]
    assert dataset.latent_shape == (28, 28, 3)
    assert dataset.resolved("bernoulli") is dataset
    assert dataset.binarization == "none"
