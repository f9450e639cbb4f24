"""Bounds on transport distances from samples: squared sliced Wasserstein-2 (SW) and Wasserstein-1.

Examples of any shape are flattened, and distances are Euclidean over all their elements. Rows count
as independent draws; they are shuffled first, because data sets are often sorted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from zoo.bounds.bound import Bound
from zoo.critics import lipschitz
from zoo.errors import InputError
from zoo.metrics.measured import around

Pair = tuple[Any, Any]

_LEAST = 32  # examples of each side
_BLOCKS = 8  # with fewer, Student's interval is too wide
_FOLDS = 10
_MAX_STRETCH = 1e4  # of the affine maps between lines, if one side has no spread


def sw_upper(q: Any, p: Any, projections: int = 50, blocks: int = 16, seed: int = 0) -> Bound:
    """Bounds the squared sliced Wasserstein-2 distance from above by that of the samples.

        SW(q, p) <= E SW(q_N, p_M)                  q_N, p_M: N and M points of weight 1/N and 1/M
        SW = |m_q - m_p|^2 / D + E_theta W2^2(theta . (q - m_q), theta . (p - m_p))

    The inequality is the joint convexity of optimal transport costs (Villani. "Optimal Transport:
    Old and New." 2009, theorem 4.8), averaged over directions. At q = p the value is of order 1/N.
    The noise is estimated from disjoint blocks, each with other directions,

        limit = SW(q_N, p_M) + t_{B-1} s / sqrt(B)        s: deviation of the blocks' distances

    which is Student's interval if the distance is linear in the samples. Near q = p it is
    quadratic, blocks vary more, and the limit is too high.

    Args:
      q: [N, ...], samples of q.
      p: [M, ...], samples of p.
      projections: directions of each block; the samples are compared in those of all blocks.
      blocks: B.
      seed: seed of the directions and of the blocks.

    Returns:
      bound: in units of squared distance.

    Raises:
      InputError: there are fewer than 32 examples, `projections` or fewer than 8 `blocks`, more
        blocks than half the examples, examples differ in size, or a number is not finite.
    """
    q, p = _pair(q, p)
    n = min(len(q), len(p))
    if projections < 1 or not _BLOCKS <= blocks <= n // 2:
        raise InputError(
            f"projections is {projections} and blocks {blocks}: give 1 or more projections, and "
            f"{_BLOCKS} to {n // 2} blocks of {n} examples."
        )
    rng = np.random.default_rng(seed)
    parts = zip(*(np.array_split(rng.permutation(x), blocks) for x in (q, p)), strict=True)
    of_blocks, of_all = [], []
    for part_q, part_p in parts:
        theta = _directions(q.shape[1], projections, rng)
        of_blocks.append(_sliced(part_q, part_p, theta))
        of_all.append(_sliced(q, p, theta))
    value = float(np.mean(of_all))
    error = float(np.std(of_blocks, ddof=1)) / math.sqrt(blocks)
    return Bound(
        "upper",
        value,
        around(value, error, blocks - 1)[1],
        f"SW of {len(q)} and {len(p)} samples in {blocks * projections} directions, noise from "
        f"{blocks} blocks",
        n,
        ("too high in expectation, by the order of 1/N at q = p",),
    )


def sw_lower(q: Any, p: Any, projections: int = 500, seed: int = 0) -> Bound:
    """Bounds the squared sliced Wasserstein-2 distance from below by means and deviations.

        SW >= |m_q - m_p|^2 / D + E_theta (s_q - s_p)^2       s: deviation of theta . q, theta . p

    Gelbrich. "On a Formula for the L2 Wasserstein Metric between Measures on Euclidean and Hilbert
    Spaces." Math. Nachr. 147, 1990, on each line, with equality for normals. Squares of noisy
    moments would be too large. So the bound uses its dual, Kantorovich potentials of affine maps,

        W2^2 >= E_q[x^2 - 2 u(x)] + E_p[y^2 - 2 u*(y)],    u(x) = m_p x + r (x - m_q)^2 / 2

    a lower bound for any m_q, m_p and r > 0, and Gelbrich's for r = s_p / s_q. In ten folds, m_q,
    m_p and r come from nine tenths of the samples and the bound is evaluated on the last tenth, so
    that the value is too low in expectation, by the order of 1/N. The mean part is exact over all
    directions; the finite number of directions in the other part counts as noise.

    Args:
      q: [N, ...], samples of q.
      p: [M, ...], samples of p.
      projections: the number of directions.
      seed: seed of the directions and of the folds.

    Returns:
      bound: in units of squared distance; sometimes negative.

    Raises:
      InputError: there are fewer than 32 examples or 8 projections, examples differ in size, or a
        number is not finite.
    """
    q, p = _pair(q, p)
    if projections < _BLOCKS:
        raise InputError(f"projections is {projections}: give {_BLOCKS} or more.")
    rng = np.random.default_rng(seed)
    theta = _directions(q.shape[1], projections, rng)
    folds_q, folds_p = (np.array_split(rng.permutation(len(x)), _FOLDS) for x in (q, p))
    of_q, of_p, of_theta = np.empty(len(q)), np.empty(len(p)), np.zeros(projections)
    for rows_q, rows_p in zip(folds_q, folds_p, strict=True):
        fit_q, fit_p = np.delete(q, rows_q, axis=0), np.delete(p, rows_p, axis=0)
        m_q, m_p = fit_q.mean(axis=0), fit_p.mean(axis=0)
        r = _stretch(*(np.std((x - x.mean(axis=0)) @ theta.T, axis=0) for x in (fit_q, fit_p)))
        # With c = m_q - m_p, x^2 - 2 u(x) and y^2 - 2 u*(y) add up to
        # 2 c x - 2 c y - c^2 - (r - 1) (x - m_q)^2 - (1/r - 1) (y - m_p)^2
        c = m_q - m_p
        squares_q = (1.0 - r) * ((q[rows_q] - m_q) @ theta.T) ** 2
        squares_p = (1.0 - 1.0 / r) * ((p[rows_p] - m_p) @ theta.T) ** 2
        # E_theta (theta . c)(theta . x) = c . x / D; centred at m_p to limit cancellation
        linear_q, linear_p = ((x - m_p) @ c / len(c) for x in (q[rows_q], p[rows_p]))
        of_q[rows_q] = 2.0 * linear_q - c @ c / len(c) + squares_q.mean(axis=1)
        of_p[rows_p] = -2.0 * linear_p + squares_p.mean(axis=1)
        of_theta += (squares_q.mean(axis=0) + squares_p.mean(axis=0)) / _FOLDS
    value = float(of_q.mean() + of_p.mean())
    n = min(len(q), len(p))
    low = _low(value, [of_q, of_p, of_theta])
    method = f"means and deviations of {len(q)} and {len(p)} samples in {projections} directions"
    return Bound("lower", value, low, method, n, ("only means and deviations are compared",))


def w1_upper(q: Any, p: Any, block: int = 512, seed: int = 0) -> Bound:
    """Bounds the Wasserstein-1 distance from above by optimal assignments of samples.

        W1(q, p) <= E W1(q_n, p_n),   W1(q_n, p_n) = min over pi of 1/n sum_i |q_i - p_pi(i)|

    by the joint convexity of optimal transport costs (Villani 2009, theorem 4.8). The value is the
    mean over disjoint blocks of n, with Student's interval. The distance of two samples of one
    distribution in D dimensions is of order n^(-1/D) (Dudley 1969); a note states it for p.

    Args:
      q: [N, ...], samples of q.
      p: [M, ...], samples of p; the excess of the larger sample is left out.
      block: n, reduced to an eighth of the smaller sample if that is less.
      seed: seed of the blocks.

    Returns:
      bound: in units of distance.

    Raises:
      InputError: there are fewer than 32 examples, `block` is not positive, examples differ in
        size, or a number is not finite.
    """
    q, p = _pair(q, p)
    if block < 1:
        raise InputError(f"block is {block}: give a positive whole number.")
    n = min(len(q), len(p))
    block = min(block, n // _BLOCKS)
    blocks = n // block
    rng = np.random.default_rng(seed)
    q, p = rng.permutation(q), rng.permutation(p)
    parts = [slice(i * block, (i + 1) * block) for i in range(blocks)]
    costs = [_assignment(q[part], p[part]) for part in parts]
    value = float(np.mean(costs))
    error = float(np.std(costs, ddof=1)) / math.sqrt(blocks)
    apart = np.mean([_assignment(p[a], p[b]) for a, b in zip(parts[:4], parts[4:8], strict=True)])
    return Bound(
        "upper",
        value,
        around(value, error, blocks - 1)[1],
        f"optimal assignment of {blocks} blocks of {block} samples",
        blocks * block,
        (f"at q = p the value would be {apart:.3g}, as far as {block} samples of p are apart",),
    )


def w1_lower(fit: Pair, choose: Pair, read: Pair, seed: int = 0, rounds: int = 20) -> Bound:
    """Bounds the Wasserstein-1 distance from below by a critic T with a known Lipschitz constant.

        W1(q, p) >= (E_q T - E_p T) / L,    |T(a) - T(b)| <= L |a - b|

    Kantorovich and Rubinstein 1958. T is a dense network with activations that sort pairs of units
    and are 1-Lipschitz, so that L is at most the product of the matrices' largest singular values.
    Training keeps the matrices nearly orthonormal by Bjorck's iteration, as in Anil et al. "Sorting
    out Lipschitz Function Approximation." ICML 2019; L is computed from the final matrices. T is
    trained on the first pair of samples. The second pair chooses among the states of T and the
    distance from the mean of p, which detects differences of width. The bound is evaluated on the
    third pair, so that it holds in expectation.

    Args:
      fit, choose, read: pairs (q, p) of samples, [N, ...] and [M, ...], of disjoint examples.
      seed: seed of the critic and its batches.
      rounds: rounds of 50 training steps, each with 256 examples of either side.

    Returns:
      bound: in units of distance; sometimes negative.

    Raises:
      InputError: a pair has fewer than 32 examples, examples differ in size, a number is not
        finite, or `rounds` is not positive.
    """
    if rounds < 1:
        raise InputError(f"rounds is {rounds}: give a positive whole number.")
    fit, choose, read = (_pair(*pair) for pair in (fit, choose, read))
    sizes = [pair[0].shape[1] for pair in (fit, choose, read)]
    if len(set(sizes)) > 1:
        raise InputError(f"W1 compares examples of one size: got {sizes} numbers each.")
    both, mean_p = np.concatenate(fit), fit[1].mean(axis=0)
    center, unit = both.mean(axis=0), float(both.std()) or 1.0

    def scaled(x: np.ndarray) -> np.ndarray:
        # All dimensions have the same unit, so that T has the network's Lipschitz constant.
        return ((x - center) / unit).astype(np.float32)

    def distance(x: np.ndarray) -> np.ndarray:
        return np.linalg.norm(x - mean_p, axis=1)

    layers = lipschitz.trained([scaled(x) for x in fit], [scaled(x) for x in choose], seed, rounds)
    network = f"network trained on {len(fit[0])} and {len(fit[1])} samples"
    critics: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        network: lambda x: unit * lipschitz.values(layers, scaled(x)) / lipschitz.constant(layers),
        "distance from the mean of p": distance,
        "minus the distance from the mean of p": lambda x: -distance(x),
    }

    def gap(name: str) -> float:
        of_q, of_p = map(critics[name], choose)
        return float(of_q.mean() - of_p.mean())

    chosen = max(critics, key=gap)
    of_q, of_p = map(critics[chosen], read)
    value = float(of_q.mean() - of_p.mean())
    method = f"critic of Lipschitz constant 1, the {chosen}, read on {len(of_q)} and {len(of_p)}"
    n = min(len(of_q), len(of_p))
    return Bound("lower", value, _low(value, [of_q, of_p]), method, n)


def _pair(q: Any, p: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns both samples as [N, D] and [M, D] in float64."""
    q, p = (np.asarray(x, np.float64) for x in (q, p))
    if min(q.ndim, p.ndim) == 0 or min(len(q), len(p)) < _LEAST:
        raise InputError(
            f"The samples for a bound on a distance have shapes {q.shape} and {p.shape}: give "
            f"{_LEAST} or more of each."
        )
    q, p = q.reshape(len(q), -1), p.reshape(len(p), -1)
    if q.shape[1] != p.shape[1]:
        raise InputError(
            f"Distances are between examples of one size: got {q.shape[1]} and {p.shape[1]} "
            "numbers each."
        )
    if not (np.isfinite(q).all() and np.isfinite(p).all()):
        raise InputError("A sample is not finite: the model has diverged, train it again.")
    return q, p


def _low(value: float, samples: list[np.ndarray]) -> float:
    """Returns the lower end of the interval of a sum of independent means."""
    error = math.sqrt(sum(float(x.var(ddof=1)) / len(x) for x in samples))
    return around(value, error, min(map(len, samples)) - 1)[0]


def _directions(dim: int, count: int, rng: np.random.Generator) -> np.ndarray:
    theta = rng.normal(size=(count, dim))
    return theta / np.linalg.norm(theta, axis=1, keepdims=True)


def _sliced(q: np.ndarray, p: np.ndarray, theta: np.ndarray) -> float:
    """Returns the SW of the samples, with the part of the means exact over all directions."""
    m_q, m_p = q.mean(axis=0), p.mean(axis=0)
    a, b = (np.sort(theta @ (x - m).T, axis=1) for x, m in ((q, m_q), (p, m_p)))
    # Quantiles are constant between multiples of 1/N and 1/M, here in units of 1/(N M).
    n, m = len(q), len(p)
    cuts = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
    weights = np.diff(cuts, prepend=0) / (n * m)
    squares = (a[:, (cuts - 1) // m] - b[:, (cuts - 1) // n]) ** 2
    return float(np.mean((m_q - m_p) ** 2) + np.mean(squares @ weights))


def _stretch(s_q: np.ndarray, s_p: np.ndarray) -> np.ndarray:
    """Returns s_p / s_q, clipped to [1e-4, 1e4], and 1 if both are 0."""
    least = np.maximum(s_q, s_p) / _MAX_STRETCH
    least = np.where(least > 0.0, least, 1.0)
    return np.maximum(s_p, least) / np.maximum(s_q, least)


def _assignment(q: np.ndarray, p: np.ndarray) -> float:
    distances = cdist(q, p)
    return float(distances[linear_sum_assignment(distances)].mean())
