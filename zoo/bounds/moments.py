"""The normal with the moments of codes, for a lower bound on KL(q(z)||p(z))."""

from __future__ import annotations

import math

import numpy as np

from zoo.errors import InputError


class MomentMatched:
    """The density N(z; m, S) with the mean and the covariance of codes.

        KL(q||p) >= E_q[ log N(z; m, S) - log p(z) ]      for any m and S

    because KL(q||N) >= 0. With S = I and p = N(0, I) the bound is |m|^2 / 2.

    Args:
      codes: [N, K], N at least 2.

    Raises:
      InputError: there are too few codes, or one is not finite.
    """

    def __init__(self, codes: np.ndarray):
        z = np.asarray(codes, np.float64)
        if len(z) < 2 or not np.all(np.isfinite(z)):
            raise InputError(f"There are {len(z)} codes for moments: give two or more, all finite.")
        n, k = z.shape
        self.mean = z.mean(axis=0)
        covariance = np.atleast_2d(np.cov(z, rowvar=False))
        # Few codes have no variance in some directions: the ridge makes the covariance invertible.
        ridge = k / (n + k) * np.trace(covariance) / k + 1e-8
        covariance = n / (n + k) * covariance + ridge * np.eye(k)
        self._root = np.linalg.cholesky(np.linalg.inv(covariance))
        self._constant = np.log(np.diag(self._root)).sum() - 0.5 * k * math.log(2 * math.pi)

    def log_prob(self, z: np.ndarray) -> np.ndarray:
        """Returns log N(z; m, S), float64 [M], at z [M, K]."""
        whitened = (np.asarray(z, np.float64) - self.mean) @ self._root
        return self._constant - 0.5 * np.sum(whitened**2, axis=1)
