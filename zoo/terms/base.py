"""What a term is, what it may ask of the joints, and the registry that finds it by name.

To add a divergence, write one file in this folder with a class of this form; `MMD` is the example:

```python
@base.register("TV")
@dataclasses.dataclass(frozen=True)
class TotalVariation(base.Term):
    spaces = ("x", "z", "xz")  # it can be asked for as TV_x, TV_z and TV_xz
    needs_critic = True
    space: str  # the one it was asked for
    critic: Any = None  # T(x), T(z) or T([x, z]): one logit per example
    option: float = 1.0  # everything else is an option

    def __call__(self, joints, training=True): ...
```
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from zoo import errors
from zoo.terms.estimate import Estimate


class Joints(Protocol):
    """What a term may ask of the two joints q(x,z) and p(x,z).

    Expectations take per-example values [B] to a scalar. They belong to the joints, so that a table
    with exact probabilities can stand where samples usually do.
    """

    @property
    def x_q(self) -> Any:
        """Samples of q(x,z), [B, ...]: the data ..."""

    @property
    def z_q(self) -> Any:
        """... and what they are encoded to."""

    @property
    def x_p(self) -> Any:
        """Samples of p(x,z), [B, ...]: what is decoded ..."""

    @property
    def z_p(self) -> Any:
        """... from samples of the prior."""

    @property
    def posterior(self) -> Any:
        """q(z|x) at x_q, batch shape [B]."""

    @property
    def prior(self) -> Any:
        """p(z), batch shape []."""

    @property
    def log_p_x_given_z_q(self) -> Any:
        """log p(x|z) at (x, z) ~ q, [B], nats."""

    @property
    def log_q_z_given_x_q(self) -> Any:
        """log q(z|x) at (x, z) ~ q, [B], nats."""

    @property
    def log_p_z_q(self) -> Any:
        """log p(z) at z ~ q(z), [B], nats."""

    @property
    def log_q_z_given_x_p(self) -> Any:
        """log q(z|x) at (x, z) ~ p, [B], nats."""

    def expect_q(self, values: Any) -> Any:
        """E_q of `values` [B] at samples of q."""

    def expect_p(self, values: Any) -> Any:
        """E_p of `values` [B] at samples of p."""

    def expect_data(self, values: Any) -> Any:
        """E_q(x) of `values` [B] at the data."""

    def samples(self, space: str) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Samples of q and of p on "x", "z" or "xz": a tuple of one or two tensors each."""
        ...


class Term(abc.ABC):
    """A term of an objective, ready to be estimated on samples of the joints.

    Subclasses are frozen dataclasses. Their fields are the options, except `space` and `critic`.
    """

    registered: ClassVar[str]
    spaces: ClassVar[tuple[str, ...]] = ()  # () if the term is asked for by its name alone
    needs_critic: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The name in coefficients and metrics, such as "REC_x" or "MMD_z"."""
        return _full_name(self.registered, getattr(self, "space", None))

    @abc.abstractmethod
    def __call__(self, joints: Joints, training: bool = True) -> Estimate:
        """Returns the term's estimate on `joints`; `training` is passed on to the critic."""

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """The names of what can be chosen about this term."""
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]
        return tuple(field.name for field in fields if field.name not in ("space", "critic"))

    def get_config(self) -> dict[str, Any]:
        """Returns plain data such that `make(**config, critic=critic)` is this term again."""
        return {"name": self.name} | {option: getattr(self, option) for option in self.options()}


_REGISTRY: dict[str, type[Term]] = {}


def register(name: str) -> Callable[[type[Term]], type[Term]]:
    """Returns the class decorator that makes a term known as `name` (or `name_space`)."""

    def decorate(cls: type[Term]) -> type[Term]:
        cls.registered = name
        _REGISTRY[name] = cls
        return cls

    return decorate


def available() -> set[str]:
    """Returns the names of all terms that can be trained, such as "REC_x" and "MMD_z"."""
    return set(_full_names())


def critic_space(name: str) -> str | None:
    """Returns the space ("x", "z" or "xz") whose critic the term `name` needs, or `None`.

    Raises:
      InputError: if there is no such term.
    """
    cls, space = _find(name)
    return (space or getattr(cls, "space", None)) if cls.needs_critic else None


def make(name: str, critic: Any = None, **options: Any) -> Term:
    """Returns the term called `name`.

    Args:
      name: A full name such as "RATE", or a divergence and its space such as "MMD_z".
      critic: For terms with `needs_critic`, a Keras model that gives one logit per example, high
        where samples look drawn from q. It is called on x, on z, or on [x, z].
      **options: The term's options, see its class.

    Raises:
      InputError: if the term, an option or an option's value is unknown, or a critic is missing.
    """
    cls, space = _find(name)
    for option in options:
        if not cls.options():
            raise errors.InputError(f"Unknown option {option!r}: {name} has no options.")
        if option not in cls.options():
            raise errors.unknown("option", option, cls.options())
    if cls.needs_critic and critic is None:
        raise errors.InputError(f"{name} needs a critic: pass critic=a model that gives a logit.")
    if critic is not None and not cls.needs_critic:
        raise errors.InputError(f"{name} needs no critic: leave out critic=.")
    if space is not None:
        options["space"] = space
    if cls.needs_critic:
        options["critic"] = critic
    return cls(**options)


def _full_names() -> dict[str, tuple[type[Term], str | None]]:
    return {
        _full_name(registered, space): (cls, space)
        for registered, cls in _REGISTRY.items()
        for space in cls.spaces or (None,)
    }


def _find(name: str) -> tuple[type[Term], str | None]:
    full_names = _full_names()
    if name not in full_names:
        raise errors.unknown("term", name, full_names)
    return full_names[name]


def _full_name(registered: str, space: str | None) -> str:
    return f"{registered}_{space}" if space else registered
