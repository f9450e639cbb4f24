"""TFDS is tested on tiny datasets prepared in a temporary folder, and on real ones if there."""

import json
import os
import shutil
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import requests
import tensorflow_datasets as tfds

from train.data import load, tfds_source
from zoo.errors import InputError

COUNT = 64
ONE_PASS = {"seed": 0, "repeat": False, "shuffle": False, "drop_remainder": False}


def tiny_image(index):
    """Image `index` [6, 5, 1] of every tiny dataset; its corner pixel is its index."""
    image = np.random.default_rng(index).integers(0, 256, (6, 5, 1), dtype=np.uint8)
    image[0, 0, 0] = index
    return image


class Tiny(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")
    FEATURES: ClassVar = {
        "image": tfds.features.Image(shape=(6, 5, 1), encoding_format="png"),
        "label": tfds.features.ClassLabel(num_classes=3),
    }
    SIZES: ClassVar = {"train": COUNT}

    def _info(self):
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(self.FEATURES))

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(size) for split, size in self.SIZES.items()}

    def _generate_examples(self, size):
        for index in range(size):
            yield index, self.example(index)

    def example(self, index):
        return {"image": tiny_image(index), "label": index % 3}


class TinyHeldOut(Tiny):
    """Brings its own splits, one of which is none of ours."""

    SIZES: ClassVar = {"train": 20, "test": 7, "validation": 5, "extra": 9}


class TinyTestOnly(Tiny):
    SIZES: ClassVar = {"test": 20}


class TinyBinary(Tiny):
    """Stores black and white as 0 and 1, without labels, as binarized_mnist does."""

    FEATURES: ClassVar = {"image": tfds.features.Image(shape=(6, 5, 1), encoding_format="png")}

    def example(self, index):
        return {"image": tiny_image(index) % np.uint8(2)}


class TinyText(Tiny):
    FEATURES: ClassVar = {"sentence": tfds.features.Text()}


class TinyUneven(Tiny):
    FEATURES: ClassVar = {"image": tfds.features.Image(shape=(None, None, 3))}


class TinyOffline(Tiny):
    """Cannot be downloaded."""

    def _split_generators(self, dl_manager):
        raise requests.exceptions.ConnectionError("Name or service not known")


@pytest.fixture(scope="session")
def tiny_dir(tmp_path_factory):
    """A data directory in which the tiny datasets that can be are prepared."""
    data_dir = tmp_path_factory.mktemp("tfds")
    for builder in (Tiny, TinyHeldOut, TinyTestOnly, TinyBinary):
        builder(data_dir=data_dir).download_and_prepare()
    return data_dir


def images_of(dataset, split):
    batches = dataset.batches(split, 8, **ONE_PASS)
    return np.concatenate([batch.numpy() for batch in batches])


def indices(split):
    return split.images[:, 0, 0, 0].tolist()


def all_indices(dataset):
    return [index for part in dataset.splits.values() for index in indices(part)]


def test_carves_held_out_data_and_keeps_labels(tiny_dir):
    dataset = load("tiny", tiny_dir)
    assert dataset.image_shape == (6, 5, 1)
    assert dataset.resident
    assert {split: part.size for split, part in dataset.splits.items()} == {
        "train": COUNT - 12,
        "validation": 6,
        "test": 6,
    }
    everything = all_indices(dataset)
    assert sorted(everything) == list(range(COUNT))
    for part in dataset.splits.values():
        assert part.images.dtype == np.uint8
        for image, label in zip(part.images, part.labels, strict=True):
            np.testing.assert_array_equal(image, tiny_image(image[0, 0, 0]))
            assert label == image[0, 0, 0] % 3


def test_uses_the_sources_own_splits(tiny_dir):
    dataset = load("tiny_held_out", tiny_dir)
    sizes = {split: part.size for split, part in dataset.splits.items()}
    assert sizes == {"train": 20, "validation": 5, "test": 7}
    assert sorted(indices(dataset.split("train"))) == list(range(20))


def test_a_lone_test_split_is_divided(tiny_dir):
    dataset = load("tiny_test_only", tiny_dir)
    assert {split: part.size for split, part in dataset.splits.items()} == {
        "train": 16,
        "validation": 2,
        "test": 2,
    }
    assert sorted(all_indices(dataset)) == list(range(20))


@pytest.mark.parametrize("memory_limit", [1, 10**9], ids=["streamed", "resident"])
def test_images_of_0_and_1_are_binary(tiny_dir, memory_limit):
    dataset = load("tiny_binary", tiny_dir, memory_limit=memory_limit)
    assert dataset.binarization == "static"
    assert dataset.split("train").labels is None
    assert set(np.unique(images_of(dataset, "train"))) == {0.0, 1.0}
    assert load("tiny_binary", tiny_dir, binarization="none").binarization == "none"


def test_streams_above_the_memory_limit(tiny_dir):
    size = COUNT * 30
    resident = load("tiny", tiny_dir, binarization="dynamic", memory_limit=size)
    streamed = load("tiny", tiny_dir, binarization="dynamic", memory_limit=size - 1)
    assert resident.resident
    assert not streamed.resident
    for split in ("train", "validation", "test"):
        np.testing.assert_array_equal(images_of(resident, split), images_of(streamed, split))
    with pytest.raises(InputError, match=r"6 images are streamed.*raise memory_limit"):
        streamed.split("test").images  # noqa: B018


def test_data_directory_from_the_environment(tiny_dir, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tiny_dir))
    assert load("tiny").split("train").size == COUNT - 12


def test_prepared_data_is_not_downloaded_again(tiny_dir, monkeypatch):
    def refuse(self, **options):
        raise AssertionError("downloaded")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", refuse)
    assert load("tiny:1.0.0", tiny_dir).split("test").size == 6


