import numpy as np
import pytest

from export.tensors import Signature, Spec


def info(dtype="DT_FLOAT", sizes=("-1", "28"), unknown_rank=False):
    return {
        "dtype": dtype,
        "tensor_shape": {"dim": [{"size": s} for s in sizes], "unknown_rank": unknown_rank},
    }


def test_a_spec_is_read_from_the_json_of_a_tensor():
    assert Spec.of(info()) == Spec(np.dtype("float32"), (None, 28))
    assert Spec.of(info("DT_UINT8", ())) == Spec(np.dtype("uint8"), ())
    assert Spec.of(info(sizes=(), unknown_rank=True)).shape is None
    assert Spec.of(info("DT_STRING", ("-1",))).is_bytes


def test_a_spec_takes_shapes():
    spec = Spec.of(info())
    assert spec.takes((0, 28))
    assert spec.takes((7, 28))
    assert not spec.takes((7, 27))
    assert not spec.takes((7, 28, 1))
    assert Spec.of(info(sizes=(), unknown_rank=True)).takes((1, 2, 3))
    assert str(spec) == "[B, 28]"


def test_a_dtype_that_json_cannot_carry():
    with pytest.raises(ValueError, match="DT_COMPLEX64"):
        Spec.of(info("DT_COMPLEX64"))


def test_a_signature_is_read_from_the_json_of_its_definition():
    signature = Signature.of({"inputs": {"z": info()}, "outputs": {"images": info("DT_UINT8")}})
    assert signature.inputs["z"].dtype == np.float32
    assert signature.outputs["images"].dtype == np.uint8
