"""The information I_q(x;z) with a kernel density estimate of q(z)."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from zoo.distributions.conditionals import stateless_seed
from zoo.errors import InputError
from zoo.metrics.batches import BLOCK, in_batches
from zoo.metrics.measured import Measured
from zoo.terms import kernels

_FACTORS = tuple(2.0**power for power in np.arange(-3.0, 1.5, 0.5))
_TRIED = 2000  # codes for the choice of the kernel width


def mutual_information_by_kernels(
    model: Any, images: Any, seed: int = 0, factor: float | None = None
) -> Measured:
    """Estimates the information between data and codes, with kernels on N codes.

        I_q(x;z) = E_q(x,z)[ log q(z|x) - log q(z) ]                       [U] eq. 21
        q(z_i)  ~= 1/(N-1) sum_{j != i} N(z_i | z_j, h^2 Cov),   z_j ~ q(z|x_j)

    Cov is the codes' covariance; h maximises the log density of half of the codes under kernels on
    the other half. The kernel of the code itself is left out, so that -E log q(z) is in expectation
    at least the entropy, and the estimate at least I_q(x;z). It is too high because kernels blur,
    which grows fast with the dimension. The blur decreases as N^-r, r = 4 / (K + 4), so that
    kernels on half of the codes give an estimate of it:

        blur ~= (E log q_N(z) - E log q_{N/2}(z)) / (2^r - 1)

    With 1000 normal codes in 5 and in 10 dimensions this was three quarters of the true blur; with
    codes in narrow clusters, a third. So the interval has no lower end.

    Prefer `mutual_information`, which uses q(z|x_j) in place of kernels; this estimator is that of
    [U].

    Args:
      model: has `encode(x)`, a tfd distribution.
      images: [N, ...], or batches [B, ...] of them.
      seed: seed of the codes.
      factor: h; chosen from the codes if None.

    Raises:
      InputError: there are fewer than ten images, codes are discrete, lie in a subspace, or h is
        not positive.
    """
    if factor is not None and not factor > 0:
        raise InputError(f"The kernels' factor is {factor!r}: give a positive number or None.")
    codes, log_own = [], []
    for index, x in enumerate(in_batches(images)):
        posterior = model.encode(x)
        if posterior.reparameterization_type != tfp.distributions.FULLY_REPARAMETERIZED:
            raise InputError(
                "Kernels estimate densities, and these codes are discrete: use mutual_information."
            )
        z = posterior.sample(seed=stateless_seed([seed, index]))
        codes.append(z.numpy())
        log_own.append(posterior.log_prob(z).numpy())
    n = sum(map(len, codes))
    if n < 10:
        raise InputError(f"There are {n} images for a kernel density: give ten or more.")
    z = np.concatenate(codes).astype(np.float64)
    e, log_det = whitened(z)
    order = np.random.default_rng(seed).permutation(n)
    h = factor or width(e[order[:_TRIED]], n)
    # log q(z) = log q(e) - log |L|,   z = L e
    log_density = log_kernel_density(e, e, h, without_own=True) - log_det
    found = Measured.of_mean(
        np.concatenate(log_own).astype(np.float64) - log_density,
        f"kernel density of {n} codes, {h:.3g} times their covariance's root",
        ceiling=math.log(n),
    )
    lost = blur(e[order], h, float(log_density.mean()) + log_det)
    note = (
        f"a bound from above: too high in expectation, by about {lost:.2g} that kernels blur, or "
        f"more where codes lie in narrow clusters; above log N = {math.log(n):.2f} it is all blur"
    )
    return dataclasses.replace(found, notes=(note,)).at_most()


def log_kernel_density(z: Any, points: Any, h: float, without_own: bool = False) -> np.ndarray:
    """Returns the log of a density of normal kernels.

        log q(z_i) = log 1/M sum_j N(z_i | points_j, h^2 I)

    Args:
      z: [N, K].
      points: [M, K].
      h: the kernels' standard deviation.
      without_own: whether to leave out the i-th point for the i-th z, and divide by M - 1.

    Returns:
      log q(z_i), float64 [N], nats.
    """
    z, points = np.asarray(z, np.float32), np.asarray(points, np.float32)
    log_sum = np.full(len(z), -np.inf)
    for start in range(0, len(z), BLOCK):
        part = slice(start, start + BLOCK)
        for first in range(0, len(points), 8 * BLOCK):
            others = points[first : first + 8 * BLOCK]
            # -|z_i - z_j|^2 / (2 h^2)
            exponent = -kernels.squared_distances(z[part], others) / (2.0 * h**2)
            if without_own:
                rows, columns = np.arange(len(z[part])) + start, np.arange(len(others)) + first
                exponent = tf.where(rows[:, None] == columns, -math.inf, exponent)
            block = tf.reduce_logsumexp(exponent, axis=1).numpy()
            log_sum[part] = np.logaddexp(log_sum[part], block)
    # log 1/M (2 pi h^2)^(-K/2)
    k = z.shape[1]
    return log_sum - math.log(len(points) - without_own) - k * math.log(h * math.sqrt(2 * math.pi))


def whitened(z: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns e = L^-1 (z - mean) with covariance I, and log |L|."""
    covariance = np.atleast_2d(np.cov(z, rowvar=False))
    try:
        root = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        raise InputError(
            f"{len(z)} codes of length {z.shape[1]} lie in a subspace: give more images, or a "
            "model whose codes fill their space."
        ) from None
    e = np.linalg.solve(root, (z - z.mean(axis=0)).T).T
    return e, float(np.sum(np.log(np.diag(root))))


def width(e: np.ndarray, n: int) -> float:
    """Returns h for n points: the best multiple of Silverman's, by cross-validation of halves."""
    half, k = len(e) // 2, e.shape[1]

    def usual(points: int) -> float:
        # (4 / ((K + 2) N))^(1 / (K + 4)), the best for normal densities: Silverman 1986, eq. 4.14
        return (4.0 / ((k + 2) * points)) ** (1.0 / (k + 4))

    scores = [log_kernel_density(e[:half], e[half:], f * usual(half)).mean() for f in _FACTORS]
    return usual(n) * _FACTORS[int(np.argmax(scores))]


def blur(e: np.ndarray, h: float, whole: float) -> float:
    """Returns the downward bias of `whole`, the value of E log q(e) with kernels on all codes."""
    half, rate = len(e) // 2, 4.0 / (e.shape[1] + 4)
    # the best width is larger for fewer points: N^(-1 / (K + 4)), and K + 4 = 4 / rate
    wider = h * 2.0 ** (rate / 4)
    one, other = e[:half], e[half:]
    halved = [log_kernel_density(one, other, wider), log_kernel_density(other, one, wider)]
    # (E log q_N - E log q_{N/2}) / (2^r - 1)
    return max(0.0, (whole - float(np.concatenate(halved).mean())) / (2.0**rate - 1.0))
