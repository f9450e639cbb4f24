"""Mode collapse: the classes that samples reach, and the diversity of samples."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from zoo.errors import InputError
from zoo.metrics import class_shares
from zoo.metrics.measured import Measured, around

REACHED = 0.1
_BLOCK = 500  # rows of distances in memory


@dataclasses.dataclass(frozen=True)
class Coverage:
    """How much of the data samples cover, and whether the model has collapsed.

    A model has collapsed if its samples have few classes or little diversity:

        H(c') < H(c) / 2   or   diversity < 1/2

    For digits H(c) / 2 is log(10) / 2 = 1.15 nats, slightly above the entropy of three equal
    classes. Blurred samples keep more than half of the data's diversity, repeated samples less.

    Attributes:
      reached: the share of classes that samples have at least a tenth as often as data.
      entropy: H(c') of the classes of samples, in nats.
      data_entropy: H(c) of the classes of data.
      diversity: the mean distance between features of two samples, divided by that of two data.
      within: the same within classes, averaged over the classes that samples reach; it detects a
        model with one image per class. None if no class has two samples and two data.
    """

    reached: float
    entropy: Measured
    data_entropy: float
    diversity: Measured
    within: float | None

    @property
    def collapsed(self) -> bool:
        return self.entropy.value < self.data_entropy / 2 or self.diversity.value < 0.5

    @property
    def verdict(self) -> str:
        """A sentence on whether the model has collapsed."""
        return (
            f"{'collapsed' if self.collapsed else 'not collapsed'}: class entropy "
            f"{self.entropy.value:.3g} of {self.data_entropy:.3g} nats, diversity "
            f"{self.diversity.value:.3g}; either below a half is a collapse"
        )


def coverage(
    sample_features: Any,
    sample_classes: Any,
    data_features: Any,
    data_classes: Any,
    seed: int = 0,
) -> Coverage:
    """Measures how much of the data samples cover.

        diversity = mean_{i<j} |f(x_i) - f(x_j)| of samples / the same of data
        H(c')     = - sum_k c'_k log c'_k

    Args:
      sample_features: [N, F], features of a classifier.
      sample_classes: [N], a classifier's decisions on samples.
      data_features: [M, F].
      data_classes: [M], the same classifier's decisions on data, or labels.
      seed: seed of the bootstrap of the entropy.

    Raises:
      InputError: shapes do not fit, features are not finite or all equal in the data, or there are
        fewer than 4 examples.
    """
    f, g = np.asarray(sample_features, np.float64), np.asarray(data_features, np.float64)
    c, d = np.asarray(sample_classes), np.asarray(data_classes)
    for features, classes in ((f, c), (g, d)):
        if features.ndim != 2 or classes.shape != (len(features),) or len(features) < 4:
            raise InputError(
                f"Features have shape {features.shape} and classes {classes.shape}: give [N, F] "
                "and [N] with N at least 4."
            )
        if not np.isfinite(features).all():
            raise InputError("A feature is not finite: the model has diverged, train it again.")
    classes = np.union1d(c, d)
    of_samples = (c[:, None] == classes).sum(axis=0)
    of_data = (d[:, None] == classes).sum(axis=0)
    present = of_data > 0
    reached = of_samples / len(c) >= REACHED * of_data / len(d)
    within = [
        _distances(f[c == k]).mean() / apart
        for k in classes[present & reached & (of_samples > 1) & (of_data > 1)]
        if (apart := _distances(g[d == k]).mean()) > 0
    ]
    return Coverage(
        reached=float(reached[present].mean()),
        entropy=_entropy_measured(of_samples, seed),
        data_entropy=float(_entropy(of_data)),
        diversity=_diversity(f, g),
        within=float(np.mean(within)) if within else None,
    )


def _diversity(f: np.ndarray, g: np.ndarray) -> Measured:
    means, errors = [], []
    for features in (f, g):
        rows = _distances(features)
        means.append(float(rows.mean()))
        # 2 s(rows) / sqrt(N): the first term of the variance of a U-statistic
        errors.append(2 * float(rows.std(ddof=1)) / math.sqrt(len(rows)))
    if means[1] == 0:
        raise InputError("All data have the same features: give images that differ.")
    ratio = means[0] / means[1]
    error = math.hypot(errors[0], ratio * errors[1]) / means[1]
    return Measured(
        ratio,
        around(ratio, error),
        len(f),
        f"mean distance of two samples over that of two data, in {f.shape[1]} features",
        units="ratio",
    )


def _distances(features: np.ndarray) -> np.ndarray:
    """Returns the mean distance of each of N features from the N - 1 others, [N]."""
    n = len(features)
    sums = [
        cdist(features[start : start + _BLOCK], features).sum(axis=1)
        for start in range(0, n, _BLOCK)
    ]
    return np.concatenate(sums) / (n - 1)


def _entropy(counts: np.ndarray) -> np.ndarray:
    shares = counts / counts.sum(axis=-1, keepdims=True)
    # H = sum_k c_k log(1 / c_k)
    return np.sum(shares * np.log(1 / np.where(shares > 0, shares, 1.0)), axis=-1)


def _entropy_measured(counts: np.ndarray, seed: int) -> Measured:
    low, high = class_shares.interval(_entropy, counts, seed)
    most = math.log(len(counts))
    return Measured(
        float(_entropy(counts)),
        (max(low, 0.0), min(high, most)),
        int(counts.sum()),
        "entropy of the classes that a classifier finds in samples",
        ceiling=most,
        units="nats",
    )
