"""MMD over a whole data set, with its interval."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import optimize, stats

from zoo.distributions.conditionals import stateless_seed
from zoo.errors import InputError
from zoo.metrics.measured import NORMAL_95, Measured
from zoo.terms import kernels
from zoo.terms.diagonal_normal import diagonal_normal

_MEDIAN_OF = 1000  # examples of each side for a median bandwidth
_VARIANCE_OF = 1000  # examples for the largest variance
_NORMAL_FROM = 1e5  # degrees or noncentrality above which chi square is practically normal


def full_mmd(
    q: Any,
    p: Any,
    kernel: str = "rbf",
    bandwidth: Any = "dim",
    scales: Sequence[float] | None = None,
    seed: int = 0,
    block: int = 1024,
) -> Measured:
    """The squared maximum mean discrepancy over all samples, by the U-statistic.

        MMD^2 = 1/(N (N-1)) sum_{i != j} h_ij                    Gretton et al. 2012, eq. 4
        h_ij  = k(z_i, z_j) + k(y_i, y_j) - k(z_i, y_j) - k(z_j, y_i)

    If p is a diagonal normal and the kernel an RBF, the mean over y is in closed form, as in
    `zoo.terms.mmd_to_normal`: h_ij = k(z_i, z_j) - mu(z_i) - mu(z_j) + c.

    MMD^2 is the squared length of a mean of N features, with inner products h_ij. Noise that lowers
    the value also lowers a plain standard error: near q = p, one interval in five would then lie
    below the truth. So the ends are the D at which 2.5% lie beyond the value, by a noncentral chi
    square with the same mean and variance,

        N MMD^2 / rho + nu ~ chi^2_nu(N D / rho),   nu = Var h / rho^2
        Var MMD^2 = 4 rho D / N + 2 Var h / N^2

    where rho is the variance of the features along their mean, Var_i[E_j h_ij] / MMD^2. Near q = p
    noise hides that mean, and rho is the largest variance of the features in any direction. For the
    upper end, a value below the median expected at q = p is replaced by that median.

    The N x N kernels are computed in blocks of block x block, each pair once; memory is that of a
    few blocks (17 MB for 1024).

    Args:
      q: [N, ...], samples of q: the codes or images of a whole data set.
      p: [N, ...], the same number of samples of p; or p, a tfd distribution.
      kernel, bandwidth, scales: as in `zoo.terms.mmd`; "median" is over 1000 samples of each.
      seed: seed of the samples of p, if p is a distribution but not a diagonal normal.
      block: the number of rows and columns of a block.

    Raises:
      InputError: an option is unknown, the samples differ in number or size, or there are fewer
        than four of them.
    """
    k = kernels.kernel(kernel, scales)
    z = kernels.flatten(q)
    n = int(z.shape[0])
    if n < 4:
        raise InputError(f"There are {n} examples for MMD over a data set: give four or more.")
    normal = None
    if hasattr(p, "log_prob"):
        normal = diagonal_normal(p) if k.profile is kernels.rbf else None
        p = p.sample(n, seed=stateless_seed([seed, 0]))
    y = kernels.flatten(p)
    if y.shape != z.shape:
        raise InputError(
            f"MMD compares as many samples of one size: got {tuple(z.shape)} of q and "
            f"{tuple(y.shape)} of p."
        )
    first = slice(0, _MEDIAN_OF)
    s2 = tf.cast(kernels.bandwidth(bandwidth, z[first], y[first]), tf.float32)
    if normal is None:
        h = _of_samples(k, s2, z, y)
        estimator = f"U-statistic of {n} and {n} samples, {kernel} kernel"
    else:
        h = _to_normal(k, s2, z, normal)
        estimator = f"U-statistic of {n} samples, {kernel} kernel, exact normal"
    found = _pairs(h, n, block)
    interval = (math.nan, math.nan)
    if math.isfinite(found.value):
        interval = _interval(found, _largest_variance(h, n))
    return Measured(found.value, interval, n, estimator, units="squared kernel distance")


def full_mmd_of(term: Any, q: Any, p: Any, seed: int = 0) -> Measured:
    """The squared maximum mean discrepancy of an MMD term, by `full_mmd`.

    It uses the term's kernel, bandwidth and scales, but not its estimator: "u" and "linear" have
    the same mean as `full_mmd`, and a note states the bias of "v".

    Args:
      term: a `zoo.terms.MMD`.
      q, p, seed: as in `full_mmd`.

    Raises:
      InputError: as `full_mmd`.
    """
    found = full_mmd(q, p, term.kernel, term.bandwidth, term.scales, seed)
    notes = []
    if term.estimator == "v":
        notes.append(
            "training estimates it by the V-statistic, which at batches of n is too high by about "
            "2 (1 - E k) / n"
        )
    if isinstance(term.bandwidth, str) and term.bandwidth == "median":
        notes.append(
            f"the median bandwidth is over {min(found.size, _MEDIAN_OF)} samples of each, in "
            "training over those of a batch"
        )
    return dataclasses.replace(found, notes=(*found.notes, *notes))


def _of_samples(k: kernels.Kernel, s2: Any, z: tf.Tensor, y: tf.Tensor) -> Any:
    """Returns a function from two slices to h, [rows, columns]."""

    def h(z_i: Any, y_i: Any, z_j: Any, y_j: Any) -> Any:
        def gram(a: Any, b: Any) -> Any:
            return k(kernels.squared_distances(a, b), s2)

        # h_ij = k(z_i, z_j) + k(y_i, y_j) - k(z_i, y_j) - k(y_i, z_j)
        return gram(z_i, z_j) + gram(y_i, y_j) - gram(z_i, y_j) - gram(y_i, z_j)

    return lambda i, j: h(z[i], y[i], z[j], y[j])


def _to_normal(k: kernels.Kernel, s2: Any, z: tf.Tensor, normal: Any) -> Any:
    """Returns a function from two slices to h, [rows, columns], averaged over y."""
    m, v = normal.mean(), normal.variance()
    mu, c = [], []
    for scale in k.scales:
        b = scale * s2
        # mu(z) = E_p k(z, y),   c = E_pp k(y, y'),   as in zoo.terms.mmd_to_normal
        log_mu = -0.5 * tf.reduce_sum(tf.math.log1p(v / b) + (z - m) ** 2 / (b + v), axis=1)
        mu.append(tf.exp(log_mu))
        c.append(tf.exp(-0.5 * tf.reduce_sum(tf.math.log1p(2.0 * v / b))))
    mean, constant = tf.add_n(mu) / len(mu), tf.add_n(c) / len(c)

    def h(z_i: Any, mean_i: Any, z_j: Any, mean_j: Any) -> Any:
        gram = k(kernels.squared_distances(z_i, z_j), s2)
        # h_ij = k(z_i, z_j) - mu(z_i) - mu(z_j) + c
        return gram - mean_i[:, tf.newaxis] - mean_j + constant

    return lambda i, j: h(z[i], mean[i], z[j], mean[j])


@dataclasses.dataclass(frozen=True)
class _Pairs:
    """The U-statistic over N examples: its value, Var_i[E_j h_ij] and Var h."""

    value: float
    of_means: float
    of_pairs: float
    n: int


def _pairs(h: Any, n: int, block: int) -> _Pairs:
    rows, squares = np.zeros(n), 0.0
    for start in range(0, n, block):
        i = slice(start, min(start + block, n))
        for other in range(start, n, block):
            j = slice(other, min(other + block, n))
            values = h(i, j)
            if other == start:
                values = tf.linalg.set_diag(values, tf.zeros_like(values[0]))
                rows[i] += tf.reduce_sum(values, axis=1).numpy()
                squares += float(tf.reduce_sum(values**2))
            else:
                rows[i] += tf.reduce_sum(values, axis=1).numpy()
                rows[j] += tf.reduce_sum(values, axis=0).numpy()
                squares += 2.0 * float(tf.reduce_sum(values**2))
    # r_i = 1/(N-1) sum_{j != i} h_ij
    means = rows / (n - 1)
    value = float(means.mean())
    of_pairs = max(squares / (n * (n - 1)) - value**2, 0.0)
    # Var r includes Var h / (N - 1) of noise.
    of_means = max(float(means.var(ddof=1)) - of_pairs / (n - 1), 0.0)
    return _Pairs(value, of_means, of_pairs, n)


def _largest_variance(h: Any, n: int) -> float:
    """Returns the largest variance of the features in any direction, over some examples."""
    some = slice(0, n, -(-n // _VARIANCE_OF))
    inner = h(some, some).numpy().astype(np.float64)
    # (f_i - m).(f_j - m), whose largest eigenvalue is N - 1 times that of the covariance
    inner += inner.mean() - inner.mean(axis=0) - inner.mean(axis=1)[:, np.newaxis]
    v, largest = np.random.default_rng(0).normal(size=len(inner)), 0.0
    # Power iteration, accurate to a few per cent.
    for _ in range(30):
        v = inner @ v
        largest = float(np.linalg.norm(v))
        if largest == 0.0:
            break
        v /= largest
    return largest / (len(inner) - 1)


def _interval(found: _Pairs, largest: float) -> tuple[float, float]:
    """Returns the ends of the 95% interval."""
    value, n = found.value, found.n
    at_null = math.sqrt(2.0 * found.of_pairs) / n  # the standard error at q = p
    # The direction of the mean counts as known if the value exceeds 3 of them.
    trusted = max(value, 0.0) + 3.0 * at_null
    if trusted == 0.0 or largest == 0.0:
        half = NORMAL_95 * math.sqrt(4.0 * found.of_means / n + at_null**2)
        return value - half, value + half
    rho = min((found.of_means + 3.0 * at_null * largest) / trusted, largest)
    a = rho / n
    nu = found.of_pairs / rho**2
    if max(nu, abs(value) / a) > _NORMAL_FROM or nu == 0.0:
        return _normal_ends(value, a, at_null)
    x, middle = value / a + nu, float(stats.chi2.ppf(0.5, nu))
    low = a * (x - float(stats.chi2.ppf(0.975, nu)))
    if low > 0.0:
        low = a * optimize.brentq(lambda d: stats.ncx2.sf(x, nu, d) - 0.025, 1e-9, x)
    x = max(x, middle)
    above = max(x - nu, 0.0)
    most = above + 10.0 + 8.0 * math.sqrt(2.0 * nu + 4.0 * above + 100.0)
    high = a * optimize.brentq(lambda d: stats.ncx2.cdf(x, nu, d) - 0.025, 1e-9, most)
    return low, high


def _normal_ends(value: float, a: float, at_null: float) -> tuple[float, float]:
    """Returns the D that are 1.96 sqrt(4 a D + at_null^2) above and below `value`."""
    low = value - NORMAL_95 * at_null
    above = max(value, 0.0)
    middle, square = 2.0 * a * NORMAL_95**2, 4.0 * a**2 * NORMAL_95**2 + at_null**2
    if low > 0.0:
        low = value + middle - NORMAL_95 * math.sqrt(square + 4.0 * a * value)
    return low, above + middle + NORMAL_95 * math.sqrt(square + 4.0 * a * above)
