"""What a term is, what it may ask of the joints, and the registry that finds it by name.

A divergence is a class of this form; `MMD` is the example, and `JensenShannon` that of a divergence
with a critic:

```python
@terms.divergence("ENERGY", describes="energy distance", symmetric=True, side="exact")
@dataclasses.dataclass(frozen=True)
class Energy(terms.Term):
    space: str  # "x", "z" or "xz": it is asked for as ENERGY_x, ENERGY_z or ENERGY_xz
    option: float = 1.0  # everything else is an option

    def __call__(self, joints, training=True): ...
```

An asymmetric one has a field `direction` too, "qp" or "pq", and is asked for as NAME_x_qp,
NAME_x_pq and so on. The facts of the divergences that come with the zoo stand in
`zoo.objectives.divergences`, and `estimates` reads them there.

`needs` and `differentiates` say what the term asks of conditionals and prior. Their defaults are
those of a divergence of samples on its space; a term that evaluates a density says so, as `REC_x`
does. Models compare them with what their parts can do before anything is trained.
"""

from __future__ import annotations

import abc
import dataclasses
import itertools
from collections.abc import Callable
from typing import Any, ClassVar, Literal, Protocol

from zoo import errors
from zoo.objectives import capabilities, divergences
from zoo.objectives.divergences import Side
from zoo.terms.estimate import Estimate

