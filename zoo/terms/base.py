"""The interface of terms and of the joints they are estimated on, and the registry of terms.

A divergence is a class of this form; see `MMD` for an example, and `JensenShannon` for one with a
critic:

```python
@terms.divergence("ENERGY", describes="energy distance", symmetric=True, side="exact")
@dataclasses.dataclass(frozen=True)
class Energy(terms.Term):
    space: str  # "x", "z" or "xz", for the names ENERGY_x, ENERGY_z and ENERGY_xz
    option: float = 1.0  # every other field is an option

    def __call__(self, joints, training=True): ...
```

An asymmetric divergence also has a field `direction`, "qp" or "pq", for the names NAME_x_qp,
NAME_x_pq and so on. The properties of the zoo's divergences are in `zoo.objectives.divergences`,
where `estimates` reads them.

`needs` and `differentiates` say what the term needs of conditionals and prior. Their defaults fit
a divergence of samples on its space; a term that evaluates a density declares it, as `REC_x` does.
Models compare them with the capabilities of their parts before training.
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
# How a term's surrogate depends on the prior: not at all; through its density or closed-form
# moments, which give any learned prior its gradient; through samples, which must be
# reparameterised; or in a way that is correct only for a fixed prior.
Reading = Literal["none", "density", "samples", "fixed"]


class Joints(Protocol):
    """The interface of the two joints q(x,z) and p(x,z) on which terms are estimated.

    Expectations map per-example values [B] to a scalar. They are methods of the joints, so that a
    table with exact probabilities can replace samples.
    """

    @property
    def x_q(self) -> Any:
        """The data x ~ q(x), [B, ...]."""

    @property
    def z_q(self) -> Any:
        """Latents z ~ q(z|x) of the data x_q, [B, ...]."""

    @property
    def x_p(self) -> Any:
        """Generated x ~ p(x|z) at z_p, [B, ...]."""

    @property
    def z_p(self) -> Any:
        """Latents z ~ p(z), [B, ...]."""

    @property
    def condition(self) -> Any:
        """The condition c of each example, [B, ...], the same under q and p; None without one."""

    @property
    def posterior(self) -> Any:
        """q(z|x) at x_q, batch shape [B]; q(z|x,c) with a condition."""

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
        """log q(z|x) at z_p and the given images x instead of x_p, [B], nats."""

    @property
    def q_weights(self) -> Any:
        """The probability of each pair under q, [B], if pairs are enumerated; None if sampled."""

    @property
    def p_weights(self) -> Any:
        """The probability of each pair under p, [B], if enumerated; None if sampled."""

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
        """`samples`, with some generated ones from a replay buffer for critics; None without it."""
        ...

    def gathered(self, *values: Any) -> tuple[Any, ...]:
        """`values` [B, ...] of the whole batch, gathered over replicas.

        For estimates that are not means over examples. All their other inputs must be equal on all
        replicas.
        """
        ...

    def noise(self, draw: Callable[[Any, Any], Any], size: Any, name: str) -> Any:
        """Noise [B, ...] for the term `name`; `draw` takes a shape and a seed."""

    def stream(self, name: str) -> Any:
        """A seed for the noise of the term `name`, different for each name and step."""


class Term(abc.ABC):
    """A term of an objective, ready to be estimated on samples of the joints.

    Subclasses are frozen dataclasses. Their fields are the options, except `space`, `direction` and
    `critic`. If a class does not say from which side it estimates, its estimate is not used as a
    bound in certificates (verdicts on constraints from held-out data).

    `needs` and `differentiates` say what training needs of q(z|x), p(x|z) and p(z). They are class
    attributes or properties, as in `zoo.objectives.capabilities`.

    Attributes:
      divergence: its name in constraints; None if the term is not a divergence.
    """

    registered: ClassVar[str]
    divergence: ClassVar[str | None] = None
    estimator_name: ClassVar[str | None] = None  # for a term that several classes estimate
    spaces: ClassVar[tuple[str, ...]] = ()  # () if its name does not say the space
    directions: ClassVar[tuple[str, ...]] = ()  # () if its name does not say the direction
    needs_critic: ClassVar[bool] = False
    # For which conditions c the term is the mean over c of its value given c: "any" condition, only
    # "classes", or "none".
    conditions: ClassVar[Literal["any", "classes", "none"]] = "none"

    @property
    def name(self) -> str:
        """The name in coefficients and metrics, such as "REC_x", "MMD_z" or "CHI2_x_pq"."""
        return _full_name(self.registered, *(getattr(self, field) for field in _named_by(self)))

    @property
    def needs(self) -> capabilities.Needs:
        """Its needs, such as {"q(z|x)": ("density",)}; by default none beyond samples."""
        return {}

    @property
    def differentiates(self) -> frozenset[str]:
        """The samples (z_q, x_p, z_p) with gradients in its surrogate; by default all compared."""
        return DIFFERENTIATED.get(getattr(self, "space", ""), frozenset())

    def asks(self, posterior: Any, prior: Any) -> tuple[capabilities.Needs, frozenset[str]]:
        """Returns `needs` and `differentiates` for q(z|x) and p(z) of these kinds.

        Overridden by terms with a closed form for some kinds.

        Raises:
          InputError: an option asks for a closed form that does not exist.
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
        """The names of the term's options."""
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]
        chosen_by_name = ("space", "direction", "critic")
        return tuple(field.name for field in fields if field.name not in chosen_by_name)

    def get_config(self) -> dict[str, Any]:
        """Returns plain data from which `make(**config, critic=critic)` makes an equal term."""
        estimator = {"estimator": self.estimator_name} if self.estimator_name else {}
        options = {option: getattr(self, option) for option in self.options()}
        return {"name": self.name} | estimator | options


