"""The distance of translated images from their known partners."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from zoo.errors import InputError

_BLOCK = 256  # images per batch


@dataclasses.dataclass(frozen=True)
class Pairing:
    """Errors of translated images against their partners, per pixel.

    Attributes:
      true_error: mean absolute error against the true partner.
      random_error: mean absolute error against the partner of another image.
      retrieval: the share of images whose nearest partner is the true one.
      chance: the retrieval of random guesses, 1 / N.
      points: N, the number of pairs.
    """

    true_error: float
    random_error: float
    retrieval: float
    points: int

    @property
    def ratio(self) -> float:
        """true_error / random_error: 0 for exact translations, about 1 for random ones."""
        if self.random_error == 0.0:
            return 1.0
        return self.true_error / self.random_error

    @property
    def chance(self) -> float:
        return 1.0 / self.points


def pairing(translate: Callable[[Any], Any], x: Any, partners: Any, seed: int = 0) -> Pairing:
    """Compares translations with their true partners and with other partners.

        e(i, j) = mean over pixels |t(x_i) - z_j|
        true_error   = 1/N sum_i e(i, i)
        random_error = 1/N sum_i e(i, s(i)),   s a random cycle through all N: s(i) is never i
        retrieval    = 1/N sum_i 1[ i = argmin_j e(i, j) ]

    If k partners are equally near, each counts as 1/k. All N x N errors are computed: a thousand
    pairs of digits take a second or two.

    For a model with images on both sides, `lambda x: model.encode(x).mean()` with partners z
    measures one direction, and `lambda z: model.decode(z).mean()` with partners x the other.

    Args:
      translate: maps images [B, ...] to images [B, ...] with the partners' shape.
      x: [N, ...], or batches [B, ...] of them.
      partners: [N, ...], or batches; the i-th is the true partner of the i-th x.
      seed: seed of the random cycle.

    Raises:
      InputError: there are fewer than two pairs, or translations and partners differ in number
        or shape.
    """
    translated = _joined(translate(batch) for batch in _batches(x))
    partners = _joined(_batches(partners))
    if translated.shape != partners.shape:
        raise InputError(
            f"Translated images have shape {translated.shape} and their partners "
            f"{partners.shape}: give as many, and the side they are translated to."
        )
    n = len(partners)
    if n < 2:
        raise InputError(f"There are {n} pairs for a pairing: give two or more.")
    translated, partners = translated.reshape(n, -1), partners.reshape(n, -1)
    others = _random_cycle(n, seed)
    true_errors, random_errors, hits = np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        # e(i, j) = mean |t(x_i) - z_j|
        errors = np.abs(translated[i] - partners).mean(axis=1, dtype=np.float64)
        true_errors[i], random_errors[i] = errors[i], errors[others[i]]
        nearest = errors == errors.min()
        hits[i] = nearest[i] / nearest.sum()
    return Pairing(
        true_error=float(true_errors.mean()),
        random_error=float(random_errors.mean()),
        retrieval=float(hits.mean()),
        points=n,
    )


def _random_cycle(n: int, seed: int) -> np.ndarray:
    """Returns s(0), ..., s(n - 1), where s(i) follows i in a random cyclic order."""
    order = np.random.default_rng(seed).permutation(n)
    successors = np.empty(n, np.int64)
    successors[order] = np.roll(order, -1)
    return successors


def _joined(batches: Iterable[Any]) -> np.ndarray:
    arrays = [np.asarray(batch, np.float32) for batch in batches]
    return np.concatenate(arrays) if arrays else np.empty((0,), np.float32)


def _batches(images: Any) -> Iterable[Any]:
    """Returns batches of images, from batches or one array."""
    if not hasattr(images, "shape"):
        return images
    return (images[start : start + _BLOCK] for start in range(0, len(images), _BLOCK))
