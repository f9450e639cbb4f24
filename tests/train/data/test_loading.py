import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from train.data import check_name, load
from zoo.errors import InputError


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A working directory with a folder of 12 images and an array of as many."""
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (12, 4, 4), dtype=np.uint8)
    np.savez("grey.npz", images=images)
    np.save("binary.npy", (images > 127).astype(float))
    (tmp_path / "pictures").mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / "pictures" / f"{index:02}.png")
    (tmp_path / "pictures" / "zz.png").write_bytes(b"damaged")
    return images


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mnist_5k", "built_in"),
        ("four_points", "built_in"),
        ("grey.npz", "array"),
        ("./binary.npy", "array"),
        ("pictures", "folder"),
        ("./pictures/", "folder"),
        ("mnist", "tfds"),
        ("mnist:3.0.1", "tfds"),
        ("mnist_corrupted/fog", "tfds"),
    ],
)
def test_how_names_are_resolved(files, name, kind):
    assert check_name(name) == kind


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnst", "Unknown dataset 'mnst': did you mean .*'mnist'"),
        ("mnist5k", "Unknown dataset 'mnist5k': did you mean .*'mnist_5k'"),
        ("qqzzxx", "Unknown dataset 'qqzzxx': it is neither mnist_5k, one of the"),
        ("", "Unknown dataset ''"),
        ("none.npz", "There is no file none.npz"),
        ("./none", "There is no folder ./none"),
        ("none/at/all", "There is no folder none/at/all"),
    ],
)
def test_names_that_lead_nowhere(files, name, message):
    with pytest.raises(InputError, match=message) as error:
        check_name(name)
    assert len(str(error.value)) < 200


def test_names_are_checked_without_tensorflow():
    code = (
        "import sys, train.data as data\n"
        "data.check_name('mnist'); data.load('mnist_5k')\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_home_is_expanded(files, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert check_name("~/pictures") == "folder"
    assert load("~/grey.npz").split("train").size == 10


def test_the_default_is_mnist_5k():
    dataset = load()
    assert dataset.name == "mnist_5k"
    assert dataset.image_shape == (28, 28, 1)
    assert dataset.binarization == "auto"
    assert dataset.resident
    assert [part.size for part in dataset.splits.values()] == [4000, 500, 500]


def test_users_files(files):
    grey = load("grey.npz", binarization="static")
    assert [part.size for part in grey.splits.values()] == [10, 1, 1]
    assert grey.image_shape == (4, 4, 1)
    assert grey.binarization == "static"
    assert load("binary.npy").binarization == "static"
    with pytest.raises(InputError, match=r"zz\.png"):
        load("pictures")
    folder = load("pictures", skip_bad=True)
    assert folder.skipped == 1
    assert folder.binarization == "auto"
    # Files are sorted and carving is fixed, so both sources give the same splits.
    for split in folder.splits:
        np.testing.assert_array_equal(folder.split(split).images, grey.split(split).images)


def test_unknown_binarization_is_refused_first():
    with pytest.raises(InputError, match="Unknown binarization 'dynamc'"):
        load("no such dataset", binarization="dynamc")


@pytest.mark.parametrize(
    "name", ["~nobody_has_this_name/x", "~nobody_has_this_name/x.npy", "x" * 5000, "a\0/b", "~\0"]
)
def test_names_that_no_file_has(name):
    with pytest.raises(InputError):
        check_name(name)
    with pytest.raises(InputError):
        check_name("minst", name)
