"""Divergences of a user's own: one decorator says everything about one."""

from __future__ import annotations

from collections.abc import Callable

from zoo import errors
from zoo.objectives import divergences
from zoo.objectives.divergences import Side
from zoo.terms import base


def divergence(
    name: str,
    *,
    describes: str,
    symmetric: bool,
    largest: float | None = None,
    side: Side = "neither",
    unit: str = "",
    lipschitz: bool = False,
    saturates: bool = False,
) -> Callable[[type[base.Term]], type[base.Term]]:
    """Returns the class decorator that makes a divergence of your own known everywhere.

    Constraints may then name it, `zoo.build` and `train.run` train it and certificates judge it.
    Whether a critic plays follows from the class: it does in a `CriticTerm`.

    Args:
      name: in capitals; constraints name it, as in "NAME(q(z)||p(z))".
      describes: what it is, in a few words.
      symmetric: whether D(a||b) = D(b||a).
      largest: what it cannot exceed, None if it can be of any size.
      side: what the estimate is of the divergence, in expectation over held-out samples: "exact",
        a "lower" or an "upper" bound, or "neither". A constraint can be certified to hold where it
        is "exact" or "upper", and to be violated where it is "exact" or "lower".
      unit: "nats", or a unit of its own such as "distance"; "" for none.
      lipschitz, saturates: see `zoo.objectives.divergences.Divergence`.

    Raises:
      InputError: a value is out of its range, another class has that name, or the class has not
        the fields that the facts ask for.
    """

    def decorate(cls: type[base.Term]) -> type[base.Term]:
        needed = {"space"} | (set() if symmetric else {"direction"})
        needed |= {"critic"} if cls.needs_critic else set()
        missing = needed - set(getattr(cls, "__dataclass_fields__", ()))
        if missing:
            raise errors.InputError(
                f"{cls.__name__}, which estimates {name}, has no field {min(missing)!r}: make it a "
                f"frozen dataclass with {' and '.join(sorted(needed))} among its fields."
            )
        facts = divergences.Divergence(
            name,
            symmetric,
            describes,
            largest,
            side,
            critic=cls.needs_critic,
            lipschitz=lipschitz,
            saturates=saturates,
            unit=unit,
        )
        divergences.register(facts, f"{cls.__module__}.{cls.__qualname__}")
        return base.estimates(name)(cls)

    return decorate
