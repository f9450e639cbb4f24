"""Every signature, run by TensorFlow in C++, beside the Keras model's numbers."""

import keras
import numpy as np
import pytest
import questions
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

import zoo
from export import saved_models, table, warmup
from export.signatures import Signatures
from zoo.distributions import likelihoods

# Both sides run the same float32 kernels; the graph's rewrites (constant folding, fused
# products) may change the last bits, of numbers of order 1 and of sums of hundreds of nats.
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
LEARNED = likelihoods.family("normal", scale="learned")
PER_ELEMENT = likelihoods.family("laplace", scale="per_element")
OWN_PARTS = ("vae", "avb", "infogan", "cyclegan")
CASES = {
    **{name: (name, {}) for name in OWN_PARTS},
    "learned scale": ("vae", {"likelihood": LEARNED, "image_shape": (6, 4, 3)}),
    "scales": ("beta_vae", {"likelihood": PER_ELEMENT, "posterior": LEARNED}),
    "averaged": ("alice", {"ema": 0.5}),
    "classes": ("alice", {"condition": 4, "ema": 0.5}),
    "a condition": ("avb", {"condition_shape": (2,)}),
    "shared features": ("infogan", {"share_features": True}),
    "convolutions": (
        "vae",
        {"network": "dcgan", "network_options": {"width": 2}, "image_shape": (28, 28, 1)},
    ),
}
IMAGES = ("encode", "encode_sample", "reconstruct", "elbo", "log_likelihood", "anomaly_score")
ALL = {*IMAGES, *(f"{n}_{f}" for n in IMAGES for f in table.FORMS), "decode", "generate"}
NO_DENSITY = {f"{n}{f}" for n in ("elbo", "log_likelihood") for f in ("", "_uint8", "_bytes")}
NO_SAMPLE = {f"encode_sample{f}" for f in ("", "_uint8", "_bytes")}
FEWER = {
    "avb": ALL - NO_DENSITY,
    "cyclegan": ALL - NO_DENSITY - NO_SAMPLE - {"generate"} | {"decode_uint8", "decode_bytes"},
}


def meta_graph(folder):
    content = (folder / "saved_model.pb").read_bytes()
    return saved_model_pb2.SavedModel.FromString(content).meta_graphs[0]


def names_in(graph):
    """The signatures, without the default's second name and the loader's own."""
    return sorted(n for n in graph.signature_def if n != "serving_default" and n[:2] != "__")


def operations_in(graph):
    """Every operation, of the functions in the library too."""
    functions = graph.graph_def.library.function
    nodes = [*graph.graph_def.node, *(node for f in functions for node in f.node_def)]
    return {node.op for node in nodes}


def warm_up_requests(folder):
    """The requests, as tensorflow_serving.apis reads them, which the export does without."""
    records = tf.data.TFRecordDataset(str(folder / saved_models.EXTRA / warmup.FILE))
    logs = [prediction_log_pb2.PredictionLog.FromString(r) for r in records.as_numpy_iterator()]
    return [log.predict_log.request for log in logs]


@pytest.mark.parametrize("case", CASES)
def test_every_signature_without_python(case, tmp_path, without_python):
    name, options = CASES[case]
    model = questions.build(name, **options)
    if model.averages is not None:  # so that they are not the weights
        for variable in model.decoder.variables:
            variable.assign_add(tf.ones_like(variable))
    folder = saved_models.export_model(model, tmp_path)["model"]
    graph = meta_graph(folder)
    names = names_in(graph)
    assert set(names) == FEWER.get(name, ALL)

    operations = operations_in(graph)
    assert {"MatMul", "Conv2D"} & operations
    drawing = ("Random", "Stateless", "Multinomial", "Stateful")
    calls = {"StatefulPartitionedCall", "StatelessWhile", "StatelessIf"}
    assert not [op for op in operations - calls if any(word in op for word in drawing)]

    given = questions.inputs(model, 3)
    asked = [(signature, questions.request(signature, given)) for signature in names]
    for signature, found in zip(names, without_python(folder, asked), strict=True):
        assert isinstance(found, dict), (signature, found)
        wanted = questions.as_numpy(questions.answer(model, signature, given))
        assert set(found) == set(wanted), signature
        for key, value in found.items():
            assert (value.dtype, value.shape) == (np.float32, wanted[key].shape), signature
            np.testing.assert_allclose(value, wanted[key], **TOLERANCE, err_msg=signature)


@pytest.mark.parametrize("name", [name for name in zoo.names() if name not in OWN_PARTS])
def test_other_models_are_made_of_the_same_parts(name):
    """What is exported knows nothing of the objective: to run one of them in C++ is enough."""
    same = "cyclegan" if name == "discogan" else "vae"
    assert parts(name) == parts(same)
    assert set(Signatures(questions.build(name)).of("model")) == FEWER.get(same, ALL)


def parts(name):
    keras.backend.clear_session()  # names of layers begin anew
    config = questions.build(name).get_config()
    return config["encoder"], config["decoder"], config["prior"]


@pytest.mark.parametrize("name", OWN_PARTS)
def test_warm_up_requests_are_answered(name, tmp_path, without_python):
    folder = saved_models.export_model(questions.build(name), tmp_path)["model"]
    asked = [
        (r.model_spec.signature_name, {k: tf.make_ndarray(v) for k, v in r.inputs.items()})
        for r in warm_up_requests(folder)
    ]
    assert sorted(signature for signature, _ in asked) == names_in(meta_graph(folder))
    for (signature, _), found in zip(asked, without_python(folder, asked), strict=True):
        assert isinstance(found, dict), (signature, found)
        assert all(len(value) == 1 and np.isfinite(value).all() for value in found.values())


def test_requests_made_with_the_serving_api(tmp_path):
    """They match the signatures in names, types and shapes; so do those of warm-up."""
    model = questions.build("vae")
    folder = saved_models.export_model(model, tmp_path)["model"]
    graph = meta_graph(folder)
    given = questions.inputs(model, 2)
    requests = warm_up_requests(folder)
    assert {request.model_spec.name for request in requests} == {"model"}
    for name in names_in(graph):
        request = predict_pb2.PredictRequest()
        request.model_spec.signature_name = name
        for key, value in questions.request(name, given).items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
        requests.append(request)
    for request in requests:
        definition = graph.signature_def[request.model_spec.signature_name]
        assert set(request.inputs) == set(definition.inputs)
        for key, sent in request.inputs.items():
            info = definition.inputs[key]
            assert sent.dtype == info.dtype
            shape = tf.TensorShape(info.tensor_shape)
            assert shape.is_compatible_with(tf.TensorShape(sent.tensor_shape))


def test_reasons():
    def reasons(name, part="model", **options):
        return Signatures(questions.build(name, **options)).reasons(part)

    assert reasons("vae") == {}
    assert reasons("avb")["elbo"] == "q(z|x) is implicit and has no density."
    assert reasons("cyclegan")["generate"] == "p(z) is a data set: decode its images."
    assert reasons("cyclegan")["log_likelihood"] == "p(z) is a data set and has no density."
    assert reasons("cyclegan", "encoder") == {
        "encode_sample": "z is an image, and what the decoder takes for it is its mean."
    }
    assert "5" in reasons("vae", image_shape=(4, 4, 5))["encode_bytes"]
    assert "discrete" in reasons("aae", posterior="bernoulli")["elbo"]


def test_inputs_are_the_tables():
    found = Signatures(questions.build("infogan")).of("model")
    for row in (row for row in table.SIGNATURES.values() if not row.rows):
        assert [spec.name for spec in found[row.name].inputs] == list(row.inputs)
