"""Reads the text of a prior on the command line, "mixture:50", without TensorFlow."""

from __future__ import annotations

import dataclasses

from zoo.errors import InputError, unknown

FORMS = ("standard_normal", "mixture:K", "mixture:K:equal", "vamp:K")
_LARGEST = 2**16  # components


@dataclasses.dataclass(frozen=True)
class PriorName:
    """A prior's kind, "standard_normal", "mixture" or "vamp", and its options.

    Attributes:
      kind: the text before the first colon.
      components: K; 0 for the standard normal.
      equal: whether the weights of a mixture stay 1/K.
    """

    kind: str
    components: int = 0
    equal: bool = False


def parse(text: str) -> PriorName:
    """Reads a prior: standard_normal, mixture:K, mixture:K:equal or vamp:K.

    Raises:
      InputError: the kind is unknown, K is missing or out of range, or more text follows.
    """
    kind, *rest = text.split(":")
    if kind not in ("standard_normal", "mixture", "vamp"):
        raise unknown("prior", text, FORMS)
    if kind == "standard_normal":
        if rest:
            raise InputError(f"The prior {text!r} has no options: write standard_normal.")
        return PriorName(kind)
    equal = kind == "mixture" and rest[1:] == ["equal"]
    if not rest or (rest[1:] and not equal):
        form = "mixture:50 or mixture:50:equal" if kind == "mixture" else "vamp:50"
        raise InputError(f"The prior {text!r} does not say how many components: write {form}.")
    number = rest[0]
    if not (number.isdecimal() and len(number) < 10 and 1 <= int(number) <= _LARGEST):
        raise InputError(
            f"The prior {text!r} has {number!r} components: give a number from 1 to {_LARGEST}."
        )
    return PriorName(kind, int(number), equal)
