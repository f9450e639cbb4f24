"""Read-only exact coefficients by name; equal objectives share them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NoReturn

from zoo.objectives.affine import Number


class Coefficients(dict[str, Number]):
    """Exact coefficients by term name, read only; a term that is absent has coefficient 0."""

    def __missing__(self, name: str) -> Fraction:
        return Fraction(0)

    def _read_only(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("Coefficients are read only: make a dict of them to change one.")

    __setitem__ = __delitem__ = __ior__ = _read_only
    update = setdefault = pop = popitem = clear = _read_only

    def __reduce__(self) -> tuple[Any, ...]:
        return Coefficients, (dict(self),)
