"""Nothing is unpickled, and no text becomes code."""

import ast
import inspect
from pathlib import Path

import pytest

import export
import train
import zoo

FILES = sorted(
    path
    for package in (zoo, train, export)
    for path in Path(inspect.getfile(package)).parent.rglob("*.py")
)
# Modules that load code or objects from data, or run programs.
MODULES = {
    *("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"),
    *("copyreg", "runpy", "imp", "code", "codeop", "yaml"),
}
CALLS = {"eval", "exec", "compile", "__import__"}
ATTRIBUTES = {
    *("enable_unsafe_deserialization", "func_load", "load_pickle", "system", "popen"),
    *("unpack_archive", "extractall"),
}


def found(tree):
    """Yields what a file does that could run a stranger's data: (line, words)."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if MODULES & set(name.split(".")):
                yield node.lineno, f"imports {name}"
        if isinstance(node, ast.Attribute) and node.attr in ATTRIBUTES:
            yield node.lineno, node.attr
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in CALLS:
                yield node.lineno, f"{name}()"
            for keyword in node.keywords:
                value = getattr(keyword.value, "value", None)
                wanted = {"allow_pickle": False, "safe_mode": True}
                if keyword.arg in wanted and value is not wanted[keyword.arg]:
                    yield node.lineno, f"{keyword.arg}={ast.unparse(keyword.value)}"
            said = {keyword.arg for keyword in node.keywords}
            reads = name in ("np.load", "numpy.load", "np.lib.format.read_array")
            if reads and "allow_pickle" not in said:
                yield node.lineno, f"{name} without allow_pickle=False"
            if name.endswith("load_model") and "safe_mode" not in said:
                yield node.lineno, f"{name} without safe_mode=True"
            if name.endswith("layers.Lambda"):
                yield node.lineno, "a layer of Python code"


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(path.parts[-2:]))
def test_no_file_can_run_a_strangers_data(path):
    assert list(found(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from joblib import load",
        "from tensorflow import io, dill",
        "eval(text)",
        "exec(text)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=anything)",
        "keras.saving.load_model(path)",
        "keras.saving.load_model(path, safe_mode=False)",
        "keras.layers.Lambda(f)",
        "keras.config.enable_unsafe_deserialization()",
        "os.system(text)",
    ],
)
def test_the_search_finds_it(text):
    assert list(found(ast.parse(text)))


def test_there_are_files():
    assert len(FILES) > 60
