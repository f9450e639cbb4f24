import linear_autoencoder as served
import numpy as np
import pytest

from export.server import models
from export.server.errors import InvalidError, NotFoundError
from zoo.errors import InputError


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    served.write(folder, "model", 2)
    served.write(folder, "model", 10)
    (folder / ".tmp-x" / "1").mkdir(parents=True)
    (folder / "model" / "latest").mkdir()
    (folder / "model" / "11").mkdir()
    (folder / "notes.txt").write_text("mine")
    return folder


def test_the_newest_version_or_every_one_is_found(out):
    path = out / "model"
    assert models.found(out) == {"model": {10: path / "10"}}
    assert models.found(out, every=True) == {"model": {2: path / "2", 10: path / "10"}}


def test_a_folder_without_models(out, tmp_path):
    for folder, message in [
        (tmp_path / "none", "is not a folder"),
        (tmp_path, "has no NAME/VERSION/saved_model.pb"),
        (out / "model", f"--models={out}."),
    ]:
        with pytest.raises(InputError, match=message):
            models.found(folder)


def test_a_damaged_model(tmp_path):
    path = served.write(tmp_path)
    whole = (path / models.PROTO).read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"\xff" * 99):
        (path / models.PROTO).write_bytes(damaged)
        with pytest.raises(InputError, match=r"cannot be loaded.*export it again"):
            models.load("model", 1, path)
    (path / models.PROTO).write_bytes(whole)
    next(path.glob("variables/*.data*")).unlink()
    with pytest.raises(InputError, match=r"cannot be loaded.*export it again"):
        models.load("model", 1, path)


def test_the_graph_may_refuse(out):
    servable = models.load("model", 10, out / "model" / "10")
    with pytest.raises(NotFoundError, match="no signature 'nothing': use anomaly_score"):
        servable.signature("nothing")
    with pytest.raises(InvalidError, match="images has a number that is not finite"):
        servable.predict("encode", {"images": np.full((1, *served.SHAPE), np.nan, np.float32)})


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Invalid PNG data, size 12 [Op:DecodePng]", "Invalid PNG data, size 12"),
        (
            "Graph execution error:\n\nDetected at node Assert defined at (most recent call):\n"
            '  File "x.py", line 3, in <module>\n<stack traces unavailable>\n'
            "assertion failed: [An image is 20 x 32\npixels.] [3]\n"
            "\t [[{{node Assert}}]] [Op:__inference_signature_wrapper_12]",
            "An image is 20 x 32 pixels.",
        ),
        (
            "Graph execution error:\n\nDetected at node 'd' defined at (most recent call last):\n"
            "<stack traces unavailable>\nInput is empty.\n\t [[{{node d}}]] [Op:__inference_f_1]",
            "Input is empty.",
        ),
        ("", "The model rejects these inputs."),
    ],
)
def test_a_refusal_says_what_and_not_where(message, said):
    assert models.refusal(message) == said
