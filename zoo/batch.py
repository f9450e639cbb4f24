"""A batch of data: images x, and latents z or a condition c."""

from __future__ import annotations

from typing import Any, NamedTuple

from zoo.errors import InputError


class Batch(NamedTuple):
    """A batch: images x, samples z if the prior is a data set, and the condition c.

    An absent part is the empty tuple, which holds no tensor, so that tf.data, loops and strategies
    accept a batch. `parts` returns None for it.
    """

    x: Any
    z: Any = ()
    c: Any = ()

    @classmethod
    def of(cls, data: Any, paired: bool = False, conditional: bool = False) -> Batch:
        """Returns the batch of `data` in a form that `fit` and data sets use.

        x              images alone
        (x, second)    second is z if `paired`, c if `conditional`; else labels, which are ignored
        Batch          a batch, unchanged

        Raises:
          InputError: a third part, sample weights or class weights, is given.
        """
        if isinstance(data, cls):
            return data
        if not isinstance(data, tuple | list):
            return cls(data)
        if len(data) > 2 and data[2] is not None:
            raise InputError("Sample weights and class weights are not used: leave them out.")
        x, second = data[0], data[1] if len(data) > 1 else None
        if second is None or not (paired or conditional):
            return cls(x)
        return cls(x, z=second) if paired else cls(x, c=second)

    @classmethod
    def to(cls, model: Any, data: Any) -> tuple[Any, Any, Any]:
        """Returns x, z and c of `data` in the form that `model` needs; None for an absent one."""
        return cls.of(data, *cls.kind(model)).parts()

    @staticmethod
    def kind(model: Any) -> tuple[bool, bool]:
        """Returns whether `model` reads pairs (x, z) of two data sets, and whether it reads c."""
        paired = bool(getattr(getattr(model, "prior", None), "is_data", False))
        return paired, getattr(model, "condition", None) is not None

    def parts(self) -> tuple[Any, Any, Any]:
        """Returns x, z and c, None for an absent one."""
        return self.x, *(None if isinstance(part, tuple) else part for part in (self.z, self.c))
