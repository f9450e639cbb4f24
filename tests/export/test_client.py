"""The client, over REST and gRPC, with good and damaged images and servers that fail."""

import concurrent.futures
import contextlib
import http.server
import os
import threading
import types

import grpc
import linear_autoencoder as served
import numpy as np
import pytest
import tensorflow as tf
from commands import run
from google.protobuf.any_pb2 import Any as AnyMessage
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from export.client import connected
from export.remote import codes, images
from export.remote.grpc import Grpc
from export.remote.rest import Rest
from export.remote.server import RefusedError
from export.server import models
from export.server.errors import RequestError
from export.tensors import Spec
from train.command import RunError
from zoo.errors import InputError

PIXELS = np.random.default_rng(2).integers(0, 256, (7, *served.SHAPE), dtype=np.uint8)
MEANS = served.mean(PIXELS / 255)
CLOSE = {"rtol": 0, "atol": 1e-5}  # float32 products: the last bits differ from NumPy's


@pytest.fixture
def folder(tmp_path):
    """Seven images: PNG in two folders, and one BMP."""
    root = tmp_path / "images"
    (root / "b").mkdir(parents=True)
    for i, name in enumerate(["0.png", "1.png", "2.png", "3.bmp", "4.png", "b/5.png", "b/6.png"]):
        Image.fromarray(PIXELS[i].squeeze(-1)).save(root / name)
    return root


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    served.write(out)
    return out


