"""Imports go one way: between modules, between rooms (folders), and between zoo, train and export.

Imports inside functions count; those under `if TYPE_CHECKING` do not.
"""

import ast
import graphlib
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TENSORFLOW = {"tensorflow", "keras", "tf_keras", "tensorflow_probability"}

SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for top in ("zoo", "train", "export")
    for path in sorted((ROOT / top).rglob("*.py"))
}


def imported(source: str) -> Iterator[str]:
    """Yields the full names of what a module imports: "zoo.terms", "zoo.terms.base.Term"."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports are not followed"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def module_of(name: str) -> str | None:
    """Returns the module of ours that a full name is, or is in; None for others' modules."""
    if name in SOURCES:
        return name
    package, dot, _ = name.rpartition(".")
    return module_of(package) if dot else None


NAMES = {module: set(imported(path.read_text())) for module, path in SOURCES.items()}
ARROWS = {
    module: {found for name in names if (found := module_of(name))} - {module}
    for module, names in NAMES.items()
}
COMMANDS = {
    module
    for module, path in SOURCES.items()
    if re.fullmatch(r"train\.\w+", module) and 'if __name__ == "__main__"' in path.read_text()
}


def room(module: str) -> str:
    """Returns the folder, "zoo.terms", of a module; one that lies in no folder is its own room."""
    return ".".join(module.split(".")[:2])


def crossing(sources: str, targets: str) -> list[str]:
    """Returns the arrows from modules below one name to modules below another."""
    return [
        f"{source} -> {target}"
        for source, found in ARROWS.items()
        for target in sorted(found)
        if f"{source}.".startswith(f"{sources}.") and f"{target}.".startswith(f"{targets}.")
    ]


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """Returns one circle of a graph; empty if there is none."""
    try:
        graphlib.TopologicalSorter(arrows).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_what_counts_as_an_import():
    source = """
import zoo.terms
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from zoo.model import step
else:
    from zoo.model import parts
def inside():
    if True:
        from zoo.errors import InputError
"""
    found = set(imported(source)) - {"typing.TYPE_CHECKING"}
    assert found == {"zoo.terms", "zoo.model.parts", "zoo.errors.InputError"}
    assert {module_of(name) for name in found} == {"zoo.terms", "zoo.model.parts", "zoo.errors"}
    assert module_of("numpy.random") is None
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("sources", "targets"), [("zoo", "train"), ("zoo", "export"), ("train", "export")]
)
def test_data_goes_from_zoo_to_train_to_export(sources, targets):
    # The benchmark measures what is exported too.
    allowed = "train.benchmark."
    assert [arrow for arrow in crossing(sources, targets) if not arrow.startswith(allowed)] == []


def test_objectives_need_no_tensorflow():
    reached, waiting = set(), {module for module in SOURCES if room(module) == "zoo.objectives"}
    while waiting:
        module = waiting.pop()
        reached.add(module)
        waiting |= ARROWS[module] - reached
    assert {room(module) for module in reached} == {"zoo.objectives", "zoo.errors"}
    heavy = [m for m in reached if {name.partition(".")[0] for name in NAMES[m]} & TENSORFLOW]
    assert heavy == []


def test_no_circle_between_modules():
    assert circle(ARROWS) == []


def test_no_circle_between_rooms():
    rooms: defaultdict[str, set[str]] = defaultdict(set)
    for module, found in ARROWS.items():
        rooms[room(module)] |= {room(target) for target in found} - {room(module)}
    # `zoo` alone is what users import from, and in no room.
    assert circle({name: found for name, found in rooms.items() if "." in name}) == []


def test_commands_stand_above_the_rooms():
    assert "train.run" in COMMANDS
    below = [
        f"{source} -> {target}"
        for source, found in ARROWS.items()
        for target in sorted(found & COMMANDS)
        if source not in COMMANDS
    ]
    assert below == []
