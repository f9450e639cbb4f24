"""Whether the final weights are stationary: the gradients of objective and constraints there."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.batch import Batch

LEAST = 4  # batches, to estimate the noise of the mean gradient
MOST = 16
CLOSE = 0.1  # the largest residual that counts as stationary
_CLOSER = "; a smaller --learning_rate comes closer to one"
_ALIKE = 0.5  # two gradients agree above this cosine, and oppose each other below its negative


def gradients(
    model: Any, batches: Iterable[Any], seed: int = 0, most: int = MOST
) -> dict[str, Any] | None:
    """Returns whether the terms' gradients cancel, and the cosines between constraints' gradients.

        dL = sum_i c_i g_i,   g_i = grad surrogate_i,   c = c(0) + C lambda
        residual = |dL| / sum_i |c_i| |g_i|          0 at a stationary point, at most 1
        objective: sum_i c_i(0) g_i;   constraint j: sum_i C_ij g_i;   their cosines

    At an optimum with one active constraint, its gradient and the objective's have cosine -1.
    Gradients are with respect to encoder and decoder, and are averaged over B batches before a
    norm is taken. lambda is the multiplier used in the primal step, see `acting_multipliers`.
    N is the part of the products of mean gradients that comes from noise, estimated from their
    spread over batches:

        M_ij = mean g_i . mean g_j,   N_ij = (mean_b g_i,b . g_j,b - M_ij) / (B - 1)
        E (M - N)_ij = E g_i . E g_j,   noise = sqrt(c' N c) / sum_i |c_i| |g_i|

    Cosines are computed from M - N. Give training batches: stationarity is a property of training,
    and an overfitted model is not stationary on held-out batches.

    Args:
      model: a LagrangianModel, with the weights to judge.
      batches: images [B, ...], or (images, labels), or (x, z) where z is data, or (x, c) where
        there is a condition. Batches that differ in size from the first are left out.
      seed: of the terms' noise.
      most: the largest number of batches used.

    Returns:
      JSON-able data, or None with fewer than 4 batches: batches, batch_size, game (whether there
      are critics), residual, noise, stationary, terms (name -> norm of c_i g_i), constraints and
      between. A number is None if a gradient is not finite; a cosine is None if one of its
      gradients is not above its noise. `stationary` is true if the residual without its noise is
      at most 0.1, and None if the noise is too large to tell.
    """
    lagrangian = model.lagrangian
    gradient = _traced(model)
    total: Any = 0.0
    products = np.zeros(2 * [len(lagrangian.terms)])
    count = size = 0
    for index, batch in enumerate(batches):
        if count == most:
            break
        x, z, c = Batch.to(model, batch)
        size = size or len(x)
        if len(x) != size:
            continue
        noise_seed = tf.constant([seed, index], tf.int32)
        rows = gradient(tf.convert_to_tensor(x), noise_seed, z, c)
        products += _products(rows)
        total += rows
        count += 1
    if count < LEAST:
        return None
    # M = mean g . mean g,   N = (mean_b g_b . g_b - M) / (B - 1)
    mean = _products(total / count)
    noise = (products / count - mean) / (count - 1)
    multipliers = acting_multipliers(model)
    # c = c(0) + C lambda
    weights = lagrangian.offsets + lagrangian.slopes.astype(np.float64) @ multipliers
    return {
        "batches": count,
        "batch_size": size,
        "game": bool(model.critics),
        **_residual(mean, noise, weights),
        "terms": {
            name: _finite(abs(c) * math.sqrt(square)) if c else 0.0
            for name, c, square in zip(lagrangian.terms, weights, np.diag(mean), strict=True)
        },
        **_cosines(lagrangian, mean, noise),
    }


def acting_multipliers(model: Any) -> np.ndarray:
    """Returns the multipliers used in the primal step, at the average violation of training, [m].

    For the augmented Lagrangian they are max(0, mu + c xi) size / scale, not the logged mu.
    """
    rule = model.multipliers
    acting = rule.effective(tf.convert_to_tensor(rule.average) * rule.scale)
    return np.asarray(acting, np.float64)


def sentences(found: Mapping[str, Any] | None) -> list[str]:
    """Returns the result of `gradients` in sentences, for the certificate's page; [] if None."""
    if found is None:
        return []
    where = f"{found['batches']} batches of {found['batch_size']}"
    if found["residual"] is None:
        return [f"Stationarity is unknown: a gradient is not finite on {where}."]
    ends = {
        True: "the weights are close to a stationary point",
        False: "the weights are not at a stationary point" + ("" if found["game"] else _CLOSER),
        None: "too few batches to tell whether the weights are at a stationary point",
    }
    said = [
        f"The norm of the sum of the terms' weighted gradients is {found['residual']:.1%} of the "
        f"sum of their norms; noise alone explains {found['noise']:.1%} ({where}): "
        f"{ends[found['stationary']]}."
    ]
    for c in found["constraints"]:
        said += _compared("the objective", c["expression"], c["cosine"])
    for pair in found["between"]:
        one, other = pair["constraints"]
        said += _compared(one, other, pair["cosine"])
    return said


def _traced(model: Any) -> Any:
    """Returns a function from a batch to every term's gradient, [terms, parameters]."""
    # With several replicas a variable has a copy on each: use the first.
    copies = model.distribute_strategy.experimental_local_results
    variables = [copies(variable.value)[0] for variable in model.primal_variables]

    @tf.function(autograph=False, reduce_retracing=True)
    def gradient(x: Any, seed: Any, z: Any, c: Any) -> Any:
        with tf.GradientTape(persistent=True) as tape:
            surrogates = model.surrogates(x, seed, z, *(() if c is None else (c,)))
        rows = []
        for name in model.lagrangian.terms:
            row = tape.gradient(surrogates[name], variables, unconnected_gradients="zero")
            rows.append(tf.concat([tf.reshape(g, [-1]) for g in row], axis=0))
        return tf.stack(rows)

    return gradient


def _products(rows: Any) -> np.ndarray:
    """Returns the inner products of all pairs of rows."""
    return tf.matmul(rows, rows, transpose_b=True).numpy().astype(np.float64)


def _residual(mean: np.ndarray, noise: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    squares = np.diag(mean)
    size = float(sum(abs(c) * math.sqrt(m) for c, m in zip(weights, squares, strict=True) if c))
    if not (math.isfinite(size) and size > 0.0):
        return {"residual": None, "noise": None, "stationary": None}
    # |dL|^2 = c' M c; the part of noise is c' N c
    residual, by_noise = (
        math.sqrt(max(0.0, _product(m, weights, weights))) / size for m in (mean, noise)
    )
    signal = math.sqrt(max(0.0, residual**2 - by_noise**2))
    known = by_noise <= 2 * max(signal, CLOSE)
    return {
        "residual": residual,
        "noise": by_noise,
        "stationary": signal <= CLOSE if known else None,
    }


def _cosines(lagrangian: Any, mean: np.ndarray, noise: np.ndarray) -> dict[str, Any]:
    """Returns the cosines of each constraint with the objective, and of all pairs."""
    names = [constraint.expression for constraint in lagrangian.learned]
    columns = dict(zip(names, lagrangian.slopes.T, strict=True))

    def cosine(one: np.ndarray, other: np.ndarray) -> float | None:
        squares = []
        for part in (one, other):
            square, spread = _product(mean, part, part), _product(noise, part, part)
            if not square > 2 * spread:  # nan too
                return None
            squares.append(square - spread)
        found = _product(mean - noise, one, other) / math.sqrt(squares[0] * squares[1])
        return min(1.0, max(-1.0, found)) if math.isfinite(found) else None

    return {
        "constraints": [
            {"expression": name, "cosine": cosine(lagrangian.offsets, column)}
            for name, column in columns.items()
        ],
        "between": [
            {"constraints": [one, other], "cosine": cosine(columns[one], columns[other])}
            for one, other in itertools.combinations(names, 2)
        ],
    }


def _product(products: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    """Returns one' products other, skipping terms with weight 0, which may not be finite."""
    rows, columns = np.flatnonzero(one), np.flatnonzero(other)
    return float(one[rows] @ products[np.ix_(rows, columns)] @ other[columns])


def _compared(one: str, other: str, cosine: float | None) -> list[str]:
    if cosine is None:
        return []
    relation = "are nearly independent"
    if abs(cosine) >= _ALIKE:
        relation = "fall together" if cosine > 0 else "pull against each other"
    text = f"{one} and {other} {relation} (cosine of their gradients {cosine:.2f})."
    return [text[0].upper() + text[1:]]


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
