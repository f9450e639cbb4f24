import numpy as np
import pytest

from train.data import Dataset, Split, resolve_binarization
from zoo.errors import InputError


@pytest.fixture
def dataset():
    images = np.zeros((10, 2, 3, 1), np.uint8)
    parts = {"train": Split(images), "validation": Split(images[:4]), "test": Split(images[:3])}
    return Dataset("ten", (2, 3, 1), parts)


@pytest.mark.parametrize(
    ("binarization", "likelihood", "channels", "resolved"),
    [
        ("auto", "bernoulli", 1, "dynamic"),
        ("auto", "bernoulli", 3, "none"),
        ("auto", "normal", 1, "none"),
        ("static", "normal", 3, "static"),
        ("dynamic", "normal", 1, "dynamic"),
        ("none", "bernoulli", 1, "none"),
    ],
)
def test_resolve_binarization(dataset, binarization, likelihood, channels, resolved):
    assert resolve_binarization(binarization, likelihood, channels) == resolved
    given = Dataset("ten", (2, 3, channels), dataset.splits, binarization)
    assert given.resolved(likelihood).binarization == resolved


def test_unknown_binarization():
    with pytest.raises(InputError, match=r"'dynamc'.*'dynamic'"):
        resolve_binarization("dynamc", "bernoulli")


def test_steps_per_epoch(dataset):
    assert dataset.steps_per_epoch(3) == 3
    assert dataset.steps_per_epoch(3, drop_remainder=False) == 4
    assert dataset.steps_per_epoch(4, "validation") == 1
    assert dataset.steps_per_epoch(100, "test", drop_remainder=False) == 1


def test_impossible_batches(dataset):
    ready = dataset.resolved("normal")
    with pytest.raises(InputError, match="batch_size 4 is larger than the 3 images of the test"):
        ready.batches("test", 4, seed=0)
    with pytest.raises(InputError, match="batch_size is 0"):
        ready.batches("test", 0, seed=0)
    with pytest.raises(InputError, match="Unknown split 'tests': did you mean 'test'"):
        ready.batches("tests", 1, seed=0)
    with pytest.raises(InputError, match=r"'auto': call resolved\(likelihood\)"):
        dataset.batches("test", 1, seed=0)
