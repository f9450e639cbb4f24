"""The divergences a constraint may name, as facts the algebra needs (no TensorFlow).

The estimator of divergence NAME on space s is the term NAME_s of `zoo.terms`.
"""

from __future__ import annotations

from dataclasses import dataclass

from zoo.errors import unknown


@dataclass(frozen=True)
class Divergence:
    """A divergence D(a||b): non-negative, zero if and only if a = b."""

    name: str
    symmetric: bool
    describes: str


_TABLE = (
    Divergence("KL", False, "Kullback-Leibler, E_a[log a - log b]"),
    Divergence("JS", True, "Jensen-Shannon, in [0, log 2], by a critic"),
    Divergence("MMD", True, "squared maximum mean discrepancy, by a kernel"),
    Divergence("FKL", False, "KL(a||b) by its variational bound (f-divergence, a critic)"),
    Divergence("RKL", False, "KL(b||a) by its variational bound (f-divergence, a critic)"),
    Divergence("CHI2", False, "Pearson chi-squared, E_b[(a/b - 1)^2], by its variational bound"),
    Divergence("H2", True, "squared Hellinger, E_b[(sqrt(a/b) - 1)^2], by its variational bound"),
    Divergence("TV", True, "total variation, E_b|a/b - 1| / 2, by its variational bound"),
    Divergence("W1", True, "Wasserstein-1, by a 1-Lipschitz critic"),
    Divergence("SW", True, "sliced Wasserstein, by random projections"),
)
DIVERGENCES = {divergence.name: divergence for divergence in _TABLE}


def divergence(name: str) -> Divergence:
    """Returns the divergence called `name`, in any case.

    Raises:
      InputError: no divergence has that name (offers the nearest).
    """
    try:
        return DIVERGENCES[name.upper()]
    except KeyError:
        raise unknown("divergence", name, DIVERGENCES) from None
