"""A model that Keras saved is loaded where zoo is imported, in any order, and nothing more."""

import subprocess
import sys

import pytest

ORDERS = ["import keras, zoo", "import zoo, tensorflow, keras"]
FOUND = """
import keras, pkgutil, importlib
from keras.saving import get_custom_objects
found = {name for name in get_custom_objects() if name.startswith("zoo>")}
for module in pkgutil.walk_packages(zoo.__path__, "zoo."):
    if module.name != "zoo.__main__":
        importlib.import_module(module.name)
every = {name for name in get_custom_objects() if name.startswith("zoo>")}
assert "zoo>LagrangianModel" in found
exact = {"zoo>Categorical", "zoo>TabularModel"}
assert not every - found - exact, every - found
"""


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("order", ORDERS)
def test_classes_are_there_once_keras_is(order):
    done = python(order + FOUND)
    assert done.returncode == 0, done.stderr[-2000:]


def test_objectives_need_no_keras():
    done = python("import sys, zoo; zoo.objective('vae'); print('keras' in sys.modules)")
    assert done.stdout == "False\n", done.stderr[-2000:]
