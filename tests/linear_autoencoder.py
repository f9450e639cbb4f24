"""A small model with the contract's signatures, what it computes in NumPy, and a server of it."""

import contextlib
import io
import socket
import threading
import time

import numpy as np
import tensorflow as tf
import uvicorn
from PIL import Image

from export.server import models
from export.server.api import Limits, application

SHAPE, K = (6, 5, 1), 3
_ROWS = np.random.default_rng(0).normal(0, 0.1, (30, K)).astype(np.float32)


def mean(images):
    """The code's mean: mean = W^T x."""
    return np.reshape(images, (-1, 30)) @ _ROWS


def image(z):
    """The decoder's mean: 1 / (1 + exp(-W z))."""
    return (1 / (1 + np.exp(-np.asarray(z, np.float32) @ _ROWS.T))).reshape(-1, *SHAPE)


def png(pixels):
    """The bytes of a PNG of uint8 pixels [H, W, C]."""
    content = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(content, "PNG")
    return content.getvalue()


class _Model(tf.Module):
    def __init__(self):
        super().__init__()
        self.w = tf.Variable(_ROWS)

    def _mean(self, images):
        finite = tf.debugging.Assert(
            tf.reduce_all(tf.math.is_finite(images)), ["images has a number that is not finite."], 1
        )
        with tf.control_dependencies([finite]):
            return tf.reshape(images, (-1, 30)) @ self.w

    @tf.function(input_signature=[tf.TensorSpec((None, *SHAPE), name="images")])
    def encode(self, images):
        code = self._mean(images)
        return {"mean": code, "stddev": 0.5 * tf.ones_like(code)}

    @tf.function(input_signature=[tf.TensorSpec((None, *SHAPE), tf.uint8, name="images")])
    def encode_uint8(self, images):
        return self.encode(tf.cast(images, tf.float32) / 255)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")])
    def encode_bytes(self, image_bytes):
        def decoded(content):
            pixels = tf.io.decode_image(content, channels=1, expand_animations=False)
            return tf.ensure_shape(pixels, SHAPE)

        pixels = tf.map_fn(decoded, image_bytes, fn_output_signature=tf.uint8)
        return self.encode(tf.cast(pixels, tf.float32) / 255)

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, *SHAPE), name="images"),
            tf.TensorSpec((None, K), name="noise"),
        ]
    )
    def encode_sample(self, images, noise):
        return {"z": self._mean(images) + 0.5 * noise}

    @tf.function(input_signature=[tf.TensorSpec((None, K), name="z")])
    def decode(self, z):
        return {"images": tf.reshape(tf.sigmoid(z @ tf.transpose(self.w)), (-1, *SHAPE))}

    @tf.function(input_signature=[tf.TensorSpec((None, K), name="noise")])
    def generate(self, noise):
        return self.decode(noise)

    @tf.function(input_signature=[tf.TensorSpec((None, *SHAPE), name="images")])
    def reconstruct(self, images):
        return self.decode(self._mean(images))

    @tf.function(input_signature=[tf.TensorSpec((None, *SHAPE), name="images")])
    def anomaly_score(self, images):
        return {"score": tf.math.log(tf.reduce_sum(images, (1, 2, 3)))}


def write(folder, name="model", version=1):
    """Writes the model to FOLDER/NAME/VERSION."""
    model = _Model()
    names = ("encode", "encode_uint8", "encode_bytes", "encode_sample", "decode", "generate")
    functions = {key: getattr(model, key) for key in (*names, "reconstruct", "anomaly_score")}
    path = folder / name / str(version)
    tf.saved_model.save(model, str(path), {**functions, "serving_default": model.encode})
    return path


@contextlib.contextmanager
def running(app):
    """Serves an ASGI application on a free port of loopback; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def serving(folder, **limits):
    """Serves every version in a folder; gives the address."""
    loaded = {
        name: {version: models.load(name, version, path) for version, path in versions.items()}
        for name, versions in models.found(folder, every=True).items()
    }
    with running(application(loaded, Limits(**limits))) as address:
        yield address
