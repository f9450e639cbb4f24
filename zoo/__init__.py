"""The Lagrangian zoo: latent-variable generative models as points of one constrained problem.

    minimise  alpha_q I_q(x;z) + alpha_p I_p(x;z)   subject to   D_i <= eps_i

Declaring and explaining objectives needs no TensorFlow, which is imported with the first model.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from zoo.errors import InputError
from zoo.objectives.declaration import Constraint
from zoo.objectives.family import names, objective
from zoo.objectives.objective import Objective
from zoo.registration import follow_keras
from zoo.version import __version__

if TYPE_CHECKING:
    from zoo import distributions, metrics, priors, tables, terms
    from zoo.model.builder import build
    from zoo.model.lagrangian_model import LagrangianModel

__all__ = [
    "Constraint",
    "InputError",
    "LagrangianModel",
    "Objective",
    "__version__",
    "build",
    "distributions",
    "metrics",
    "names",
    "objective",
    "priors",
    "tables",
    "terms",
]
_LAZY = {"build": "zoo.model.builder", "LagrangianModel": "zoo.model.lagrangian_model"}


def __getattr__(name: str) -> Any:
    if name in ("distributions", "metrics", "priors", "tables", "terms"):
        return importlib.import_module(f"zoo.{name}")
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")


follow_keras()