def test_an_older_prepared_version_is_used(tiny_dir, tmp_path):
    older = tmp_path / "tiny" / "0.9.0"
    shutil.copytree(tiny_dir / "tiny" / "1.0.0", older)
    info = json.loads((older / "dataset_info.json").read_text())
    (older / "dataset_info.json").write_text(json.dumps(info | {"version": "0.9.0"}))
    assert load("tiny", tmp_path).split("train").size == COUNT - 12


def test_prepares_what_is_missing(tmp_path):
    assert load("tiny", tmp_path).split("train").size == COUNT - 12
    assert (tmp_path / "tiny" / "1.0.0" / "dataset_info.json").exists()


def test_an_interrupted_preparation_begins_anew(tmp_path, monkeypatch):
    """Ctrl-C or kill -9 while TFDS writes: what it left is no dataset, and is not taken for one."""
    example = Tiny.example

    def interrupted(self, index):
        if index == 5:
            raise KeyboardInterrupt
        return example(self, index)

    monkeypatch.setattr(Tiny, "example", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load("tiny", tmp_path)
    # Killed, TFDS would not have removed its folder.
    (tmp_path / "tiny" / "1.0.0.incomplete.0ABC").mkdir(parents=True)
    (tmp_path / "tiny" / "1.0.0.incomplete.0ABC" / "tiny-train.tfrecord").write_bytes(b"...")
    monkeypatch.undo()
    assert load("tiny", tmp_path).split("train").size == COUNT - 12


def test_no_network(tmp_path):
    with pytest.raises(InputError) as error:
        load("tiny_offline", tmp_path)
    message = str(error.value)
    assert "Name or service not known" in message
    assert "\n" not in message
    assert "mnist_5k, which needs no download" in message


def test_no_network_is_noticed_before_tfds_retries(tmp_path, monkeypatch):
    def unreachable(url, **options):
        raise requests.exceptions.ConnectionError("no route")

    monkeypatch.setattr(requests, "head", unreachable)
    with pytest.raises(InputError, match=r"'mnist' is not in .* cannot be prepared .*no route"):
        load("mnist", tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tiny_text", r"'tiny_text' has no image feature \(its features are sentence\)"),
        ("tiny_uneven", r"different sizes \(None, None, 3\)"),
        ("tiny_txt", "Unknown dataset 'tiny_txt': did you mean .*'tiny_text'"),
    ],
)
def test_unsuitable_datasets(tmp_path, name, message):
    with pytest.raises(InputError, match=message):
        load(name, tmp_path)
    assert not list(tmp_path.iterdir())


def shard(folder):
    return next(folder.glob("*.tfrecord*"))


DAMAGES = {
    "truncated": lambda folder: shard(folder).write_bytes(shard(folder).read_bytes()[:-50]),
    "flipped": lambda folder: shard(folder).write_bytes(b"\xff" + shard(folder).read_bytes()[1:]),
    "no shard": lambda folder: shard(folder).unlink(),
    "short": lambda folder: shard(folder).write_bytes(b""),
    "no info": lambda folder: (folder / "dataset_info.json").unlink(),
    "bad info": lambda folder: (folder / "dataset_info.json").write_text('{"name": '),
    "no splits": lambda folder: (folder / "dataset_info.json").write_text(
        '{"name": "tiny", "version": "1.0.0"}'
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_folders_are_named(tiny_dir, tmp_path, damage):
    shutil.copytree(tiny_dir / "tiny", tmp_path / "tiny")
    DAMAGES[damage](tmp_path / "tiny" / "1.0.0")
    with pytest.raises(InputError) as error:
        load("tiny", tmp_path)
    message = str(error.value)
    assert f"The TFDS folder {tmp_path / 'tiny'}" in message
    assert "delete it" in message
    assert "\n" not in message
    assert "{{" not in message


def test_prepared_data_of_strangers_import_nothing(tiny_dir, tmp_path, monkeypatch):
    shutil.copytree(tiny_dir, tmp_path / "data")
    (path,) = (tmp_path / "data" / "tiny").glob("**/features.json")
    text = path.read_text().replace("tensorflow_datasets.core.features.image_feature", "stranger")
    path.write_text(text)
    (tmp_path / "stranger.py").write_text("open('executed', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"names 'stranger\.Image', which is not a class of TFDS"):
        load("tiny", tmp_path / "data")
    assert not (tmp_path / "executed").exists()


def test_names_of_prepared_data_are_known(tiny_dir, tmp_path):
    shutil.copytree(tiny_dir / "tiny", tmp_path / "my_own")
    names = tfds_source.known_names(tmp_path)
    assert {"my_own", "mnist", "cifar10"} <= set(names)
    assert names == sorted(names)


REAL = Path(os.environ.get("TFDS_DATA_DIR") or "nowhere")
# Their true sizes, before a validation split is carved where there is none.
REAL_SIZES = {
    "mnist": (55000, 5000, 10000),
    "fashion_mnist": (55000, 5000, 10000),
    "binarized_mnist": (50000, 10000, 10000),
}
PREPARED = [name for name in REAL_SIZES if list(REAL.glob(f"{name}/*/dataset_info.json"))]

if PREPARED:

    @pytest.mark.parametrize("name", PREPARED)
    def test_real_data(name):
        dataset = load(name)
        assert dataset.image_shape == (28, 28, 1)
        assert tuple(part.size for part in dataset.splits.values()) == REAL_SIZES[name]
        binary = name == "binarized_mnist"
        assert dataset.binarization == ("static" if binary else "auto")
        test = dataset.split("test")
        assert (test.labels is None) == binary
        # Digits are mostly black; clothes about a third white.
        assert 0.1 < test.as_float().mean() < 0.35
        if not binary:
            assert np.bincount(test.labels, minlength=10).min() > 800