# Samples of q and p on a space. Samples of p(x) are decoded from those of p(z).
DIFFERENTIATED = {
    "x": frozenset({"x_p", "z_p"}),
    "z": frozenset({"z_q", "z_p"}),
    "xz": frozenset({"z_q", "x_p", "z_p"}),
}
# How a term's surrogate depends on the prior: not at all; on its density, or on moments in closed
# form, so that any prior that learns gets the gradient; on samples, which must then carry it; or in
# a way that is right for a fixed prior alone.
Reading = Literal["none", "density", "samples", "fixed"]


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
    def condition(self) -> Any:
        """The condition c of each example, [B, ...], under q and p alike; None without one."""

    @property
    def posterior(self) -> Any:
        """q(z|x) at x_q, batch shape [B]; q(z|x,c) where there is a condition."""

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

    def log_q_z_given(self, x: Any) -> Any:
        """log q(z|x) at z_p and the images x in place of x_p, [B], nats."""

    @property
    def q_weights(self) -> Any:
        """The probability of each pair under q, [B], if all pairs are listed; `None` if drawn."""

    @property
    def p_weights(self) -> Any:
        """The probability of each pair under p, [B], likewise."""

    def expect_q(self, values: Any) -> Any:
        """E_q of `values` [B] at samples of q."""

    def expect_p(self, values: Any) -> Any:
        """E_p of `values` [B] at samples of p."""

    def expect_data(self, values: Any) -> Any:
        """E_q(x) of `values` [B] at the data."""

    def samples(self, space: str) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Samples of q and of p on "x", "z" or "xz": a tuple of one or two tensors each."""
        ...

    def remembered(self, space: str) -> tuple[tuple[Any, ...], tuple[Any, ...]] | None:
        """`samples` with earlier ones among the generated, for critics; None if none are kept."""
        ...

    def gathered(self, *values: Any) -> tuple[Any, ...]:
        """`values` [B, ...] of the whole batch, where replicas share it; else as they are.

        For what is no mean over examples, and is made of nothing else that differs by replica.
        """
        ...

    def noise(self, draw: Callable[[Any, Any], Any], size: Any, name: str) -> Any:
        """Noise [B, ...] of the term `name` itself, of `draw`, which takes a shape and a seed."""

    def stream(self, name: str) -> Any:
        """A seed for the noise of the term `name` itself, another one for each name and step."""


class Term(abc.ABC):
    """A term of an objective, ready to be estimated on samples of the joints.

    Subclasses are frozen dataclasses. Their fields are the options, except `space`, `direction` and
    `critic`. A term whose class does not say from which side it estimates is taken to say nothing:
    certificates then look for bounds elsewhere.

    `needs` and `differentiates` are what training asks of q(z|x), p(x|z) and p(z): class attributes
    or properties, as in `zoo.objectives.capabilities`.

    Attributes:
      divergence: what is estimated, by its name in a constraint; None for what is no divergence.
    """

    registered: ClassVar[str]
    divergence: ClassVar[str | None] = None
    estimator_name: ClassVar[str | None] = None  # for a term that several classes estimate
    spaces: ClassVar[tuple[str, ...]] = ()  # () if its name does not say the space
    directions: ClassVar[tuple[str, ...]] = ()  # () if its name does not say the direction
    needs_critic: ClassVar[bool] = False
    # Whether it is the mean over c of what it is given each c, where joints have a condition: for
    # "any" condition, for one of "classes" alone, or for "none".
    conditions: ClassVar[Literal["any", "classes", "none"]] = "none"

    @property
    def name(self) -> str:
        """The name in coefficients and metrics, such as "REC_x", "MMD_z" or "CHI2_x_pq"."""
        return _full_name(self.registered, *(getattr(self, field) for field in _named_by(self)))

    @property
    def needs(self) -> capabilities.Needs:
        """What it needs of whom, such as {"q(z|x)": ("density",)}: nothing beside samples."""
        return {}

    @property
    def differentiates(self) -> frozenset[str]:
        """Which of z_q, x_p and z_p its surrogate passes gradients through: those it compares."""
        return DIFFERENTIATED.get(getattr(self, "space", ""), frozenset())

    def asks(self, posterior: Any, prior: Any) -> tuple[capabilities.Needs, frozenset[str]]:
        """Returns `needs` and `differentiates` where q(z|x) and p(z) are of these kinds.

        For terms that have a closed form for some.

        Raises:
          InputError: an option asks for a closed form that there is not.
        """
        return self.needs, self.differentiates

    @property
    def side(self) -> Side:
        """From which side the estimate's expectation bounds the term."""
        return (
            "neither" if self.divergence is None else divergences.divergence(self.divergence).side
        )

    @abc.abstractmethod
    def __call__(self, joints: Joints, training: bool = True) -> Estimate:
        """Returns the term's estimate on `joints`; `training` is passed on to the critic."""

    def reads_prior(self, prior: Any) -> Reading:
        """Returns how the surrogate's gradient reaches the variables of `prior`, a distribution."""
        return "samples"

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """The names of what can be chosen about this term."""
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]
        chosen_by_name = ("space", "direction", "critic")
        return tuple(field.name for field in fields if field.name not in chosen_by_name)

    def get_config(self) -> dict[str, Any]:
        """Returns plain data such that `make(**config, critic=critic)` is this term again."""
        estimator = {"estimator": self.estimator_name} if self.estimator_name else {}
        options = {option: getattr(self, option) for option in self.options()}
        return {"name": self.name} | estimator | options


# By name and, for a term that several classes estimate, the estimator's name.
_REGISTRY: dict[tuple[str, str | None], type[Term]] = {}

# Of a KL: it needs samples alone, where Stein's needs the gradient of a density.
_DEFAULT_ESTIMATOR = "ratio"


def register(name: str, estimator: str | None = None) -> Callable[[type[Term]], type[Term]]:
    """Returns the class decorator that makes a term known as `name` (or `name_space`, ...).

    Args:
      name: What the term is asked for by, apart from its space and direction.
      estimator: Which of several classes that estimate the same term this is: the value of the
        option `estimator` that chooses it.
    """

    def decorate(cls: type[Term]) -> type[Term]:
        cls.registered, cls.estimator_name = name, estimator
        _REGISTRY[name, estimator] = cls
        return cls

    return decorate


