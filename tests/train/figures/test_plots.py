import os

import numpy as np
import pytest
from PIL import Image

from train.figures import plots, style
from zoo.errors import InputError


def picture(path):
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def gradient(count, side, channels):
    ramp = np.linspace(0, 1, count * side * side * channels, dtype=np.float32)
    return ramp.reshape(count, side, side, channels)


@pytest.fixture
def drawn(monkeypatch):
    """The figures as they are when written."""
    shown = []
    write = style.write

    def keep(figure, path):
        shown.append(figure)
        write(figure, path)

    monkeypatch.setattr(style, "write", keep)
    return shown


@pytest.mark.parametrize(
    ("count", "side", "channels", "size"),
    [
        # 28 pixels are doubled to 56; a tile and its gap are 60; the border adds 4.
        (64, 28, 1, (8 * 60 + 4, 8 * 60 + 4)),
        (5, 28, 3, (2 * 60 + 4, 3 * 60 + 4)),
        # 64 pixels stay.
        (1, 64, 3, (68 + 4, 68 + 4)),
    ],
)
def test_samples_size(tmp_path, count, side, channels, size):
    plots.samples(gradient(count, side, channels), tmp_path / "samples.png")
    assert picture(tmp_path / "samples.png").shape == (*size, 3)
    assert os.listdir(tmp_path) == ["samples.png"]


@pytest.mark.parametrize("channels", [1, 3])
def test_samples_shows_every_pixel(tmp_path, channels):
    images = gradient(6, 28, channels)
    plots.samples(images, tmp_path / "samples.png")
    shown = picture(tmp_path / "samples.png")
    # The fifth of a grid of 3 columns stands in row 1, column 1.
    tile = shown[64 : 64 + 56, 64 : 64 + 56]
    levels = np.rint(255 * np.broadcast_to(images[4], (28, 28, 3)))
    np.testing.assert_array_equal(tile[::2, ::2], levels)
    np.testing.assert_array_equal(tile[1::2, 1::2], levels)
    # The gaps and the empty places are white.
    assert (shown[60:64] == 255).all()


def test_values_are_clipped(tmp_path):
    images = np.stack([np.full((28, 28, 1), v) for v in (-3.0, 0.5, 7.0, np.nan)])
    plots.samples(images, tmp_path / "samples.png")
    shown = picture(tmp_path / "samples.png")
    assert [shown[30, 30, 0], shown[30, 90, 0], shown[90, 30, 0]] == [0, 128, 255]


@pytest.mark.parametrize("channels", [1, 3])
def test_reconstructions_pairs(tmp_path, channels):
    originals = gradient(10, 28, channels)
    reconstructed = 1 - originals
    before = originals.copy(), reconstructed.copy()
    path = tmp_path / "reconstructions.png"
    plots.reconstructions(originals, reconstructed, path)
    np.testing.assert_array_equal((originals, reconstructed), before)
    shown = picture(path)
    # Two blocks of two rows, 8 columns, and the margin with the rows' names.
    assert shown.shape == (4 * 60 + plots.PAIR_GAP + 4, plots.MARGIN + 8 * 60 + 4, 3)
    # The tenth pair stands in the second block, column 1.
    top, left = 4 + 120 + plots.PAIR_GAP, plots.MARGIN + 4 + 60
    pair = shown[top : top + 120, left : left + 56]
    for half, images in ((pair[:56], originals), (pair[60:116], reconstructed)):
        levels = np.rint(255 * np.broadcast_to(images[9], (28, 28, 3)))
        np.testing.assert_array_equal(half[::2, ::2], levels)
    # The names are written, and leave the pictures alone.
    assert (shown[:60, : plots.MARGIN] < 128).any()


@pytest.mark.parametrize("shape", [(0, 28, 28, 1), (28, 28, 1), (2, 28, 28, 2)])
def test_images_of_another_shape(tmp_path, shape):
    with pytest.raises(InputError, match=r"must be \(N, H, W, 1 or 3\)"):
        plots.samples(np.zeros(shape), tmp_path / "samples.png")
    assert not os.listdir(tmp_path)


def test_reconstructions_of_another_number(tmp_path):
    with pytest.raises(InputError, match="must be equal"):
        plots.reconstructions(np.zeros((3, 8, 8, 1)), np.zeros((2, 8, 8, 1)), tmp_path / "r.png")


def rows(steps=(100, 200, 300)):
    learned = "KL(q(x,z)||p(x,z))"
    found = []
    for step in steps:
        train = {"step": step, "split": "train", "loss": 100.0 - step / 10}
        train["terms"] = {"REC_x": 80.0 - step / 10, "MMD_z": 1.0 / step}
        train["multipliers"] = {learned: step / 100}
        found.append(train)
    held_out = {**train, "split": "validation", "mse": 0.02, "loss": 72.0}
    held_out["terms"] = {**train["terms"], "RATE": 11.0}
    return [*found, held_out, {**held_out, "split": "test", "loss": 9999.0}]


