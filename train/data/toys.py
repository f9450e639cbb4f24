"""`four_points`: the toy of Adversarial Variational Bayes, whose posteriors are known to be odd."""

from __future__ import annotations

import numpy as np

from train.data.splits import Split

NAME = "four_points"
_COPIES = {"train": 1000, "validation": 100, "test": 100}


def load() -> dict[str, Split]:
    """Returns copies of the four 2x2 images with one white pixel, labelled by its place.

    Mescheder et al. "Adversarial Variational Bayes." ICML 2017, section 6.1: with a latent of two
    dimensions a good posterior tiles the plane, one point to a quarter, which no product of
    Gaussians can.
    """
    points = np.eye(4, dtype=np.uint8).reshape(4, 2, 2, 1) * np.uint8(255)
    return {
        name: Split(np.tile(points, (copies, 1, 1, 1)), np.tile(np.arange(4), copies))
        for name, copies in _COPIES.items()
    }
