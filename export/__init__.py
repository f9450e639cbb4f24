"""Export: SavedModels with named signatures, in numbered versions for TensorFlow Serving.

From Python: `export_model(model, folder)`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from export.saved_models import export_model

__all__ = ["export_model"]


def __getattr__(name: str) -> Any:
    if name == "export_model":
        return importlib.import_module("export.saved_models").export_model
    raise AttributeError(f"module 'export' has no attribute {name!r}")
