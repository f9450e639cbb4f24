import os

import numpy as np
import pytest
import strangers
from PIL import Image

from train.data import folder
from zoo.errors import InputError

GREY, COLOUR = (7, 5), (7, 5, 3)


def pixels(shape, seed):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write(root, **images):
    """Writes arrays under keyword names such as `train__cat__1` -> train/cat/1.png."""
    for name, image in images.items():
        path = root.joinpath(*name.split("__")).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


def test_flat_folder_in_sorted_order_without_labels(tmp_path):
    images = [pixels(GREY, seed) for seed in range(3)]
    write(tmp_path, b=images[1], a=images[0], c=images[2])
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden").mkdir()
    write(tmp_path / ".hidden", d=pixels(COLOUR, 3))
    splits, skipped = folder.load(tmp_path)
    assert list(splits) == ["train"]
    assert skipped == 0
    np.testing.assert_array_equal(splits["train"].images, np.stack(images)[..., np.newaxis])
    assert splits["train"].images.dtype == np.uint8
    assert splits["train"].labels is None


@pytest.mark.parametrize("extension", [*folder.EXTENSIONS, ".PNG", ".JPEG"])
def test_every_kind_of_file(tmp_path, extension):
    grey = np.full(GREY, 96, np.uint8)
    Image.fromarray(grey).save(tmp_path / f"image{extension}")
    image = folder.load(tmp_path)[0]["train"].images[0]
    # JPEG may lose a grey level; a GIF is read as colour if its palette is.
    assert image.shape[:2] == GREY
    assert np.abs(image.astype(int) - 96).max() <= 1


def test_classes_and_splits(tmp_path):
    same = pixels(COLOUR, 0)
    write(
        tmp_path,
        train__dog__1=same,
        train__cat__2=same,
        train__cat__deep__3=same,
        test__dog__4=same,
    )
    splits, _ = folder.load(tmp_path)
    assert list(splits) == ["train", "test"]
    assert splits["train"].labels.tolist() == [0, 0, 1]  # cat, cat, dog
    assert splits["test"].labels.tolist() == [1]
    assert splits["train"].images.shape == (3, 7, 5, 3)


def test_classes_without_splits(tmp_path):
    write(tmp_path, cat__1=pixels(GREY, 0), test__1=pixels(GREY, 1))
    splits, _ = folder.load(tmp_path)
    assert list(splits) == ["train"]
    assert splits["train"].labels.tolist() == [0, 1]


def test_transparency_palette_and_one_bit(tmp_path):
    colour = pixels((7, 5, 4), 0)
    Image.fromarray(colour).save(tmp_path / "a.png")
    Image.fromarray(colour[..., :3]).quantize(8).save(tmp_path / "b.png")
    images = folder.load(tmp_path)[0]["train"].images
    np.testing.assert_array_equal(images[0], colour[..., :3])
    assert images.shape == (2, 7, 5, 3)

    (tmp_path / "bits").mkdir()
    bits = Image.fromarray(pixels(GREY, 0) > 127)
    bits.save(tmp_path / "bits" / "a.png")
    assert set(folder.load(tmp_path / "bits")[0]["train"].images.ravel()) == {0, 255}


@pytest.mark.parametrize("other", [(5, 7), COLOUR])
def test_different_sizes_name_two_files(tmp_path, other):
    write(tmp_path, a=pixels(GREY, 0), b=pixels(GREY, 1), c=pixels(other, 2), d=pixels(other, 3))
    with pytest.raises(InputError, match=r"a\.png is 7x5 with 1 channel.*c\.png is "):
        folder.load(tmp_path)


def test_unreadable_images(tmp_path):
    write(tmp_path, a=pixels(GREY, 0), b=pixels(GREY, 1))
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    (tmp_path / "d.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"c\.png cannot be read"):
        folder.load(tmp_path)
    splits, skipped = folder.load(tmp_path, skip_bad=True)
    assert splits["train"].size == 2
    assert skipped == 2
    (tmp_path / "a.png").unlink()
    (tmp_path / "b.png").unlink()
    with pytest.raises(InputError, match="None of the images"):
        folder.load(tmp_path, skip_bad=True)


def test_sixteen_bits_are_refused(tmp_path):
    Image.fromarray(np.arange(35, dtype=np.uint16).reshape(GREY)).save(tmp_path / "deep.png")
    with pytest.raises(InputError, match=r"deep\.png has mode I;16"):
        folder.load(tmp_path)


def test_empty_folder(tmp_path):
    with pytest.raises(InputError, match="holds no images"):
        folder.load(tmp_path)


def test_images_beside_the_splits_are_refused(tmp_path):
    write(tmp_path, train__1=pixels(GREY, 0), stray=pixels(GREY, 1))
    with pytest.raises(InputError, match=r"subfolder 'train' but also .*stray\.png"):
        folder.load(tmp_path)


def test_images_of_strangers_are_refused_undecoded(tmp_path):
    bomb = tmp_path / "a\nbomb.png"
    bomb.write_bytes(strangers.bomb_of_pixels())
    with pytest.raises(InputError, match=r"a bomb\.png cannot be read .*pixels"):
        folder.load(tmp_path)
    bomb.unlink()
    # PostScript is a program: Pillow would have Ghostscript run it.
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(InputError, match=r"a\.png cannot be read \(it is not an image\)"):
        folder.load(tmp_path)


def test_pixels_have_a_bound(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((5, 7), np.uint8)).save(tmp_path / "a.png")
    monkeypatch.setattr(folder, "MOST_PIXELS", 34)
    with pytest.raises(InputError, match="7x5 pixels, more than 34"):
        folder.load(tmp_path)


def test_links_in_circles_end(tmp_path):
    for index in range(3):
        Image.fromarray(np.zeros((5, 7), np.uint8)).save(tmp_path / f"{index}.png")
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "self.png").symlink_to("self.png")
    os.mkfifo(tmp_path / "pipe.png")
    assert folder.load(tmp_path)[0]["train"].size == 3
