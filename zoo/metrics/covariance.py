"""The log determinant of the covariance of q(z), which shows unused dimensions."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.errors import InputError
from zoo.metrics.measured import Measured, around


@dataclasses.dataclass(frozen=True)
class LogDeterminant:
    """log det Cov[q(z)], 0 for a standard normal and -inf for codes in a subspace.

    Attributes:
      total: the sum of the logarithms of the covariance's eigenvalues.
      per_dimension: their mean, total / K.
      log_variances: log Var[z_k], [K]; their sum is the total if codes are uncorrelated, otherwise
        it is larger.
    """

    total: Measured
    per_dimension: Measured
    log_variances: tuple[float, ...]


def log_det_covariance(z: Any) -> LogDeterminant:
    """Measures the log determinant of the covariance of q(z), from samples.

        log det Cov[q(z)],   Cov = 1/(N-1) sum_i (z_i - m)(z_i - m)^T         [V] section 5

    The bias of normal samples, K log(2/(N-1)) + sum_k digamma((N-k)/2), about -K (K+1) / 2N, is
    subtracted. The interval uses the derivative d log det C = tr(C^-1 dC), to which z_i contributes
    (z_i - m)^T C^-1 (z_i - m) - K.

    Args:
      z: [N, K], one sample of q(z|x) for each x; N above K + 3.

    Raises:
      InputError: there are too few codes, or they lie in a subspace, so that the value is -inf.
    """
    z = np.asarray(z, np.float64)
    n, k = z.reshape(len(z), -1).shape
    z = z.reshape(n, k)
    if n <= k + 3:
        raise InputError(
            f"The covariance of {n} codes of length {k} has no inverse: give more than {k + 3}."
        )
    centred = z - z.mean(axis=0)
    covariance = centred.T @ centred / (n - 1)
    sign, log_det = np.linalg.slogdet(covariance)
    largest = np.linalg.eigvalsh(covariance)
    if sign <= 0 or largest[0] <= 1e-12 * largest[-1]:
        raise InputError(
            f"The codes lie in a subspace of their {k} dimensions, where log det Cov is -inf: "
            "leave this measure out, or look at active_units."
        )
    # E log det C_hat - log det C for normal samples: Muirhead 1982, p. 101
    halves = (n - 1 - np.arange(k)) / 2
    bias = float(np.sum(tf.math.digamma(halves).numpy())) + k * math.log(2 / (n - 1))
    distances = np.sum(centred @ np.linalg.inv(covariance) * centred, axis=1)
    error = float(distances.std(ddof=1) / math.sqrt(n))
    value = float(log_det) - bias
    estimator = f"sample covariance of {n} codes, less its bias for normal ones"
    total = Measured(value, around(value, error), n, estimator, units="nats")
    return LogDeterminant(
        total,
        Measured(
            value / k,
            around(value / k, error / k),
            n,
            estimator,
            units="nats per dimension",
        ),
        tuple(float(v) for v in np.log(np.maximum(centred.var(axis=0, ddof=1), 1e-300))),
    )
