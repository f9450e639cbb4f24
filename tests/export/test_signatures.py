"""Every signature of every model, run by TensorFlow in C++, beside the Keras model's numbers."""

import numpy as np
import pytest
import served
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

import zoo
from export import saved_models, table, warmup
from export.signatures import Signatures
from zoo import likelihoods

# Both sides run the same float32 kernels; the graph's rewrites (constant folding, fused
# products) may change the last bits, of numbers of order 1 and of sums of hundreds of nats.
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
LEARNED = likelihoods.family("normal", scale="learned")
PER_ELEMENT = likelihoods.family("laplace", scale="per_element")
CASES = {
    **{name: (name, {}) for name in zoo.names()},
    "learned scale": ("vae", {"likelihood": LEARNED, "image_shape": (6, 4, 3)}),
    "scales": ("beta_vae", {"likelihood": PER_ELEMENT, "posterior": LEARNED}),
    "averaged": ("alice", {"ema": 0.5}),
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
    **dict.fromkeys(
        ("cyclegan", "discogan"),
        ALL - NO_DENSITY - NO_SAMPLE - {"generate"} | {"decode_uint8", "decode_bytes"},
    ),
}


@pytest.fixture(scope="module", params=CASES)
def exported(request, tmp_path_factory):
    name, options = CASES[request.param]
    model = served.build(name, **options)
    if model.averages is not None:  # so that they are not the weights
        for variable in model.decoder.variables:
            variable.assign_add(tf.ones_like(variable))
    folders = saved_models.export_model(model, tmp_path_factory.mktemp("out"))
    return model, folders["model"]


def graph_of(folder):
    content = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    return content.meta_graphs[0]


def test_every_signature_without_python(exported, without_python):
    model, folder = exported
    names = sorted(set(graph_of(folder).signature_def) - {"serving_default"})
    names = [name for name in names if name in table.SIGNATURES or "_" in name]
    asked = {batch: served.inputs(model, batch) for batch in (1, 3)}
    cases = [(name, batch) for name in names for batch in asked if not name.startswith("__")]
    requests = [(name, served.request(name, asked[batch])) for name, batch in cases]
    for (name, batch), found in zip(cases, without_python(folder, requests), strict=True):
        assert isinstance(found, dict), (name, found)
        wanted = served.as_numpy(served.answer(model, name, asked[batch]))
        assert set(found) == set(wanted), name
        for key, value in found.items():
            assert (value.dtype, value.shape) == (np.float32, wanted[key].shape), name
            np.testing.assert_allclose(value, wanted[key], **TOLERANCE, err_msg=f"{name} {key}")


def test_which_there_are(exported, request):
    _, folder = exported
    there = {n for n in graph_of(folder).signature_def if not n.startswith("__")}
    name = request.node.callspec.params["exported"]
    assert there - {"serving_default"} == FEWER.get(name, ALL)


def test_no_graph_draws(exported):
    _, folder = exported
    graph = graph_of(folder).graph_def
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    operations = {node.op for node in nodes}
    assert {"MatMul", "Conv2D"} & operations
    drawing = ("Random", "Stateless", "Multinomial", "Stateful")
    calls = {"StatefulPartitionedCall", "StatelessWhile", "StatelessIf"}
    assert not [op for op in operations - calls if any(word in op for word in drawing)]


def test_warm_up_requests_are_answered(exported, without_python):
    """As tensorflow_serving.apis reads them, which the export does without."""
    _, folder = exported
    records = tf.data.TFRecordDataset(str(folder / saved_models.EXTRA / warmup.FILE))
    logs = [prediction_log_pb2.PredictionLog.FromString(r) for r in records.as_numpy_iterator()]
    requests = [log.predict_log.request for log in logs]
    definitions = graph_of(folder).signature_def
    names = {n for n in definitions if not n.startswith("__")} - {"serving_default"}
    assert {request.model_spec.signature_name for request in requests} == names
    pairs = []
    for request in requests:
        assert request.model_spec.name == "model"
        name = request.model_spec.signature_name
        assert set(request.inputs) == set(definitions[name].inputs)
        pairs.append((name, {k: tf.make_ndarray(v) for k, v in request.inputs.items()}))
    for (name, _), found in zip(pairs, without_python(folder, pairs), strict=True):
        assert isinstance(found, dict), (name, found)
        assert all(np.isfinite(value).all() for value in found.values()), name


def test_requests_made_with_the_serving_api(exported, without_python):
    model, folder = exported
    given = served.inputs(model, 2)
    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = "encode"
    request.inputs["images"].CopyFrom(tf.make_tensor_proto(given["images"]))
    definition = graph_of(folder).signature_def["encode"]
    info = definition.inputs["images"]
    sent = request.inputs["images"]
    assert sent.dtype == info.dtype
    sizes = [dim.size for dim in info.tensor_shape.dim]
    assert sizes == [-1, *(dim.size for dim in sent.tensor_shape.dim[1:])]
    pair = ("encode", {"images": tf.make_ndarray(sent)})
    (found,) = without_python(folder, [pair])
    np.testing.assert_allclose(found["mean"], model.encode(given["images"]).mean(), **TOLERANCE)


def test_reasons():
    def reasons(name, part="model", **options):
        return Signatures(served.build(name, **options)).reasons(part)

    assert reasons("vae") == {}
    assert reasons("avb")["elbo"] == "q(z|x) is implicit and has no density."
    assert reasons("cyclegan")["generate"] == "p(z) is a data set: decode its images."
    assert reasons("cyclegan")["log_likelihood"] == "p(z) is a data set and has no density."
    assert reasons("cyclegan", "encoder") == {
        "encode_sample": "z is an image, and what the decoder takes for it is its mean."
    }
    assert "5" in reasons("vae", image_shape=(4, 4, 5))["encode_bytes"]
    assert "discrete" in reasons("aae", posterior="bernoulli")["elbo"]


def test_each_signature_is_in_the_table():
    rows = {row.name: row for row in table.SIGNATURES.values()}
    found = Signatures(served.build("infogan")).of("model")
    for name, each in found.items():
        base, _, form = name.rpartition("_")
        base = base if form in table.FORMS else name
        if form not in table.FORMS:
            assert [spec.name for spec in each.inputs] == list(rows[base].inputs)
        symbols = [len(s) - 1 for s in rows[base].inputs.values()]
        assert len(each.inputs) == len(symbols)
        assert each.meaning.split(";")[0]
