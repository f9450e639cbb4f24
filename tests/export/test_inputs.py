"""What the graphs refuse, in C++ as TensorFlow Serving would run them, and how they read files."""

import io

import numpy as np
import pytest
import questions
from PIL import Image

from export import saved_models

BAD = "INVALID_ARGUMENT"


@pytest.fixture(scope="module")
def colour(tmp_path_factory):
    """A model of colour images, another of grey ones, and their SavedModels."""
    found = {}
    for channels in (1, 3):
        model = questions.build("vae", image_shape=(6, 4, channels))
        out = tmp_path_factory.mktemp("out")
        found[channels] = (model, saved_models.export_model(model, out)["model"])
    return found


def file(pixels, kind="PNG", **options):
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, kind, **options)
    return np.array([written.getvalue()], object)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("signature", ["encode", "decode", "encode_sample", "log_likelihood"])
def test_numbers_that_are_not_finite(colour, without_python, signature, value):
    model, folder = colour[3]
    asked = questions.request(signature, questions.inputs(model, 2))
    name = list(asked)[-1]
    asked[name] = asked[name].copy()
    asked[name].reshape(-1)[3] = value
    (error,) = without_python(folder, [(signature, asked)])
    assert BAD in error
    assert f"{name} must be finite numbers." in error


@pytest.mark.parametrize(
    ("signature", "name", "shape"),
    [
        ("encode", "images", (2, 4, 6, 3)),
        ("encode", "images", (2, 6, 4, 1)),
        ("encode", "images", (1, 12, 4, 3)),
        ("encode", "images", (6, 4, 3)),
        ("decode", "z", (2, 4)),
        ("encode_sample", "noise", (2, 2)),
    ],
)
def test_other_shapes(colour, without_python, signature, name, shape):
    model, folder = colour[3]
    asked = questions.request(signature, questions.inputs(model, 2)) | {
        name: np.zeros(shape, np.float32)
    }
    (error,) = without_python(folder, [(signature, asked)])
    assert isinstance(error, str)
    assert BAD in error


@pytest.mark.parametrize("signature", ["encode_sample", "log_likelihood", "elbo_bytes"])
def test_different_numbers_of_examples(colour, without_python, signature):
    model, folder = colour[3]
    given = questions.inputs(model, 3)
    asked = questions.request(signature, given)
    asked["noise"] = asked["noise"][:1]
    (error,) = without_python(folder, [(signature, asked)])
    assert BAD in error
    images = "image_bytes" if signature.endswith("bytes") else "images"
    assert f"noise holds 1 examples and {images} 3." in error


def test_a_file_of_another_size(colour, without_python):
    _, folder = colour[3]
    pixels = np.zeros((20, 32, 3), np.uint8)
    (error,) = without_python(folder, [("encode_bytes", {"image_bytes": file(pixels)})])
    assert BAD in error
    assert "An image is 20 x 32 pixels, but this model takes 6 x 4." in error


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image(colour, without_python, content):
    _, folder = colour[1]
    asked = {"image_bytes": np.array([content], object)}
    (error,) = without_python(folder, [("encode_bytes", asked)])
    assert BAD in error


def test_no_examples_are_no_error(colour, without_python):
    model, folder = colour[3]
    given = questions.inputs(model, 0)
    asked = [(n, questions.request(n, given)) for n in ("encode", "reconstruct", "encode_uint8")]
    found = without_python(folder, asked)
    assert [len(next(iter(each.values()))) for each in found] == [0, 0, 0]


def means(colour, without_python, channels, *files):
    """The means of images, and of the same given as files."""
    _, folder = colour[channels]
    return [
        each["mean"]
        for each in without_python(folder, [("encode_bytes", {"image_bytes": f}) for f in files])
    ]


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "LA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_channels_are_made_the_models_own(colour, without_python, mode, channels):
    """Grey from colour is Pillow's, with which data sets are read."""
    model, _ = colour[channels]
    pixels = np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    written = io.BytesIO()
    image.save(written, "PNG")
    flat = image.convert("RGB").convert("L" if channels == 1 else "RGB")
    wanted = np.float32(flat).reshape(1, 6, 4, channels) / np.float32(255)
    (found,) = means(colour, without_python, channels, np.array([written.getvalue()], object))
    np.testing.assert_allclose(found, model.encode(wanted).mean(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_jpeg(colour, without_python, channels):
    model, _ = colour[channels]
    pixels = np.zeros((6, 4, 3), np.uint8) + np.uint8([200, 100, 50])
    content = file(pixels, "JPEG", quality=95)
    image = Image.open(io.BytesIO(content[0])).convert("L" if channels == 1 else "RGB")
    wanted = np.float32(image).reshape(1, 6, 4, channels) / np.float32(255)
    (found,) = means(colour, without_python, channels, content)
    # Two decoders of JPEG may differ by 2 of 255 steps, and a mean is a sum over 72 pixels.
    np.testing.assert_allclose(found, model.encode(wanted).mean(), rtol=0, atol=0.02)
