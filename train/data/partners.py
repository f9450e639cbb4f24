"""Functions that make an image's partner in another space, so that the true pairing is known.

Each takes images [N, H, W, C], uint8 or float32 in [0, 1], and keeps their dtype.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
from PIL import Image

from zoo.errors import InputError, unknown


def rotated(images: np.ndarray, stream: int) -> np.ndarray:
    """Returns the images turned by 90 degrees, counter-clockwise."""
    if images.shape[1] != images.shape[2]:
        raise InputError(
            f"Images of {images.shape[1]}x{images.shape[2]} cannot be paired with rotated ones: "
            "use square images, or --pair=edges."
        )
    return np.ascontiguousarray(np.rot90(images, axes=(1, 2)))


def tilted(images: np.ndarray, stream: int) -> np.ndarray:
    """Returns the images turned by 30 degrees, counter-clockwise, black beyond their border."""
    grey = images if images.dtype == np.uint8 else np.rint(255 * images).astype(np.uint8)
    turned = np.stack([_turned(image) for image in grey])
    return turned if images.dtype == np.uint8 else turned.astype(images.dtype) / 255


def _turned(image: np.ndarray) -> np.ndarray:
    flat = image[..., 0] if image.shape[-1] == 1 else image
    turned = Image.fromarray(flat).rotate(30, Image.Resampling.BILINEAR)
    return np.asarray(turned).reshape(image.shape)


def edges(images: np.ndarray, stream: int) -> np.ndarray:
    """Returns the edges of the images, their morphological gradient.

        z(r) = max_{s in N(r)} x(s) - min_{s in N(r)} x(s)

    N(r) is the pixel r with its four neighbours; pixels beyond the border are black. A filled
    shape becomes its outline, two pixels wide. Rivest et al. "Morphological gradients." J.
    Electronic Imaging 2, 1993.
    """
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    around = (
        padded[:, 1:-1, 1:-1],
        padded[:, :-2, 1:-1],
        padded[:, 2:, 1:-1],
        padded[:, 1:-1, :-2],
        padded[:, 1:-1, 2:],
    )
    dilated, eroded = around[0].copy(), around[0].copy()
    for neighbour in around[1:]:
        np.maximum(dilated, neighbour, out=dilated)
        np.minimum(eroded, neighbour, out=eroded)
    return dilated - eroded


def coloured(images: np.ndarray, stream: int) -> np.ndarray:
    """Colours grey images [N, H, W, 1] to [N, H, W, 3], each with a different hue.

        z = x * rgb(hue, saturation 1, value 1),   hue ~ U[0, 1)

    Hues depend on `stream` and not on a run's seed. x does not determine the hue, so z determines
    its partner x, but x determines z only up to colour.
    """
    if images.shape[3] != 1:
        raise InputError(
            f"Images of {images.shape[3]} channels cannot be paired with coloured ones: "
            "use grey images, or --pair=rotated."
        )
    hues = np.random.RandomState(stream).uniform(size=len(images))
    colours = np.array([colorsys.hsv_to_rgb(hue, 1.0, 1.0) for hue in hues], np.float32)
    painted = images * colours[:, None, None, :]
    return np.rint(painted).astype(np.uint8) if images.dtype == np.uint8 else painted


KINDS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "rotated": rotated,
    "tilted": tilted,
    "edges": edges,
    "coloured": coloured,
}


def get(kind: str) -> Callable[[np.ndarray, int], np.ndarray]:
    """Returns the function called `kind`, from images and a random stream to partners.

    Raises:
      InputError: there is no such kind.
    """
    if kind not in KINDS:
        raise unknown("kind of pair", kind, KINDS)
    return KINDS[kind]
