"""What a test registers is forgotten when it ends."""

import sys

import pytest

from zoo import imports
from zoo.objectives import divergences
from zoo.terms import base


@pytest.fixture
def registries(monkeypatch):
    """Has copies in place of all that a user's module adds to."""
    for module, name in (
        (base, "_REGISTRY"),
        (divergences, "DIVERGENCES"),
        (divergences, "_OWNERS"),
        (imports, "_loaded"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name).copy())
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("my_"):
            del sys.modules[name]
