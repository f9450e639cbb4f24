"""The encoder as TFLite and as ONNX, in numbers, and what they refuse."""

import numpy as np
import onnxruntime
import pytest
import questions
import tensorflow as tf

from export import encoder, onnx, saved_models, tflite
from zoo.errors import InputError

CASES = {
    "vae": {},
    "avb": {},
    "infogan": {},
    "cyclegan": {},
    "alice": {"network": "dcgan", "network_options": {"width": 2}, "image_shape": (28, 28, 1)},
}


def assert_close(found, model, images):
    posterior = model.encode(images)
    # Other kernels, which sum in another order and approximate exponentials in their own way.
    for key, wanted in (("mean", posterior.mean()), ("stddev", posterior.stddev())):
        np.testing.assert_allclose(found[key], wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["vae", "cyclegan", "alice"])
def test_tflite(name):
    model = questions.build(name, **CASES[name])
    interpreter = tf.lite.Interpreter(model_content=tflite.convert(model))
    for batch in (1, 4):
        images = questions.inputs(model, batch, noise_size=1)["images"]
        found = interpreter.get_signature_runner("encode")(images=images)
        assert_close(found, model, images)


@pytest.mark.parametrize("name", CASES)
def test_onnx(name):
    model = questions.build(name, **CASES[name])
    session = onnxruntime.InferenceSession(onnx.convert(model))
    names = [output.name for output in session.get_outputs()]
    assert sorted(names) == ["mean", "stddev"]
    for batch in (1, 4):
        images = questions.inputs(model, batch, noise_size=1)["images"]
        found = dict(zip(names, session.run(names, {"images": images}), strict=True))
        assert_close(found, model, images)


@pytest.mark.parametrize(("name", "operation"), [("infogan", "Erf"), ("avb", "TensorList")])
def test_what_tflite_lacks_is_named(name, operation):
    """A truncated normal has an error function, an implicit encoder a loop over its noise."""
    with pytest.raises(InputError, match=rf"TFLite has no .*{operation}.*: leave out --tflite"):
        tflite.convert(questions.build(name))


def test_what_onnx_lacks_is_named(monkeypatch):
    def igammac(model):
        spec = tf.TensorSpec((None, 6, 6, 1), tf.float32, name="images")
        # Any operation that ONNX has not.
        return tf.function(lambda images: {"mean": tf.math.igammac(images, images)}, [spec])

    monkeypatch.setattr(encoder, "function", igammac)
    with pytest.raises(InputError, match=r"ONNX has no Igammac\): leave out --onnx"):
        onnx.convert(questions.build("vae"))


def test_other_numbers_are_refused():
    model = questions.build("vae")

    def wrong(images):
        posterior = model.encode(images)
        return {"mean": posterior.mean().numpy() + 0.01, "stddev": posterior.stddev().numpy()}

    with pytest.raises(InputError, match=r"mean .* leave out --tflite"):
        encoder.compare(model, wrong, "TFLite")


def test_they_share_the_version(tmp_path):
    model = questions.build("vae")
    saved_models.export_model(model, tmp_path)
    formats = {"tflite/model.tflite": tflite.convert, "onnx/model.onnx": onnx.convert}
    folders = saved_models.export_model(model, tmp_path, formats=formats)
    assert folders == {name: tmp_path / name / "2" for name in ("model", "tflite", "onnx")}
    assert (folders["tflite"] / "model.tflite").read_bytes() == tflite.convert(model)
