"""The power of a kernel: the MMD of known failures of q(z), to compare with a tolerance."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.spatial.distance import pdist

from zoo.distributions.conditionals import stateless_seed
from zoo.errors import InputError
from zoo.terms import kernels
from zoo.terms.diagonal_normal import diagonal_normal

SAMPLES = 5_000  # of a prior without closed forms; the N x N kernels take seconds
_MEDIAN_OF = 1000  # samples of each side for a median bandwidth, as in `full_mmd`
_FAILURES = {
    "collapsed": "codes collapsed to one point",
    "twice_as_wide": "codes twice as wide as the prior",
    "shifted": "codes shifted by half a standard deviation",
}


@dataclasses.dataclass(frozen=True)
class KernelPower:
    """The squared MMD between the prior and three failures of q(z), in squared kernel distance.

    With m and s the prior's mean and standard deviations in each dimension, y ~ p(z):

        collapsed      z = m
        twice_as_wide  z = m + 2 (y - m)      N(m, 4 s^2) under a diagonal normal prior
        shifted        z = y + s / 2          in every dimension, so that |shift|^2 = |s|^2 / 4

    Attributes:
      collapsed, twice_as_wide, shifted: the squared MMD of each.
      method: how they were computed, in words.
    """

    collapsed: float
    twice_as_wide: float
    shifted: float
    method: str

    def uninformative(self, at_most: float) -> str | None:
        """Returns a sentence (without full stop) on the failures that a tolerance admits, or None.

        A failure is admitted if its squared MMD is at most `at_most`: meeting the tolerance does
        not exclude it.
        """
        admitted = [
            f"{words}, for which this kernel gives {getattr(self, name):.2g}"
            for name, words in _FAILURES.items()
            if getattr(self, name) <= at_most
        ]
        if not admitted:
            return None
        *others, last = admitted
        listed = f"{', '.join(others)}, and {last}" if others else last
        return f"a tolerance of {at_most:.2g} admits {listed}"


def mmd_power(
    prior: Any,
    kernel: str = "rbf",
    bandwidth: Any = "dim",
    scales: Sequence[float] | None = None,
    seed: int = 0,
) -> KernelPower:
    """Returns the squared MMD of known failures of q(z) with this kernel.

    Between two diagonal normals, averaged over the kernel's scales, with b = scale s2:

        MMD^2 = E(0, 2 v_q) - 2 E(m_q - m_p, v_q + v_p) + E(0, 2 v_p)
        E(m, v) = prod_d sqrt(b / (b + v_d)) exp(-m_d^2 / (2 (b + v_d)))

    Rustamov. "Closed-form Expressions for Maximum Mean Discrepancy with Applications to Wasserstein
    Auto-Encoders." Stat 10(1), 2021. The inverse multiquadric is an average of RBF kernels too,

        1 / (1 + t) = int_0^inf exp(-u) exp(-u t) du                 exp(-u t): scale / u

    computed by quadrature over log u to 1e-9. For other priors each failure is computed from 5000
    samples of the prior, and MMD^2 is the U-statistic of `zoo.metrics.full_mmd`.

    Args:
      prior: p(z), a tfd distribution; or samples of it, [N, ...], if z is a data set.
      kernel, bandwidth, scales: as in `zoo.terms.mmd`. "median" is over 1000 samples of the failure
        and 1000 of the prior, so that each failure has another bandwidth.
      seed: seed of the prior's samples.

    Raises:
      InputError: an option is unknown, or there are fewer than four samples.
    """
    k = kernels.kernel(kernel, scales)
    kernels.check_bandwidth(bandwidth)
    is_distribution = hasattr(prior, "log_prob")
    normal = diagonal_normal(prior) if is_distribution else None
    y = prior
    if is_distribution and (normal is None or _is_median(bandwidth)):
        count = SAMPLES if normal is None else _MEDIAN_OF
        y = prior.sample(count, seed=stateless_seed([seed, 0]))
    if normal is None:
        y = np.asarray(kernels.flatten(y))
        if len(y) < 4:
            raise InputError(f"There are {len(y)} samples for a kernel's power: give four or more.")
        return _of_samples(y, kernel, bandwidth, scales)
    m, s = (np.asarray(x, np.float64).ravel() for x in (normal.mean(), normal.stddev()))
    values = []
    for loc, scale in ((m, 0.0 * s), (m, 2.0 * s), (m + s / 2, s)):
        if _is_median(bandwidth):
            points = np.asarray(kernels.flatten(y), np.float64)
            both = np.concatenate([loc + scale * (points - m) / s, points])
            s2 = float(np.median(pdist(both, "sqeuclidean")))
        else:
            s2 = float(len(m) if isinstance(bandwidth, str) else bandwidth)
        values.append(_between_normals(k, s2, loc - m, scale**2, s**2))
    method = f"closed form, {kernel} kernel and a diagonal normal prior"
    return KernelPower(values[0], values[1], values[2], method)


def _of_samples(y: np.ndarray, kernel: str, bandwidth: Any, scales: Any) -> KernelPower:
    """Returns the power under a prior with samples [N, D]."""
    from zoo.metrics.full_mmd import full_mmd

    m, s = y.mean(axis=0), y.std(axis=0)
    # Row i of a failure is a function of y_i, which the U-statistic never compares with it: the
    # statistic stays unbiased, and much of the noise of q and p cancels.
    failures = (np.broadcast_to(m, y.shape), m + 2.0 * (y - m), y + s / 2)
    values = [full_mmd(z, y, kernel, bandwidth, scales).value for z in failures]
    method = f"U-statistic of {len(y)} samples of the prior, {kernel} kernel"
    return KernelPower(values[0], values[1], values[2], method)


def _between_normals(
    k: kernels.Kernel, s2: float, difference: np.ndarray, v_q: np.ndarray, v_p: np.ndarray
) -> float:
    """Returns MMD^2 of two diagonal normals with variances [D] and a difference of means [D]."""
    shares, bandwidths = _rbf_mixture(k, s2)

    def expected(m: np.ndarray, v: np.ndarray) -> np.ndarray:
        b = bandwidths[:, np.newaxis]
        # log E(m, v) = -1/2 sum_d [ log(1 + v_d / b) + m_d^2 / (b + v_d) ]
        return np.exp(-0.5 * np.sum(np.log1p(v / b) + m**2 / (b + v), axis=1))

    zero = np.zeros_like(difference)
    # MMD^2 = E(0, 2 v_q) - 2 E(m_q - m_p, v_q + v_p) + E(0, 2 v_p)
    found = expected(zero, 2 * v_q) - 2 * expected(difference, v_q + v_p) + expected(zero, 2 * v_p)
    return float(shares @ found)


def _rbf_mixture(k: kernels.Kernel, s2: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns weights and bandwidths of RBF kernels whose mixture is the kernel."""
    b = np.array(k.scales, np.float64) * s2
    if k.profile is kernels.rbf:
        return np.full(len(b), 1.0 / len(b)), b
    # int_0^inf exp(-u) f(u) du over t = log u: 4e-18 of the mass is below -40, less is above 5.
    t = np.linspace(-40.0, 5.0, 2251)
    u = np.exp(t)
    weights = u * np.exp(-u)
    weights /= weights.sum()
    bandwidths = (b[:, np.newaxis] / u).ravel()
    return np.tile(weights, len(b)) / len(b), bandwidths


def _is_median(bandwidth: Any) -> bool:
    return isinstance(bandwidth, str) and bandwidth == "median"