@pytest.fixture(scope="module")
def rest(exported):
    with served.serving(exported, batch=4) as address:
        yield address


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers from a SavedModel as TensorFlow Serving does; fails as often as it is told."""

    def __init__(self, path):
        self.servable = models.load("model", 1, path)
        self.stored = saved_model_pb2.SavedModel.FromString((path / models.PROTO).read_bytes())
        self.failures = 0

    def _check(self, request, context):
        if self.failures:
            self.failures -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        if request.model_spec.name != "model":
            context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found for request")

    def GetModelMetadata(self, request, context):
        self._check(request, context)
        definitions = self.stored.meta_graphs[0].signature_def
        table = get_model_metadata_pb2.SignatureDefMap(signature_def=definitions)
        packed = AnyMessage()
        packed.Pack(table)
        return get_model_metadata_pb2.GetModelMetadataResponse(metadata={"signature_def": packed})

    def Predict(self, request, context):
        self._check(request, context)
        inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
        try:
            outputs = self.servable.predict(request.model_spec.signature_name, inputs)
        except RequestError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        reply = predict_pb2.PredictResponse()
        for name, array in outputs.items():
            reply.outputs[name].CopyFrom(tf.make_tensor_proto(array))
        return reply


@pytest.fixture(scope="module")
def service(exported):
    """A gRPC server on loopback: its address, and what answers."""
    answers = _Prediction(exported / "model" / "1")
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(answers, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", answers
    server.stop(None).wait()


@pytest.fixture(params=["rest", "grpc"])
def server(request, rest, service):
    """The model behind either kind of server."""
    kind, address = (Rest, rest) if request.param == "rest" else (Grpc, service[0])
    return kind(address, "model", None, retries=2, timeout=20)


def files(folder):
    return sorted(path for path in folder.rglob("*.*") if path.is_file())


@pytest.mark.parametrize("signature", ["encode_bytes", "encode_uint8", "encode"])
def test_codes_of_a_folder(server, folder, signature):
    done = []
    found = codes.codes(server, signature, files(folder), 3, advance=done.append)
    arrays = found.arrays(folder)
    assert done == [3, 3, 1]
    assert list(arrays["files"]) == [f"{i}.{'bmp' if i == 3 else 'png'}" for i in range(5)] + [
        "b/5.png",
        "b/6.png",
    ]
    np.testing.assert_allclose(arrays["mean"], MEANS, **CLOSE)
    assert arrays["mean"].dtype == np.float32
    np.testing.assert_array_equal(arrays["stddev"], np.full((7, 3), 0.5))


def test_a_signature_with_one_output(server, folder):
    arrays = codes.codes(server, "reconstruct", files(folder), 4).arrays(folder)
    np.testing.assert_allclose(arrays["images"], served.image(MEANS), **CLOSE)


def test_a_version(rest, exported, folder):
    found = codes.codes(Rest(rest, "model", 1, 0, 20), "encode", files(folder), 4)
    np.testing.assert_allclose(found.arrays(folder)["mean"], MEANS, **CLOSE)
    with pytest.raises(InputError, match="no version 9"):
        codes.codes(Rest(rest, "model", 9, 0, 20), "encode", files(folder), 4)


def damage(folder):
    """Damages one file and gives another a size of its own."""
    whole = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(np.zeros((8, 5), np.uint8)).save(folder / "4.png")


@pytest.mark.parametrize("signature", ["encode_bytes", "encode_uint8", "encode"])
def test_bad_images_are_named_and_left_out(server, folder, signature):
    damage(folder)
    with pytest.raises(InputError, match=r"1\.png cannot be read.*--skip_bad"):
        codes.codes(server, signature, files(folder), 7)
    found = codes.codes(server, signature, files(folder), 7, skip_bad=True)
    assert [file.name for file, _ in found.skipped] == ["1.png", "4.png"]
    arrays = found.arrays(folder)
    assert list(arrays["files"]) == ["0.png", "2.png", "3.bmp", "b/5.png", "b/6.png"]
    np.testing.assert_allclose(arrays["mean"], MEANS[[0, 2, 3, 5, 6]], **CLOSE)


def test_an_image_that_the_server_refuses_is_named(server, folder):
    Image.fromarray(np.zeros((8, 5), np.uint8)).save(folder / "4.png")
    with pytest.raises(InputError, match=r"rejects the image .*4\.png"):
        codes.codes(server, "encode_bytes", files(folder), 4)


def test_a_batch_larger_than_the_server_takes_is_halved(rest, folder):
    found = codes.codes(Rest(rest, "model", None, 0, 20), "encode", files(folder), 7)
    np.testing.assert_allclose(found.arrays(folder)["mean"], MEANS, **CLOSE)


def test_no_image_is_taken(server, folder):
    for file in files(folder):
        file.write_bytes(b"")
    with pytest.raises(InputError, match="None of the images is accepted"):
        codes.codes(server, "encode", files(folder), 4, skip_bad=True)


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("encod", "did you mean 'encode'"),
        ("encode_sample", r"takes images .*noise .*: name one of anomaly_score, encode"),
        ("decode", r"takes z \[B, 3\], not images only"),
    ],
)
def test_a_signature_that_takes_no_images(server, folder, signature, message):
    with pytest.raises(InputError, match=message):
        codes.codes(server, signature, files(folder), 4)


def test_a_model_that_is_not_there(rest, service, folder):
    for there in (Rest(rest, "other", None, 0, 20), Grpc(service[0], "other", None, 0, 20)):
        with pytest.raises(InputError, match="rejects --model: "):
            codes.codes(there, "encode", files(folder), 4)


def test_colour_and_grey_become_what_the_signature_takes(tmp_path):
    grey = Spec(np.dtype("uint8"), (None, 2, 2, 1))
    colour = Spec(np.dtype("float32"), (None, 2, 2, 3))
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 255
    Image.fromarray(red).save(tmp_path / "red.png")
    Image.fromarray(np.full((2, 2), 51, np.uint8)).save(tmp_path / "grey.png")
    # ITU-R 601: 0.299 * 255 = 76.2
    np.testing.assert_array_equal(
        images.payload(tmp_path / "red.png", grey), np.full((2, 2, 1), 76)
    )
    np.testing.assert_allclose(
        images.payload(tmp_path / "grey.png", colour), np.full((2, 2, 3), 0.2), rtol=1e-6
    )


@contextlib.contextmanager
def scripted(*replies):
    """A server that gives each reply (status, headers, body) once, None closing the connection."""
    left = list(replies)
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            reply = left.pop(0)
            if reply is None:
                self.close_connection = True
                return
            status, headers, body = reply
            self.send_response(status)
            for item in {"content-length": len(body), **headers}.items():
                self.send_header(*map(str, item))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listener.server_port}", asked
        listener.shutdown()
        thread.join()


METADATA = (200, {}, b'{"metadata": {"signature_def": {"signature_def": {"a": {}}}}}')
BUSY = (503, {"retry-after": "0"}, b'{"error": "busy"}')


def test_a_server_that_is_away_is_asked_again():
    with scripted(BUSY, None, (500, {}, b"no json"), METADATA) as (address, asked):
        assert list(Rest(address, "model", None, 3, 5).signatures()) == ["a"]
        assert asked == ["/v1/models/model/metadata"] * 4


def test_a_server_that_stays_away():
    with scripted(BUSY, BUSY) as (address, asked):
        with pytest.raises(RunError, match="failed: busy"):
            Rest(address, "model", None, 1, 5).signatures()
        assert len(asked) == 2
    with pytest.raises(RunError, match=r"127\.0\.0\.1:\d+ does not answer"):
        Rest(address, "model", None, 1, 5).signatures()


def test_a_server_that_is_another():
    with scripted((200, {}, b"{}"), (200, {}, b"<html>"), (404, {}, b"<html>")) as (address, _):
        model = Rest(address, "model", None, 0, 5)
        for _ in range(2):
            with pytest.raises(RunError, match="is not TensorFlow Serving's"):
                model.signatures()
        with pytest.raises(RefusedError, match="answered 404 without JSON"):
            model.signatures()


def test_grpc_asks_again_what_is_unavailable(service, folder):
    address, answers = service
    answers.failures = 2
    assert "encode" in Grpc(address, "model", None, 2, 20).signatures()
    answers.failures = 1
    with pytest.raises(RunError, match="UNAVAILABLE: not yet"):
        Grpc(address, "model", None, 0, 20).signatures()
    assert answers.failures == 0


def client(*flags, cwd):
    return run(*flags, cwd=cwd, module="export.client")


def test_the_command(rest, folder, tmp_path):
    damage(folder)
    flags = [f"--server={rest}", "--model=model", "--images=images", "--out=codes.npz"]
    refused = client(*flags, cwd=tmp_path)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "1.png cannot be read" in refused.stderr
    assert not (tmp_path / "codes.npz").exists()

    done = client(*flags, "--skip_bad", "--batch_size=2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "codes.npz mean[5, 3] stddev[5, 3] files[5]\n"
    assert [line.split()[0] for line in done.stderr.splitlines()] == [
        "images/1.png",
        "images/4.png",
    ]
    written = np.load(tmp_path / "codes.npz")
    assert list(written["files"]) == ["0.png", "2.png", "3.bmp", "b/5.png", "b/6.png"]
    np.testing.assert_allclose(written["mean"], MEANS[[0, 2, 3, 5, 6]], **CLOSE)
    assert sorted(os.listdir(tmp_path)) == ["codes.npz", "images"]


def test_the_flags_name_a_server(rest, service, folder):
    common = {"model": "model", "model_version": None, "retries": 0, "timeout": 20.0}
    for flags in ({"server": rest, "grpc": False}, {"server": service[0], "grpc": True}):
        server = connected(types.SimpleNamespace(**common, **flags))
        found = codes.codes(server, "encode_bytes", files(folder), 4)
        np.testing.assert_allclose(found.arrays(folder)["mean"], MEANS, **CLOSE)


def test_a_server_that_is_not_there_fails_the_run(folder, tmp_path):
    flags = ["--server=http://127.0.0.1:9", "--model=model", "--images=images", "--out=codes.npz"]
    done = client(*flags, "--retries=0", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "http://127.0.0.1:9 does not answer" in done.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--images=images", "--out=c.npz"], "--model is missing"),
        (["--model=m", "--out=c.npz"], "--images is missing"),
        (["--model=m", "--images=images"], "--out is missing"),
        (["--model=m", "--images=none", "--out=c.npz"], "--images=none is not a folder"),
        (["--model=m", "--images=images/b/e", "--out=c.npz"], "holds no images"),
        (["--model=m", "--images=images", "--out=c.txt"], "must end in .npz"),
        (["--model=m", "--images=images", "--out=none/c.npz"], "there is no folder none"),
        (["--model=m", "--images=images", "--out=c.npz", "--server=h:1"], "start with http://"),
        (
            ["--model=m", "--images=images", "--out=c.npz", "--grpc", "--server=http://h"],
            "HOST:PORT",
        ),
        (["--model=m", "--images=images", "--out=c.npz", "--batch_size=0"], "batch_size"),
    ],
)
def test_wrong_flags_are_one_sentence(folder, tmp_path, flags, message):
    (folder / "b" / "e").mkdir()
    done = client(*flags, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr
    assert not list(tmp_path.glob("*.npz"))


def test_a_condition_is_given_with_the_images(folder):
    """The same class with all of them, where the signature takes one, and nowhere else."""
    sent = []
    classes = Spec(np.dtype(np.int64), (None,))
    pixels = Spec(np.dtype(np.float32), (None, *served.SHAPE))

    def predict(signature, inputs):
        sent.append(inputs)
        return {"mean": np.zeros((len(inputs["images"]), 2))}

    def server(**more):
        signature = types.SimpleNamespace(inputs={**more, "images": pixels})
        return types.SimpleNamespace(signatures=lambda: {"encode": signature}, predict=predict)

    files = sorted(folder.glob("*.png"))
    codes.codes(server(condition=classes), "encode", files, 2, condition=3)
    assert [inputs["condition"].tolist() for inputs in sent] == [[3, 3], [3, 3]]
    assert sent[0]["condition"].dtype == np.int64
    with pytest.raises(InputError, match="takes a condition: add the class, as --condition=3"):
        codes.codes(server(condition=classes), "encode", files, 2)
    with pytest.raises(InputError, match="takes no condition: leave out --condition"):
        codes.codes(server(), "encode", files, 2, condition=3)
    with pytest.raises(InputError, match="not images only"):
        codes.codes(server(condition=pixels), "encode", files, 2, condition=3)