# Keys: the term's name, and the estimator's name if several classes estimate the term.
_REGISTRY: dict[tuple[str, str | None], type[Term]] = {}

# The default for KLs: it needs only samples, while Stein's method needs a density's gradient.
_DEFAULT_ESTIMATOR = "ratio"


def register(name: str, estimator: str | None = None) -> Callable[[type[Term]], type[Term]]:
    """Returns the class decorator that registers a term as `name` (or `name_space`, ...).

    Args:
      name: The term's name, without space and direction.
      estimator: If several classes estimate the term, the value of the option `estimator` that
        selects this one.
    """

    def decorate(cls: type[Term]) -> type[Term]:
        cls.registered, cls.estimator_name = name, estimator
        _REGISTRY[name, estimator] = cls
        return cls

    return decorate


def estimates(name: str) -> Callable[[type[Term]], type[Term]]:
    """Returns the class decorator for an estimator of the divergence `name`.

    The registered divergence sets directions, side and critic; the class may limit the spaces.
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
      estimator: The estimator, if several estimate the term; the default if `None`.

    Raises:
      InputError: the term or the estimator is unknown.
    """
    cls, fields = _find(name, estimator)
    return (fields.get("space") or getattr(cls, "space", None)) if cls.needs_critic else None


def make(name: str, critic: Any = None, **options: Any) -> Term:
    """Returns the term called `name`.

    Args:
      name: A full name such as "RATE", or a divergence with its space and, if it is asymmetric, its
        direction, such as "MMD_z" and "CHI2_x_pq".
      critic: For terms with a critic, a Keras model with one logit per example, high for samples
        of q (for RATE_ratio and RATE_p: of the joint, not the product of marginals). It is called
        on x, on z, or on [x, z].
      **options: The term's options, see its class. If several classes estimate the term, as
        "ratio" and "stein" do for Dz_qp, the option `estimator` selects one.

    Raises:
      InputError: the term, an option or an option's value is unknown, or a critic is missing.
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
    """Returns the class of the term `name`, and the fields given by its name."""
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
    """Returns the fields that are part of the term's name, with their possible values."""
    fields = {"space": term.spaces, "direction": term.directions}
    return {field: values for field, values in fields.items() if values}


def _full_name(*parts: str) -> str:
    return "_".join(parts)
