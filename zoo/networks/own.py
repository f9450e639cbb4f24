"""A user's networks: found by "module:name", with shapes measured by a call on zeros."""

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

# The functions of a network, and the number of size arguments of each; see `zoo.networks.get`.
ROLES = {
    "encoder": 2,
    "implicit_encoder": 3,
    "decoder": 3,
    "translator": 3,
    "critic_x": 1,
    "critic_z": 1,
    "critic_xz": 2,
}
_EXAMPLES = 2  # batch size of a call on zeros; a network may drop an axis of length 1
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def module_of(name: str) -> str | None:
    """Returns "my_parts" for the network "my_parts:name"; None for a network of the zoo."""
    module, colon, _ = name.partition(":")
    return module if colon else None


def find(name: str) -> Any:
    """Returns the object called "module:name", with functions named by role.

    The module is not imported, because the name may come from an untrusted config.json.

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
    """Returns the roles of the network called "module:name"; raises as `find`."""
    parts = find(name)
    found = {role: getattr(parts, role, None) for role in ROLES}
    return {role: OwnRole(role, f) for role, f in found.items() if callable(f)}


class OwnRole(Role):
    """A user's function or class that builds the network of one role.

    Its options are its parameters beyond the sizes of its role. The zoo passes `seed`, `precision`,
    `spectral_norm`, `squash` and `condition_shape` if the function has these parameters.

    Raises:
      InputError: the result is not a Keras model.
    """

    def __init__(self, role: str, function: Callable[..., Any]) -> None:
        self.role = role
        self._function = function
        # Keras classes have a __new__ with arbitrary arguments.
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
    """Makes the initial weights of layers without a seed a function of `seed`.

    Keras draws their seeds from Python's generator, whose state is restored afterwards.
    """
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


def model(network: Any, what: str) -> keras.Model:
    """Returns `network`; raises InputError about `what` if it is not a Keras model."""
    if not isinstance(network, keras.Model):
        raise errors.InputError(
            f"{what} is of type {type(network).__name__}: give a keras.Model, Functional or "
            "subclassed."
        )
    return network


def is_functional(network: Any) -> bool:
    """Whether a model is Functional, with known inputs and outputs."""
    return bool(getattr(network, "inputs", None)) and bool(getattr(network, "outputs", None))


def output_shape(
    network: keras.Model, shapes: Sequence[Sequence[int]], what: str, gives: str
) -> tuple[int, ...]:
    """Returns the output shape of a network for one example with inputs of `shapes`.

    The network is called on zeros: a subclassed model has no shapes or weights before, and the
    shapes of a Functional model do not show that it returns a dict.

    Args:
      what: the network's name in error sentences, such as "The encoder".
      gives: the needed output in error sentences, such as "[batch, 32]".

    Raises:
      InputError: the network cannot be called on such inputs, or does not return one tensor with a
        row for each example.
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
    """Returns the reason of a failed call, without the text that Keras adds."""
    lines = [_COLOUR.sub("", line).strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("Exception encountered")]
    return f"{type(error).__name__}: {lines[0]}"[:300] if lines else type(error).__name__
