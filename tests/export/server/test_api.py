"""The server over HTTP, on loopback."""

import base64
import http.client
import json
import socket
import threading
import time

import linear_autoencoder as served
import numpy as np
import pytest
import urllib3

from export.server.api import Limits, application
from export.server.models import Servable
from export.tensors import Signature

IMAGES = np.random.default_rng(1).random((3, *served.SHAPE)).round(3)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    served.write(folder, "model", 1)
    served.write(folder, "model", 3)
    served.write(folder, "other", 1)
    with served.serving(folder, body=1 << 20, batch=16, seconds=0.5) as address:
        yield address


def ask(address, path, body=None, method=None):
    """Returns the status and the JSON of a request."""
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    reply = urllib3.request(
        method or ("GET" if body is None else "POST"), address + path, body=content, retries=False
    )
    assert reply.headers["content-type"] == "application/json"
    return reply.status, json.loads(reply.data)


def b64(content):
    return {"b64": base64.b64encode(content).decode()}


def version(number):
    return {
        "version": str(number),
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }


def test_status(address):
    assert ask(address, "/v1/models/model") == (
        200,
        {"model_version_status": [version(3), version(1)]},
    )
    assert ask(address, "/v1/models/model/versions/1") == (
        200,
        {"model_version_status": [version(1)]},
    )
    assert ask(address, "/health") == (200, {"status": "ok"})


def test_metadata(address):
    status, content = ask(address, "/v1/models/model/versions/1/metadata")
    assert status == 200
    assert content["model_spec"] == {"name": "model", "signature_name": "", "version": "1"}
    decode = content["metadata"]["signature_def"]["signature_def"]["decode"]
    assert decode["method_name"] == "tensorflow/serving/predict"
    assert decode["inputs"]["z"]["dtype"] == "DT_FLOAT"
    assert decode["inputs"]["z"]["tensor_shape"] == {
        "dim": [{"size": "-1", "name": ""}, {"size": str(served.K), "name": ""}],
        "unknown_rank": False,
    }
    assert ask(address, "/v1/models/model/metadata")[1]["model_spec"]["version"] == "3"


# float32 products and an exponential: the last bits differ from NumPy's.
CLOSE = {"rtol": 0, "atol": 1e-5}


def test_rows(address):
    status, content = ask(address, "/v1/models/model:predict", {"instances": IMAGES.tolist()})
    assert status == 200
    np.testing.assert_allclose(
        [row["mean"] for row in content["predictions"]], served.mean(IMAGES), **CLOSE
    )
    z = [[0.5, -1, 2], [0, 0, 0]]
    body = {"signature_name": "decode", "instances": z}
    status, content = ask(address, "/v1/models/model/versions/1:predict", body)
    assert status == 200
    np.testing.assert_allclose(content["predictions"], served.image(z), **CLOSE)


def test_columns(address):
    noise = np.ones((3, served.K))
    body = {
        "signature_name": "encode_sample",
        "inputs": {"images": IMAGES.tolist(), "noise": noise.tolist()},
    }
    status, content = ask(address, "/v1/models/model:predict", body)
    assert status == 200
    np.testing.assert_allclose(content["outputs"], served.mean(IMAGES) + 0.5, **CLOSE)


def test_images_in_base64(address):
    pixels = (IMAGES * 255).astype(np.uint8)
    instances = [{"image_bytes": b64(served.png(image))} for image in pixels]
    body = {"signature_name": "encode_bytes", "instances": instances}
    status, content = ask(address, "/v1/models/model:predict", body)
    assert status == 200
    np.testing.assert_allclose(
        [row["mean"] for row in content["predictions"]], served.mean(pixels / 255), **CLOSE
    )


GOOD_PNG = served.png(np.zeros(served.SHAPE, np.uint8))


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "not JSON"),
        (b'{"instances": [[NaN]]}', 400, "not JSON"),
        ({"instances": [[1, 2]]}, 400, r"'images' has shape [1, 2], but [B, 6, 5, 1] is needed"),
        ({"instances": [["a"]]}, 400, "must be numbers"),
        ({"instances": [[]] * 17}, 400, "17 rows, more than 16"),
        ({"signature_name": "nothing", "instances": [1]}, 404, "no signature 'nothing'"),
        ({"signature_name": "encode_bytes", "instances": [b64(GOOD_PNG[:40])]}, 400, "PNG"),
        ({"signature_name": "encode_bytes", "instances": [b64(b"hello")]}, 400, "image file"),
        ({"signature_name": "encode_bytes", "instances": [b64(b"")]}, 400, "empty"),
        (b"x" * ((1 << 20) + 1), 413, "larger than 1048576 bytes"),
    ],
)
def test_bad_bodies(address, body, status, message):
    found, content = ask(address, "/v1/models/model:predict", body)
    assert found == status
    assert message in content["error"]
    assert "\n" not in content["error"]


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v1/models/nothing", 404, "no model 'nothing': use model, other"),
        ("POST", "/v1/models/nothing:predict", 404, "no model 'nothing'"),
        ("GET", "/v1/models/model/versions/2", 404, "no version 2 of model: use 1, 3"),
        ("POST", "/v1/models/model/versions/2:predict", 404, "no version 2"),
        ("GET", "/v1/models/model/versions/2/metadata", 404, "no version 2"),
        ("GET", "/v1/models/model/versions/x", 404, "nothing at"),
        ("POST", "/v1/models/model:classify", 404, "nothing at"),
        ("GET", "/v1/models/model:predict", 405, "does not support GET"),
        ("POST", "/v1/models/model", 405, "does not support POST"),
        ("DELETE", "/", 405, "does not support DELETE"),
        ("GET", "/%2e%2e/setup.cfg", 404, "nothing at"),
    ],
)
def test_bad_paths(address, method, path, status, message):
    found, content = ask(address, path, b"{}" if method == "POST" else None, method)
    assert found == status
    assert message in content["error"]