def estimates(name: str) -> Callable[[type[Term]], type[Term]]:
    """Returns the class decorator of what estimates the divergence `name`.

    Directions, side and critic follow from the facts; spaces are all, unless the class has fewer.
    """
    facts = divergences.divergence(name)

    def decorate(cls: type[Term]) -> type[Term]:
        cls.divergence, cls.needs_critic = facts.name, facts.critic
        cls.directions = () if facts.symmetric else ("qp", "pq")
        cls.spaces = cls.spaces or divergences.SPACES
        return register(facts.name)(cls)

    return decorate


def find(name: str, estimator: str | None = None) -> type[Term]:
    """Returns the class of the term `name`; arguments and errors as in `critic_space`."""
    return _find(name, estimator)[0]


def available() -> set[str]:
    """Returns the names of all terms that can be trained, such as "REC_x" and "MMD_z"."""
    return set(_full_names())


def critic_space(name: str, estimator: str | None = None) -> str | None:
    """Returns the space ("x", "z" or "xz") whose critic the term `name` needs, or `None`.

    Args:
      name: A full name, as in `make`.
      estimator: Which one, where several estimate the term; its default if `None`.

    Raises:
      InputError: if there is no such term, or no such estimator of it.
    """
    cls, fields = _find(name, estimator)
    return (fields.get("space") or getattr(cls, "space", None)) if cls.needs_critic else None


def make(name: str, critic: Any = None, **options: Any) -> Term:
    """Returns the term called `name`.

    Args:
      name: A full name such as "RATE", or a divergence with its space and, if it is asymmetric, its
        direction, such as "MMD_z" and "CHI2_x_pq".
      critic: For terms with `needs_critic`, a Keras model that gives one logit per example, high
        where samples look drawn from q (for RATE_ratio and RATE_p: from the joint, not the product
        of marginals). It is called on x, on z, or on [x, z].
      **options: The term's options, see its class. Where several classes estimate the term, such as
        "ratio" and "stein" do Dz_qp, the option `estimator` chooses between them.

    Raises:
      InputError: if the term, an option or an option's value is unknown, or a critic is missing.
    """
    cls, fields = _find(name, options.get("estimator"))
    if cls.estimator_name:
        options.pop("estimator", None)
    for option in options:
        if not cls.options():
            raise errors.InputError(f"Unknown option {option!r}: {name} has no options.")
        if option not in cls.options():
            raise errors.unknown("option", option, cls.options())
    if cls.needs_critic and critic is None:
        raise errors.InputError(f"{name} needs a critic: pass critic=a model that gives a logit.")
    if critic is not None and not cls.needs_critic:
        raise errors.InputError(f"{name} needs no critic: leave out critic=.")
    if cls.needs_critic:
        options["critic"] = critic
    return cls(**options, **fields)


def _find(name: str, estimator: str | None) -> tuple[type[Term], dict[str, str]]:
    """Returns the class of the term `name`, and the fields that its name determines."""
    full_names = _full_names()
    if name not in full_names:
        raise errors.unknown("term", name, full_names)
    classes = full_names[name]
    if None in classes:
        return classes[None]
    estimator = estimator or _DEFAULT_ESTIMATOR
    if estimator not in classes:
        raise errors.unknown(f"estimator of {name}", estimator, map(str, classes))
    return classes[estimator]


def _full_names() -> dict[str, dict[str | None, tuple[type[Term], dict[str, str]]]]:
    found: dict[str, dict[str | None, tuple[type[Term], dict[str, str]]]] = {}
    for (registered, estimator), cls in _REGISTRY.items():
        named_by = _named_by(cls)
        for values in itertools.product(*named_by.values()):
            fields = dict(zip(named_by, values, strict=True))
            found.setdefault(_full_name(registered, *values), {})[estimator] = cls, fields
    return found


def _named_by(term: Term | type[Term]) -> dict[str, tuple[str, ...]]:
    """Returns the fields that are part of the term's name, with the values they can have."""
    fields = {"space": term.spaces, "direction": term.directions}
    return {field: values for field, values in fields.items() if values}


def _full_name(*parts: str) -> str:
    return "_".join(parts)
