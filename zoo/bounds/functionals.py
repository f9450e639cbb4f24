"""Variational forms of divergences by a log ratio V, in NumPy.

    D(a||b) >= E_a[ at_a(V) ] + E_b[ at_b(V) ],   with equality at V = log a/b

Nguyen, Wainwright and Jordan 2010, lemma 1, with T = f'(e^V). `zoo.terms` trains with the same
forms; these are a second implementation, so that a certificate does not repeat their errors. If V
was chosen on other samples, the sum is a lower bound on D; with V = log a/b it equals D.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from zoo.errors import unknown
from zoo.objectives.divergences import divergence

Values = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Functional:
    """The two halves of one divergence's variational form.

    Attributes:
      name: as in a constraint; KL and FKL are the same.
      at_a, at_b: map V to values of the same shape, float64; in nats for KL and JS.
      normalised_b: E_b[ at_b(V) ] if V is the log ratio r/b of normalised densities, for any r,
        because E_b[e^V] = 1; None if it needs samples.
      density_a, density_b: the two halves for known densities, V = log a/b, simplified by
        E_a[e^-V] = E_b[e^V] = 1; None for at_a and at_b.
    """

    name: str
    at_a: Values
    at_b: Values
    normalised_b: float | None = None
    density_a: Values | None = None
    density_b: Values | None = None

    @property
    def largest(self) -> float:
        """The largest value of the divergence."""
        largest = divergence(self.name).largest
        return math.inf if largest is None else largest

    @property
    def of_densities(self) -> tuple[Values, Values]:
        """The two halves for V = log a/b."""
        return self.density_a or self.at_a, self.density_b or self.at_b


def _expm1(v: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.expm1(v)


def _softplus(v: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, v)


def _zero(v: np.ndarray) -> np.ndarray:
    return np.zeros_like(v)


def _kl(name: str) -> Functional:
    # f(u) = u log u - u + 1:    f' = log u,        f*(f') = u - 1
    return Functional(
        name,
        at_a=lambda v: v,
        at_b=lambda v: -_expm1(v),
        normalised_b=0.0,
        density_b=_zero,  # KL = E_a[V]
    )


_TABLE = (
    _kl("KL"),
    _kl("FKL"),
    # f(u) = -log u + u - 1:     f' = 1 - 1/u,      f*(f') = log u
    Functional(
        "RKL",
        at_a=lambda v: -_expm1(-v),
        at_b=lambda v: -v,
        density_a=_zero,  # RKL = -E_b[V]
    ),
    # f(u) = (u - 1)^2:          f' = 2 (u - 1),    f*(f') = u^2 - 1
    Functional(
        "CHI2",
        at_a=lambda v: 2.0 * _expm1(v),
        at_b=lambda v: -_expm1(2.0 * v),
        density_a=_expm1,  # CHI2 = E_a[e^V] - 1
        density_b=_zero,
    ),
    # f(u) = (sqrt(u) - 1)^2:    f' = 1 - 1/sqrt(u),    f*(f') = sqrt(u) - 1
    Functional(
        "H2",
        at_a=lambda v: -_expm1(-0.5 * v),
        at_b=lambda v: -_expm1(0.5 * v),
    ),
    # f(u) = |u - 1| / 2:        f' = sign(u - 1) / 2 = f*(f')
    Functional(
        "TV",
        at_a=lambda v: 0.5 * np.sign(v),
        at_b=lambda v: -0.5 * np.sign(v),
    ),
    # log 2 - 1/2 [ E_a softplus(-V) + E_b softplus(V) ]
    Functional(
        "JS",
        at_a=lambda v: 0.5 * (math.log(2.0) - _softplus(-v)),
        at_b=lambda v: 0.5 * (math.log(2.0) - _softplus(v)),
    ),
)
FUNCTIONALS = {functional.name: functional for functional in _TABLE}


def functional(name: str) -> Functional:
    """Returns the variational form of the divergence called `name`.

    Raises:
      InputError: it has no variational form here.
    """
    if name not in FUNCTIONALS:
        raise unknown("divergence with a variational form", name, FUNCTIONALS)
    return FUNCTIONALS[name]