def raw(address, head, send=(), wait=10):
    """Returns the reply to bytes written on a connection of their own."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=wait) as connection:
        connection.sendall(head)
        for part in send:
            connection.sendall(part)
        reply = http.client.HTTPResponse(connection)
        reply.begin()
        return reply.status, json.loads(reply.read()), reply.headers


PREDICT = b"POST /v1/models/model:predict HTTP/1.1\r\nhost: x\r\n"


def test_a_body_that_is_too_large_is_not_read(address):
    # Nothing of the 100 MB it announces is sent, and the answer is there.
    status, content, headers = raw(address, PREDICT + b"content-length: 104857600\r\n\r\n")
    assert (status, headers["connection"]) == (413, "close")
    assert "larger than" in content["error"]


def test_the_answer_to_a_body_that_is_too_large_is_not_lost(address):
    for _ in range(20):
        status, content = ask(address, "/v1/models/model:predict", b"x" * (8 << 20))
        assert status == 413
        assert "larger than" in content["error"]


def test_a_body_of_unknown_length_is_read_as_far_as_the_limit(address):
    part = b"%x\r\n" % (1 << 19) + b"x" * (1 << 19) + b"\r\n"
    head = PREDICT + b"transfer-encoding: chunked\r\n\r\n"
    status, content, _ = raw(address, head, [part, part, part])
    assert status == 413
    assert "larger than" in content["error"]


def test_a_body_that_does_not_arrive(address):
    status, content, _ = raw(address, PREDICT + b"content-length: 10\r\n\r\n{")
    assert (status, content) == (
        408,
        {"error": "The body did not arrive within 0.5 seconds: send it again."},
    )


def test_the_server_stays_up_when_clients_leave(address):
    host, port = address.removeprefix("http://").split(":")
    for _ in range(5):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(PREDICT + b"content-length: 1000\r\n\r\n{")
    assert ask(address, "/health")[0] == 200


def test_the_page_and_what_it_asks_for(address):
    reply = urllib3.request("GET", address + "/")
    assert reply.headers["content-type"].startswith("text/html")
    assert "Code and reconstruction" in reply.data.decode()
    assert "http" not in reply.data.decode()  # nothing is loaded from elsewhere
    _, content = ask(address, "/v1/models")
    assert [model["name"] for model in content["models"]] == ["model", "other"]
    assert content["models"][0]["versions"] == ["3", "1"]
    assert {"encode", "decode", "generate"} <= set(content["models"][0]["signatures"])
    # The page names a signature's inputs as its metadata does, and gives one example.
    body = {"signature_name": "encode", "inputs": {"images": IMAGES[:1].tolist()}}
    outputs = ask(address, "/v1/models/model:predict", body)[1]["outputs"]
    np.testing.assert_allclose(outputs["mean"], served.mean(IMAGES[:1]), **CLOSE)
    body = {"signature_name": "decode", "inputs": {"z": outputs["mean"]}}
    decoded = ask(address, "/v1/models/model:predict", body)[1]["outputs"]
    np.testing.assert_allclose(decoded, served.image(outputs["mean"]), **CLOSE)


@pytest.fixture
def slow():
    """A model that answers when it is let, and how many requests it is at work on."""
    may, at_work, most = threading.Event(), [], []

    def echo(x):
        at_work.append(1)
        most.append(len(at_work))
        may.wait(10)
        at_work.pop()
        return {"y": x}

    info = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}]}}
    signature = Signature.of({"inputs": {"x": info}, "outputs": {"y": info}})
    servable = Servable("slow", 1, {}, {"serving_default": signature}, {"serving_default": echo})
    app = application({"slow": {1: servable}}, Limits(working=2, waiting=3))
    with served.running(app) as address:
        yield address, may, most


def test_as_many_requests_are_taken_as_may_wait(slow):
    address, may, most = slow
    found = []
    threads = [
        threading.Thread(
            target=lambda: found.append(ask(address, "/v1/models/slow:predict", {"inputs": [1.0]}))
        )
        for _ in range(7)
    ]
    for thread in threads:
        thread.start()
    while len(found) < 2:  # those that are one too many are answered at once
        time.sleep(0.01)
    assert ask(address, "/health")[0] == 200
    may.set()
    for thread in threads:
        thread.join()
    busy = (503, {"error": "The server is busy: try again."})
    assert found.count(busy) == 2
    assert found.count((200, {"outputs": [1.0]})) == 5
    assert max(most) == 2


def test_a_failure_in_a_model_is_an_answer():
    info = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}]}}
    signature = Signature.of({"inputs": {"x": info}, "outputs": {"y": info}})

    def broken(x):
        raise MemoryError

    servable = Servable("b", 1, {}, {"serving_default": signature}, {"serving_default": broken})
    with served.running(application({"b": {1: servable}}, Limits())) as address:
        for _ in range(2):
            assert ask(address, "/v1/models/b:predict", {"inputs": [1.0]}) == (
                500,
                {"error": "The model failed: MemoryError."},
            )
