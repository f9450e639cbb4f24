"""Batches with a condition: the same images, with the labels of each beside them."""

import numpy as np
import pytest

from train.data import SPLITS, Dataset, PairedDataset, Split
from zoo.batch import Batch
from zoo.errors import InputError


def split(size, labels=True):
    rng = np.random.default_rng(size)
    images = rng.integers(0, 256, (size, 3, 3, 1), dtype=np.uint8)
    return Split(images, np.arange(size) % 4 if labels else None)


def make(**options):
    parts = {name: split(size) for name, size in zip(SPLITS, (23, 10, 11), strict=True)}
    return Dataset("corner", (3, 3, 1), parts, "dynamic", **options)


def test_a_dataset_says_which_conditions_it_has():
    plain = make()
    assert plain.conditions == {"label": 4}
    assert plain.condition is plain.classes is None
    given = plain.given("label")
    assert (given.condition, given.classes) == ("label", 4)
    assert plain.given(None).condition is None
    bare = Dataset("bare", (3, 3, 1), {name: split(20, labels=False) for name in SPLITS}, "none")
    assert bare.conditions == {}
    with pytest.raises(InputError, match="conditions of 'bare' are: none, as its train and"):
        bare.given("label")
    with pytest.raises(InputError, match=r"--condition=size: .* are: label"):
        plain.given("size")
    assert PairedDataset.condition is None


def test_images_are_those_of_the_unconditional_batches():
    """Bit for bit, with the same permutations and the same noise."""
    plain, given = make(), make().given("label")
    for options in ({"seed": 3}, {"seed": 3, "start_step": 4, "part": (1, 5)}):
        pairs = zip(
            plain.batches("train", 5, **options), given.batches("train", 5, **options), strict=False
        )
        for _, (x, batch) in zip(range(9), pairs, strict=False):
            assert isinstance(batch, Batch)
            np.testing.assert_array_equal(x, batch.x)
            assert batch.z == ()
            assert batch.c.dtype == np.int64


def test_labels_are_those_of_the_images():
    dataset = make()
    parts = {name: Split(part.images, part.labels) for name, part in dataset.splits.items()}
    for part in parts.values():
        part.images[:, 0, 0, 0] = 60 * part.labels
    given = Dataset("corner", (3, 3, 1), parts, "none").given("label")
    once = given.batches("test", 4, 0, drop_remainder=False, repeat=False, shuffle=False)
    found = [batch.c.numpy() for batch in once]
    np.testing.assert_array_equal(np.concatenate(found), parts["test"].labels)
    for _, batch in zip(range(12), given.batches("train", 5, 1), strict=False):
        np.testing.assert_allclose(255 * batch.x[:, 0, 0, 0], 60 * batch.c, rtol=1e-5)


def test_batches_made_in_the_step_are_the_same():
    given = make().given("label")
    made = given.resident_batches("train", 5, 2)
    wanted = iter(given.batches("train", 5, 2, start_step=2))
    chunk = next(iter(made.chunks(2, 6)))
    for index in range(6):
        found = made({name: value[index] for name, value in chunk.items()})
        batch = next(wanted)
        np.testing.assert_array_equal(found.x, batch.x)
        np.testing.assert_array_equal(found.c, batch.c)
