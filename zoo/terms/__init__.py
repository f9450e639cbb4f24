"""Estimators of an objective's terms: plain functions of tensors, and terms found by name."""

import importlib
import pkgutil

from zoo.terms.base import Joints, Term, available, critic_space, find, make, register
from zoo.terms.critic import CriticTerm, Pair
from zoo.terms.density_ratio import density_ratio
from zoo.terms.estimate import Estimate
from zoo.terms.f_divergence import f_divergence
from zoo.terms.jensen_shannon import jensen_shannon
from zoo.terms.mmd import mmd, mmd_weighted
from zoo.terms.mmd_of_normals import mmd_of_normals
from zoo.terms.mmd_to_normal import mmd_to_normal
from zoo.terms.rate import rate
from zoo.terms.reconstruction import reconstruction
from zoo.terms.registration import divergence
from zoo.terms.sliced_wasserstein import sliced_wasserstein, sliced_wasserstein_weighted
from zoo.terms.stein import stein
from zoo.terms.wasserstein import wasserstein

# Importing each file of this folder registers its terms: a new file needs no other edit.
for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "CriticTerm",
    "Estimate",
    "Joints",
    "Pair",
    "Term",
    "available",
    "critic_space",
    "density_ratio",
    "divergence",
    "f_divergence",
    "find",
    "jensen_shannon",
    "make",
    "mmd",
    "mmd_of_normals",
    "mmd_to_normal",
    "mmd_weighted",
    "rate",
    "reconstruction",
    "register",
    "sliced_wasserstein",
    "sliced_wasserstein_weighted",
    "stein",
    "wasserstein",
]
