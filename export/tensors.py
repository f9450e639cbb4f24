"""The tensors of a SavedModel's signatures: names, dtypes and shapes, as TensorFlow states them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

DEFAULT = "serving_default"

_DTYPES = {
    "DT_FLOAT": np.float32,
    "DT_DOUBLE": np.float64,
    "DT_UINT8": np.uint8,
    "DT_INT8": np.int8,
    "DT_INT16": np.int16,
    "DT_INT32": np.int32,
    "DT_INT64": np.int64,
    "DT_UINT32": np.uint32,
    "DT_UINT64": np.uint64,
    "DT_BOOL": np.bool_,
    "DT_STRING": np.object_,  # of bytes
}


@dataclass(frozen=True)
class Spec:
    """A tensor's dtype and shape; None stands for any size, or for any rank."""

    dtype: np.dtype
    shape: tuple[int | None, ...] | None

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Spec:
        """Returns the Spec of a TensorInfo in JSON ("dtype", "tensor_shape").

        Raises:
          ValueError: JSON cannot represent the dtype.
        """
        if info["dtype"] not in _DTYPES:
            raise ValueError(f"JSON cannot represent the dtype {info['dtype']}.")
        shape = info.get("tensor_shape", {})
        if shape.get("unknown_rank"):
            return cls(np.dtype(_DTYPES[info["dtype"]]), None)
        sizes = [int(size.get("size", 0)) for size in shape.get("dim", [])]
        return cls(
            np.dtype(_DTYPES[info["dtype"]]), tuple(None if size < 0 else size for size in sizes)
        )

    @property
    def is_bytes(self) -> bool:
        """Whether the elements are byte strings."""
        return self.dtype == np.object_

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor of `shape` fits."""
        return self.shape is None or (
            len(shape) == len(self.shape)
            and all(own in (None, size) for own, size in zip(self.shape, shape, strict=True))
        )

    def __str__(self) -> str:
        if self.shape is None:
            return "any shape"
        return f"[{', '.join('B' if size is None else str(size) for size in self.shape)}]"


@dataclass(frozen=True)
class Signature:
    """A signature's named inputs and outputs."""

    inputs: Mapping[str, Spec]
    outputs: Mapping[str, Spec]

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> Signature:
        """Returns the Signature of a SignatureDef in JSON."""
        sides = (definition.get(side, {}) for side in ("inputs", "outputs"))
        return cls(
            *({name: Spec.of(info) for name, info in sorted(side.items())} for side in sides)
        )
