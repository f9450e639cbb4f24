"""Registration of a user's divergence by one decorator."""

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
    """Returns the class decorator that registers your divergence.

    Constraints may then name it, `zoo.build` and `train.run` train it and certificates judge it.
    A subclass of `CriticTerm` is trained with a critic.

    Args:
      name: its name in constraints, in capitals, as in "NAME(q(z)||p(z))".
      describes: a description in a few words.
      symmetric: whether D(a||b) = D(b||a).
      largest: its largest value, None if unbounded.
      side: how the estimate bounds the divergence, in expectation over held-out samples: "exact",
        a "lower" or an "upper" bound, or "neither". "exact" and "upper" can certify that a
        constraint holds, "exact" and "lower" that it is violated.
      unit: "nats", or another unit such as "distance"; "" for none.
      lipschitz, saturates: see `zoo.objectives.divergences.Divergence`.

    Raises:
      InputError: a value is out of range, another class has that name, or the class lacks the field
        `space` or, if asymmetric, `direction`.
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
