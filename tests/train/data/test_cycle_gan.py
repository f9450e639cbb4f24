"""TFDS' own cycle_gan code, on tiny photographs in place of what it downloads."""

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from train.data import tfds_source
from train.data.pairs import load_pair
from zoo.errors import InputError

SIZES = {"trainA": 12, "trainB": 9, "testA": 4, "testB": 3}


def prepare(folder, name, image):
    """Prepares cycle_gan/`name` in `folder` of what `image` returns for a split and a number."""
    for split, size in SIZES.items():
        (folder / "zip" / name / split).mkdir(parents=True)
        for index in range(size):
            Image.fromarray(image(split, index)).save(
                folder / "zip" / name / split / f"{index}.png"
            )
    with pytest.MonkeyPatch.context() as patch:
        manager = tfds.download.DownloadManager
        patch.setattr(manager, "download_and_extract", lambda self, url: str(folder / "zip"))
        tfds.builder(f"cycle_gan/{name}", data_dir=folder).download_and_prepare()


def tiny(split, index):
    """A colour image [8, 12, 3] of one value that tells its split and number."""
    return np.full((8, 12, 3), 50 * list(SIZES).index(split) + index, np.uint8)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("facades")
    prepare(folder, "facades", tiny)
    return folder


def values(split):
    return split.images[:, 0, 0, 0].tolist()


def test_both_sides(data_dir):
    dataset = load_pair("cycle_gan/facades", data_dir=data_dir)
    assert dataset.image_shape == dataset.latent_shape == (8, 12, 3)
    assert not dataset.true_partners
    train, validation, test = dataset.splits.values()
    assert (train.x.size, train.z.size) == (11, 8)
    assert (validation.size, test.size) == (1, 3)
    # All of A among x and of B among z, but for what held-out splits lose to the smaller side.
    assert sorted(values(train.x) + values(validation.x)) == list(range(12))
    assert sorted(values(train.z) + values(validation.z)) == list(range(50, 59))
    assert set(values(test.x)) < set(range(100, 104))
    assert sorted(values(test.z)) == [150, 151, 152]
    x, z = next(iter(dataset.batches("train", 8, seed=0)))
    assert x.shape == z.shape == (8, 8, 12, 3)


def test_too_large_for_memory(data_dir):
    needed = sum(SIZES.values()) * 8 * 12 * 3
    load_pair("cycle_gan/facades", data_dir=data_dir, memory_limit=needed)
    with pytest.raises(InputError, match=f"need {needed} bytes.*raise memory_limit"):
        load_pair("cycle_gan/facades", data_dir=data_dir, memory_limit=needed - 1)


def test_photographs_of_different_sizes(tmp_path):
    prepare(tmp_path, "maps", lambda split, index: tiny(split, index)[: 8 - index % 2])
    with pytest.raises(InputError, match="'cycle_gan/maps' have different sizes"):
        load_pair("cycle_gan/maps", data_dir=tmp_path)


def test_they_are_prepared_where_they_are_missing(tmp_path, monkeypatch):
    for split, size in SIZES.items():
        (tmp_path / "zip" / "facades" / split).mkdir(parents=True)
        for index in range(size):
            path = tmp_path / "zip" / "facades" / split / f"{index}.png"
            Image.fromarray(tiny(split, index)).save(path)
    manager = tfds.download.DownloadManager
    zipped = str(tmp_path / "zip")
    monkeypatch.setattr(manager, "download_and_extract", lambda self, url: zipped)
    monkeypatch.setattr(tfds_source, "_check_network", lambda builder: None)
    assert load_pair("cycle_gan/facades", data_dir=tmp_path).split("test").size == 3
