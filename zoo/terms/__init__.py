"""Estimators of an objective's terms: plain functions of tensors, and terms found by name."""

import importlib
import pkgutil

from zoo.terms.base import Joints, Term, available, critic_space, make, register
from zoo.terms.estimate import Estimate
from zoo.terms.jensen_shannon import jensen_shannon
from zoo.terms.mmd import mmd, mmd_to_normal, mmd_weighted
from zoo.terms.rate import rate
from zoo.terms.reconstruction import reconstruction

# Every file of this folder registers the terms it defines: adding a file is enough.
for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "Estimate",
    "Joints",
    "Term",
    "available",
    "critic_space",
    "jensen_shannon",
    "make",
    "mmd",
    "mmd_to_normal",
    "mmd_weighted",
    "rate",
    "reconstruction",
    "register",
]
