"""A user's own networks: found by "module:name", and measured by a call on zeros."""

from __future__ import annotations

import contextlib
import inspect
import random
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo import errors, imports
from zoo.networks.construction import Role

# The functions of a network, and how many sizes each is given; see `zoo.networks.get`.
ROLES = {
    "encoder": 2,
    "implicit_encoder": 3,
    "decoder": 3,
    "translator": 3,
    "critic_x": 1,
    "critic_z": 1,
    "critic_xz": 2,
}
_EXAMPLES = 2  # of a call on zeros; of one, a network may lose the axis
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def module_of(name: str) -> str | None:
    """Returns "my_parts" of the network "my_parts:name"; None for a network of zoo."""
    module, colon, _ = name.partition(":")
    return module if colon else None


def find(name: str) -> Any:
    """Returns the object called "module:name", which has functions named after roles.

    The module is looked up, not imported: a name may come from a stranger's config.json.

    Raises:
      InputError: the module is not imported, or has no such object.
    """
    module, _, attribute = name.partition(":")
    if sys.modules.get(module) is None:
        raise imports.needed([module], f"The network {name!r}")
    parts = getattr(sys.modules[module], attribute, None)
    if parts is None:
        public = [each for each in vars(sys.modules[module]) if not each.startswith("_")]
        raise errors.unknown(f"network of {module}", attribute, public)
    if not any(callable(getattr(parts, role, None)) for role in ROLES):
        raise errors.InputError(
            f"The network {name!r} has none of the functions {', '.join(ROLES)}: give it those "
            "that the objective needs."
        )
    return parts


def roles(name: str) -> dict[str, Role]:
    """Returns the parts of the network called "module:name", by role; raises as `find`."""
    parts = find(name)
    found = {role: getattr(parts, role, None) for role in ROLES}
    return {role: OwnRole(role, f) for role, f in found.items() if callable(f)}


class OwnRole(Role):
    """A user's function, or class, that builds one role's network.

    Its options are what it takes beyond the sizes of its role. Of `seed`, `precision`,
    `spectral_norm`, `squash` and `condition_shape`, which zoo gives, it is given those it has.

    Raises:
      InputError: what it returns is no Keras model.
    """

    def __init__(self, role: str, function: Callable[..., Any]) -> None:
        self.role = role
        self._function = function
        # Keras' classes have a __new__ that takes anything.
        target = function.__init__ if inspect.isclass(function) else function
        parameters = list(inspect.signature(target).parameters.values())
        parameters = parameters[1:] if inspect.isclass(function) else parameters
        by_place = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        named = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        self.options = (*by_place[ROLES[role] :], *named)

    def __call__(self, *sizes: Any, **options: Any) -> keras.Model:
        seed = options.get("seed")
        taken = {name: value for name, value in options.items() if name in self.options}
        with _seeded(f"{seed}/{self.role}"):
            network = self._function(*sizes, **taken)
        return model(network, f"What the function {self.role} returns")


@contextlib.contextmanager
def _seeded(seed: str) -> Iterator[None]:
    """Makes the initial weights of layers without a seed a function of this one.

    Keras draws their seeds from Python's generator, which is put back.
    """
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


def model(network: Any, what: str) -> keras.Model:
    """Returns `network` if it is a Keras model, else raises InputError about `what`."""
    if not isinstance(network, keras.Model):
        raise errors.InputError(
            f"{what} is of type {type(network).__name__}: give a keras.Model, Functional or "
            "subclassed."
        )
    return network


def is_functional(network: Any) -> bool:
    """Whether a model knows its inputs and outputs, which a subclassed one does not."""
    return bool(getattr(network, "inputs", None)) and bool(getattr(network, "outputs", None))


def output_shape(
    network: keras.Model, shapes: Sequence[Sequence[int]], what: str, gives: str
) -> tuple[int, ...]:
    """Returns the shape of what a network gives for one example of inputs of `shapes`.

    A subclassed model has no shapes, and no weights, before it is called; a Functional one that
    returns a dict has the shape of what is in it. So both are called on zeros.

    Args:
      what: "The encoder", for errors.
      gives: what it has to return, for errors: "[batch, 32]".

    Raises:
      InputError: the network does not take such inputs, or does not return one tensor for each
        example.
    """
    texts = [f"[{', '.join(map(str, ('batch', *shape)))}]" for shape in shapes]
    taken = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}], a list,"
    zeros = [tf.zeros((_EXAMPLES, *shape)) for shape in shapes]
    try:
        given = network(zeros if len(zeros) > 1 else zeros[0], training=False)
    except Exception as error:  # a user's code may raise anything
        raise errors.InputError(
            f"{what} cannot be called on {taken} ({_reason(error)}): make a network from {taken} "
            f"to {gives}."
        ) from error
    shape = getattr(given, "shape", None)
    if shape is None:
        raise errors.InputError(
            f"{what} returns a {type(given).__name__} where one tensor {gives} is needed."
        )
    if not len(shape) or shape[0] != _EXAMPLES:
        raise errors.InputError(
            f"{what} returns shape {tuple(shape)} for a batch of {_EXAMPLES}: return {gives}."
        )
    return tuple(shape[1:])


def _reason(error: BaseException) -> str:
    """Returns what a call failed for, without the words that Keras puts around it."""
    lines = [_COLOUR.sub("", line).strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("Exception encountered")]
    return f"{type(error).__name__}: {lines[0]}"[:300] if lines else type(error).__name__