def test_terms_panels(tmp_path, drawn):
    plots.terms(rows(), tmp_path / "terms.png")
    axes = {each.get_title(loc="left"): each for each in drawn[0].axes}
    learned = "lambda: KL(q(x,z)||p(x,z))"
    assert list(axes) == ["loss", "REC_x", "MMD_z", "RATE", "mse", learned]
    assert {name: each.get_ylabel() for name, each in axes.items()} == {
        "loss": "nats per example",
        "REC_x": "nats per example",
        "RATE": "nats per example",
        "MMD_z": "squared kernel distance",
        "mse": "",
        learned: "",
    }
    # The panels lowest in their column say what the steps are.
    assert [each.get_xlabel() for each in axes.values()] == ["", "", "", "step", "step", "step"]


def test_terms_curves(tmp_path, drawn):
    plots.terms(rows(), tmp_path / "terms.png")
    axes = {each.get_title(loc="left"): each for each in drawn[0].axes}
    lines = {line.get_label(): line.get_xydata() for line in axes["loss"].get_lines()}
    np.testing.assert_array_equal(lines["train"], [(100, 90), (200, 80), (300, 70)])
    np.testing.assert_array_equal(lines["validation"], [(300, 72)])
    assert set(lines) == {"train", "validation"}
    (multiplier,) = axes["lambda: KL(q(x,z)||p(x,z))"].get_lines()
    np.testing.assert_array_equal(multiplier.get_xydata(), [(100, 1), (200, 2), (300, 3)])


@pytest.mark.parametrize(
    ("terms", "columns", "lines"), [(0, 1, 1), (1, 2, 1), (3, 2, 2), (4, 3, 2), (6, 3, 3)]
)
def test_terms_size(tmp_path, terms, columns, lines):
    row = {"step": 1, "split": "train", "loss": 1.0, "terms": {f"T{i}": 1.0 for i in range(terms)}}
    plots.terms([row], tmp_path / "terms.png")
    # 3.25 by 2.375 inches a panel and 0.375 for the legend, of 128 pixels each.
    assert picture(tmp_path / "terms.png").shape == (lines * 304 + 48, columns * 416, 3)


def test_terms_leaves_the_records_alone(tmp_path):
    records = rows()
    plots.terms(records, tmp_path / "terms.png")
    assert records == rows()


def test_terms_in_any_order_of_records(tmp_path):
    plots.terms(rows(), tmp_path / "a.png")
    plots.terms([rows()[2], rows()[0], rows()[1], *rows()[3:]], tmp_path / "b.png")
    np.testing.assert_array_equal(picture(tmp_path / "a.png"), picture(tmp_path / "b.png"))


@pytest.mark.parametrize("records", [[], rows()[-1:]])
def test_terms_with_nothing_to_show(tmp_path, records):
    plots.terms(records, tmp_path / "terms.png")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("kinds", [None, 1, 10, 20, 47])
def test_latent(tmp_path, drawn, kinds):
    mean = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    labels = None if kinds is None else np.arange(200) % kinds
    before = mean.copy()
    plots.latent(mean, labels, tmp_path / "latent.png")
    np.testing.assert_array_equal(mean, before)
    width = 5 if labels is None else 5.5
    assert picture(tmp_path / "latent.png").shape == (5 * 128, width * 128, 3)

    axes = drawn[0].axes[0]
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), mean)
    assert [(patch.center, patch.radius) for patch in axes.patches] == [((0, 0), 1), ((0, 0), 2)]
    legend = [text.get_text() for each in drawn[0].legends for text in each.get_texts()]
    assert legend == ([] if kinds in (None, 47) else [str(kind) for kind in range(kinds)])
    if kinds == 10:
        colours = axes.collections[0].get_facecolors()
        np.testing.assert_array_equal(colours[0], colours[10])
        assert len(np.unique(colours, axis=0)) == 10


def test_latent_takes_names_as_labels(tmp_path, drawn):
    plots.latent(np.eye(2), np.array(["six", "nine"]), tmp_path / "latent.png")
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["nine", "six"]
    many = np.array([f"class {i}" for i in range(21)])
    plots.latent(np.zeros((21, 2)), many, tmp_path / "latent.png")
    assert not drawn[1].legends


def test_latent_shows_far_points(tmp_path, drawn):
    plots.latent(np.array([[40.0, -3.0], [0.0, np.nan]]), None, tmp_path / "latent.png")
    assert drawn[0].axes[0].get_xlim() == (-42, 42)


@pytest.mark.parametrize(
    ("mean", "labels", "message"),
    [
        (np.zeros((5, 3)), None, r"the plot needs \(N, 2\)"),
        (np.zeros((0, 2)), None, r"the plot needs \(N, 2\)"),
        (np.zeros((5, 2)), np.zeros(4), r"5 codes need \(5,\)"),
    ],
)
def test_latent_of_another_shape(tmp_path, mean, labels, message):
    with pytest.raises(InputError, match=message):
        plots.latent(mean, labels, tmp_path / "latent.png")
    assert not os.listdir(tmp_path)


def test_a_failed_write_keeps_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / "samples.png"
    plots.samples(gradient(1, 28, 1), path)
    old = path.read_bytes()

    def full(source, target):
        raise OSError("no space")

    monkeypatch.setattr(plots.os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        plots.samples(gradient(4, 28, 1), path)
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["samples.png"]
