"""Exported models without Python: a C++ program that is compiled once for all tests."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

SOURCE = Path(__file__).with_name("run_signatures.cc")


@pytest.fixture(scope="session")
def without_python(tmp_path_factory):
    """A function of a SavedModel and requests [(signature, inputs)], run by TensorFlow in C++.

    The program calls tensorflow::LoadSavedModel of the installed package's libraries. What comes
    back is for each request its outputs by name, or the error, a text.
    """
    program = tmp_path_factory.mktemp("cc") / "run_signatures"
    library = Path(tf.sysconfig.get_lib())
    # Sessions register themselves in a library that the program calls nothing of.
    subprocess.run(
        [
            *("g++", "-O0", "-w", *tf.sysconfig.get_compile_flags(), str(SOURCE)),
            *("-o", str(program), f"-Wl,--no-as-needed,-rpath,{library}"),
            *map(str, sorted(library.glob("libtensorflow_*.so.2"))),
        ],
        check=True,
    )

    def run(model, requests):
        folder = tmp_path_factory.mktemp("requests")
        cases = [folder / f"{index:04d}" for index in range(len(requests))]
        for case, (signature, inputs) in zip(cases, requests, strict=True):
            case.mkdir()
            (case / "signature").write_text(signature)
            for name, value in inputs.items():
                content = tf.make_tensor_proto(value).SerializeToString()
                (case / f"{name}.in").write_bytes(content)
        done = subprocess.run([program, model, folder], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return [_answer(case) for case in cases]

    return run


def _answer(case):
    if (case / "error").exists():
        return (case / "error").read_text()
    found = {}
    for path in case.glob("*.out"):
        content = tensor_pb2.TensorProto.FromString(path.read_bytes())
        found[path.stem] = np.asarray(tf.make_ndarray(content))
    return found
