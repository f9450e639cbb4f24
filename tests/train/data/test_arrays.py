import numpy as np
import pytest
import strangers

from train.data import arrays
from zoo.errors import InputError

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (12, 4, 5, 3), dtype=np.uint8)
FLOATS = RNG.random((12, 4, 5))


def saved(tmp_path, **named):
    path = tmp_path / "images.npz"
    np.savez(path, **named)
    return path


@pytest.mark.parametrize("key", ["x_train", "train_images", "images", "x", "arr_0"])
def test_npz_names_of_training_images(tmp_path, key):
    splits = arrays.load(saved(tmp_path, **{key: BYTES}))
    assert list(splits) == ["train"]
    assert splits["train"].labels is None
    np.testing.assert_array_equal(splits["train"].images, BYTES)


def test_npz_with_splits_and_labels(tmp_path):
    labels = np.arange(12)
    path = saved(
        tmp_path,
        x_train=BYTES,
        y_train=labels,
        x_val=BYTES[:3],
        x_test=BYTES[:5],
        y_test=labels[:5, np.newaxis].astype(np.uint8),
        notes=np.zeros(3),
    )
    splits = arrays.load(path)
    assert {split: part.size for split, part in splits.items()} == {
        "train": 12,
        "validation": 3,
        "test": 5,
    }
    assert splits["train"].labels.tolist() == labels.tolist()
    assert splits["test"].labels.tolist() == [0, 1, 2, 3, 4]
    assert splits["validation"].labels is None


def test_npy_of_floats_without_channels(tmp_path):
    np.save(tmp_path / "images.npy", FLOATS)
    images = arrays.load(tmp_path / "images.npy")["train"].images
    assert images.shape == (12, 4, 5, 1)
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images[..., 0], FLOATS.astype(np.float32))


@pytest.mark.parametrize("dtype", [bool, np.uint8])
def test_black_and_white_becomes_0_and_255(tmp_path, dtype):
    path = saved(tmp_path, images=(FLOATS > 0.5).astype(dtype))
    images = arrays.load(path)["train"].images
    np.testing.assert_array_equal(images[..., 0], np.where(FLOATS > 0.5, 255, 0))


def with_value(value):
    images = FLOATS.copy()
    images[7, 1, 2] = value
    return images


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (with_value(np.nan), r"at index \[7, 1, 2\] is nan"),
        (with_value(np.inf), r"at index \[7, 1, 2\] is inf"),
        (with_value(-0.25), r"at index \[7, 1, 2\] is -0.25"),
        (with_value(200.0), r"at index \[7, 1, 2\] is 200.0.*save them as uint8"),
        (BYTES.astype(np.int64), "dtype int64"),
        (FLOATS.astype(complex), "dtype complex128"),
        (BYTES[0, 0, 0], r"shape \[3\]: images must be \[N, H, W\] or .* vectors \[N, D\]"),
        (BYTES[..., np.newaxis], r"shape \[12, 4, 5, 3, 1\]"),
        (BYTES[:0], r"shape \[0, 4, 5, 3\], which holds no pixels"),
        (np.array(["a", "b"]), "dtype <U1"),
        (np.array([object()] * 3), "Python objects"),
    ],
)
@pytest.mark.parametrize("extension", ["npy", "npz"])
def test_refused_images(tmp_path, images, message, extension):
    path = tmp_path / f"images.{extension}"
    np.save(path, images) if extension == "npy" else np.savez(path, x_train=images)
    with pytest.raises(InputError, match=message) as error:
        arrays.load(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.arange(11), r"shape \[11\].*12 integers"),
        (np.arange(12.0), "dtype float64.*12 integers"),
        (np.eye(12, dtype=int), r"shape \[12, 12\]"),
    ],
)
def test_refused_labels(tmp_path, labels, message):
    with pytest.raises(InputError, match=message):
        arrays.load(saved(tmp_path, images=BYTES, labels=labels))


def test_refused_files(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        arrays.load(tmp_path / "none.npz")
    (tmp_path / "text.npy").write_text("hello")
    (tmp_path / "empty.npz").write_bytes(b"")
    path = saved(tmp_path, images=BYTES)
    path.write_bytes(path.read_bytes()[:-200])
    for damaged in (tmp_path / "text.npy", tmp_path / "empty.npz", path):
        with pytest.raises(InputError, match=r"cannot be read as a NumPy file|Python objects"):
            arrays.load(damaged)


def test_refused_names_and_shapes(tmp_path):
    with pytest.raises(InputError, match="arrays data, more: name the training images x_train"):
        arrays.load(saved(tmp_path, data=BYTES, more=BYTES))
    with pytest.raises(InputError, match="different image shapes"):
        arrays.load(saved(tmp_path, x_train=BYTES, x_test=BYTES[:, :3]))


@pytest.mark.parametrize(("name", "content"), strangers.arrays())
def test_files_of_strangers_are_refused_unread(tmp_path, monkeypatch, name, content):
    """Pickles, headers that are programs or declare more than there is, members of other kinds."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"Python objects|cannot be read as a NumPy file"):
        arrays.load(path)
    assert list(tmp_path.iterdir()) == [path]


def test_an_archive_that_unpacks_into_far_more_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "zeros.npz"
    np.savez_compressed(path, x_train=np.zeros((1000, 28, 28), np.uint8))
    assert arrays.load(path)["train"].size == 1000
    monkeypatch.setattr(arrays, "_MOST", 10_000)
    with pytest.raises(InputError, match="cannot be read"):
        arrays.load(path)
