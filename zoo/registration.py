"""Defines the classes of saved models for keras.saving.load_model."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_WAITED_FOR = ("keras", "tensorflow")


def follow_keras() -> None:
    """Defines the classes of saved models as soon as Keras is imported anywhere.

        import zoo, keras
        model = keras.saving.load_model("alice.keras")

    Without Keras nothing is imported, so that objectives still need no TensorFlow.
    """
    if any(sys.modules.get(name) is not None for name in _WAITED_FOR):
        _define()
    else:
        sys.meta_path.insert(0, _Follower())


class _Follower(MetaPathFinder):
    """Detects when Keras and TensorFlow, which import each other, have both been imported."""

    def __init__(self) -> None:
        self._awaited = set(_WAITED_FOR)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _WAITED_FOR:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Then(spec.loader, self._imported)
        return spec

    def _imported(self, name: str) -> None:
        self._awaited.discard(name)
        if not self._awaited and self in sys.meta_path:
            sys.meta_path.remove(self)
            _define()


class _Then(Loader):
    """A loader that calls a function when its module has been executed."""

    def __init__(self, loader: Any, then: Any):
        self._loader, self._then = loader, then

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._then(module.__name__)


def _define() -> None:
    importlib.import_module("zoo.model")
