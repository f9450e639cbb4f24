"""Images of a folder, converted to a signature's input: files, uint8 or float32."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from export.tensors import Spec
from train.data import folder
from zoo.errors import InputError

_FILES = (b"\x89PNG", b"\xff\xd8\xff")  # first bytes of the formats that TensorFlow decodes


def payload(file: Path, spec: Spec) -> np.ndarray | bytes:
    """Returns one image: the bytes of a PNG or JPEG file, or pixels [H, W, C], float32 in [0, 1].

    Grey images become colour or colour images grey if `spec` needs it; nothing is resized.

    Raises:
      InputError: the file cannot be read, or the image has another size than `spec`.
    """
    pixels = folder.read(file)
    assert pixels is not None
    if spec.is_bytes:
        content = file.read_bytes()
        return content if content.startswith(_FILES) else _png(pixels)
    channels = spec.shape[-1] if spec.shape else None
    if channels in (1, 3) and channels != pixels.shape[-1]:
        grey = _image(pixels).convert("L" if channels == 1 else "RGB")
        pixels = np.asarray(grey).reshape(*pixels.shape[:2], channels)
    if not spec.takes((1, *pixels.shape)):
        raise InputError(f"The image {file} has shape {list(pixels.shape)}, but {spec} is needed.")
    if spec.dtype.kind == "f":
        return (pixels / spec.dtype.type(255)).astype(spec.dtype)
    return pixels.astype(spec.dtype)


def stacked(payloads: list[np.ndarray | bytes]) -> np.ndarray:
    """Returns a batch of images, [B, H, W, C], or of byte strings, [B]."""
    if isinstance(payloads[0], bytes):
        batch = np.empty(len(payloads), object)
        batch[:] = payloads
        return batch
    return np.stack(payloads)


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)


def _png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    _image(pixels).save(content, "PNG")
    return content.getvalue()
