"""`four_points`: the toy data of Adversarial Variational Bayes, with non-Gaussian posteriors."""

from __future__ import annotations

import numpy as np

from train.data.splits import Split

NAME = "four_points"
_COPIES = {"train": 1000, "validation": 100, "test": 100}


def load() -> dict[str, Split]:
    """Returns copies of the four 2x2 images with one white pixel, labelled by its position.

    Mescheder et al. "Adversarial Variational Bayes." ICML 2017, section 6.1: with two latent
    dimensions a good posterior divides the plane among the four points, which no product of
    Gaussians can do.
    """
    points = np.eye(4, dtype=np.uint8).reshape(4, 2, 2, 1) * np.uint8(255)
    return {
        name: Split(np.tile(points, (copies, 1, 1, 1)), np.tile(np.arange(4), copies))
        for name, copies in _COPIES.items()
    }
