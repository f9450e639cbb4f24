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
    def of(cls, data: Any, model: Any) -> Batch:
        """Returns `data` as the batch that `model` is to read.

            x                     images alone
            (x, second)           second is z where the prior is a data set, c where the model has
                                  a condition; else labels, which are left alone
            Batch(x, z, c)        itself

        Args:
          data: one of these, as `fit` and data sets give it.
          model: has `prior_layer`, and `condition`, None where it is unconditional.
        """
        if isinstance(data, cls):
            return data
        if not isinstance(data, tuple | list):
            return cls(data)
        x, second = data[0], data[1] if len(data) > 1 else None
        if second is None:
            return cls(x)
        if model.prior_layer.is_data:
            return cls(x, z=second)
        return cls(x, c=second) if model.condition is not None else cls(x)

    def parts(self) -> tuple[Any, Any, Any]:
        """Returns x, z and c, None for an absent one."""
        return self.x, *(None if isinstance(part, tuple) else part for part in (self.z, self.c))
