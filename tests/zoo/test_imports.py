"""Modules of a user's: what is imported, and in which words what cannot be is refused."""

import sys

import pytest

from zoo import imports
from zoo.errors import InputError


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Returns a function that writes a module into the folder in which one works."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(imports, "_loaded", [])
    before = set(sys.modules)

    def write(name, text):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("my_"):
            del sys.modules[name]


def test_each_is_imported_once(module):
    module("my_parts", "import sys\nsys.my_count = getattr(sys, 'my_count', 0) + 1\n")
    assert imports.load(["my_parts", "my_parts"]) == ("my_parts",)
    assert imports.load(["my_parts"]) == ("my_parts",)
    assert sys.my_count == 1
    del sys.my_count
    assert imports.load([]) == ()


def test_modules_of_a_package_belong_to_it(module):
    module("my_package/__init__", "")
    module("my_package/parts", "")
    assert not imports.belongs("my_package")
    imports.load(["my_package"])
    assert imports.belongs("my_package")
    assert imports.belongs("my_package.parts")
    assert not imports.belongs("my_package_2")
    assert not imports.belongs("")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_such", "raised ModuleNotFoundError in my_bad.py, line 1: No module named"),
        ("\n\nraise KeyError('k')", "raised KeyError in my_bad.py, line 3: 'k'."),
        ("x = (", "raised SyntaxError: .*my_bad.py, line 1"),
        ("import sys\nsys.exit(3)", "raised SystemExit in my_bad.py, line 2: 3."),
        (
            "from zoo.objectives.divergences import Divergence\nDivergence('bad', True, '')",
            "failed in my_bad.py, line 2: A divergence cannot be called 'bad'",
        ),
    ],
)
def test_one_that_raises_is_named_with_its_line(module, text, message):
    module("my_bad", text)
    with pytest.raises(InputError, match=f"--import=my_bad {message}"):
        imports.load(["my_bad"])
    assert not imports.belongs("my_bad")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_absent", "there is no module 'my_absent' in .*run the command in the folder"),
        ("my_absent.parts", "there is no module 'my_absent' in"),
        ("my_parts.py", r"is not the name of a module: did you mean --import=my_parts\?"),
        ("folder/my_parts.py", r"did you mean --import=my_parts\?"),
        (".my_parts", "is not the name of a module"),
        ("", "is not the name of a module"),
        ("a b", "is not the name of a module"),
    ],
)
def test_what_is_no_module(module, name, message):
    with pytest.raises(InputError, match=message):
        imports.load([name])


def test_a_file_says_what_it_needs():
    assert imports.missing(["sys", "my_absent"]) == ["my_absent"]
    assert str(imports.needed(["my_one", "my_two"], "config.json")) == (
        "config.json needs the modules my_one and my_two: add --import=my_one --import=my_two, if "
        "that is code you trust."
    )
