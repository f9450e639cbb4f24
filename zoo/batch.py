"""A batch as it goes from the data to the joints: images x, and latents z or a condition c."""

from __future__ import annotations

from typing import Any, NamedTuple


class Batch(NamedTuple):
    """Images x, samples z of a prior that is a data set, and the condition c of each example.

    An absent part is the empty tuple, which holds no tensor: tf.data, loops and strategies take a
    batch as it is. `parts` gives None for it.
    """

    x: Any
    z: Any = ()
    c: Any = ()

    @classmethod
    def of(cls, data: Any, paired: bool = False, conditional: bool = False) -> Batch:
        """Returns `data`, as `fit` and data sets give it, as a batch.

        x              images alone
        (x, second)    second is z if `paired`, c if `conditional`; else labels, left alone
        Batch          itself
        """
        if isinstance(data, cls):
            return data
        if not isinstance(data, tuple | list):
            return cls(data)
        x, second = data[0], data[1] if len(data) > 1 else None
        if second is None or not (paired or conditional):
            return cls(x)
        return cls(x, z=second) if paired else cls(x, c=second)

    @classmethod
    def to(cls, model: Any, data: Any) -> tuple[Any, Any, Any]:
        """Returns x, z and c, None for an absent one, of `data` as `model` is to read it."""
        paired = bool(getattr(getattr(model, "prior", None), "is_data", False))
        return cls.of(data, paired, getattr(model, "condition", None) is not None).parts()

    def parts(self) -> tuple[Any, Any, Any]:
        """Returns x, z and c, None for an absent one."""
        return self.x, *(None if isinstance(part, tuple) else part for part in (self.z, self.c))
