"""Certificates: what a run achieved on held-out data, as bounds, verdicts and a page.

From Python: `certify(model, data)`, and the callback `HeldOutMargins` for plain `fit`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from train.certificates.certificate import certify
    from train.certificates.document import Certificate
    from train.certificates.margins import HeldOutMargins

__all__ = ["Certificate", "HeldOutMargins", "certify"]
_FILES = {"Certificate": "document", "HeldOutMargins": "margins", "certify": "certificate"}


def __getattr__(name: str) -> Any:
    if name in _FILES:
        return getattr(importlib.import_module(f"train.certificates.{_FILES[name]}"), name)
    raise AttributeError(f"module 'train.certificates' has no attribute {name!r}")
