"""Update rules of learned multipliers: one rule per file, found by name."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from zoo import errors
from zoo.multipliers.augmented import AugmentedLagrangian
from zoo.multipliers.base import MultiplierRule
from zoo.multipliers.geco import GECO
from zoo.multipliers.pi import PIController
from zoo.multipliers.projected import ProjectedAscent

_RULES: dict[str, type[MultiplierRule]] = {
    "augmented": AugmentedLagrangian,
    "geco": GECO,
    "pi": PIController,
    "projected": ProjectedAscent,
}


def names() -> list[str]:
    """Returns the names of the rules."""
    return sorted(_RULES)


def get(name: str, **options: Any) -> MultiplierRule:
    """Returns the rule called `name`, e.g. get("augmented", horizon=20_000, penalty=5).

    Raises InputError for an unknown name, an unknown option or an impossible value.
    """
    if name not in _RULES:
        raise errors.unknown("multiplier rule", name, names())
    known = {"horizon", *_RULES[name]().get_config()} - {"name"}
    for option in options:
        if option not in known:
            raise errors.unknown(f"option of the {name} rule", option, known)
    return _RULES[name](**options)


def default(alpha_q: Fraction | float, alpha_p: Fraction | float) -> str:
    """Returns the name of the rule for an information preference.

    It is "augmented" if alpha_q < 0 or alpha_p < 0: the objective is then not convex in the model,
    strong duality can fail ([U] theorem 2), and plain ascent need not converge. Otherwise it is
    projected ascent.
    """
    return "augmented" if min(alpha_q, alpha_p) < 0 else "projected"


__all__ = [
    "GECO",
    "AugmentedLagrangian",
    "MultiplierRule",
    "PIController",
    "ProjectedAscent",
    "default",
    "get",
    "names",
]
