"""Posterior collapse: the active latent dimensions, and an alarm if z says nothing about x."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.batch import Batch
from zoo.errors import InputError

MOST = 2000  # images: enough to know the variance of a posterior mean to a few per cent
NOTHING = 0.1  # nats of I_q(x;z) below which z says nothing about x


def collapse(
    model: Any,
    images: Any,
    information: Mapping[str, Any] | None = None,
    most: int = MOST,
) -> dict[str, Any] | None:
    """Counts the latent dimensions whose posterior mean varies with x.

        A_k = Var_x( E_q(z|x)[z_k] ) > 0.01            Burda et al. 2016, section 5.2
        A_b = sum_{k in b} Var_x( q(z_b = k|x) )       for a categorical block b, one dimension

    Noise blocks, whose posterior is the prior by design, do not count. The means do not show
    information carried by the scales of q(z|x), or by small means with smaller scales. So the
    alarm is I_q(x;z) < 0.1 nats where I_q is known, and otherwise that no dimension is active.

    Args:
      model: has `encode(x)`, a tfd distribution with a mean.
      images: [N, ...], or batches [B, ...], or (images, labels); the first `most` images are used.
      information: the certificate's entry, with `estimate` in nats; None if not estimated.

    Returns:
      {"active", "dimensions", "information", "alarm", "sentence"}; the sentence is None if all
      dimensions are active. None if z is an image, q(z|x) has no mean, or there are fewer than
      two images.
    """
    from zoo import priors
    from zoo.metrics import active_units

    if priors.is_data(model.prior):
        return None
    try:
        means = _means(model, images, most)
    except InputError:  # q(z|x) has no mean
        return None
    if len(means) < 2:
        return None
    columns, categories = _dimensions(model, means.shape[1])
    active = 0
    if columns:
        active = int(active_units(_Means(), means[:, columns]).value)
    active += sum(_varies(means[:, block]) for block in categories)
    dimensions = len(columns) + len(categories)
    known = None if information is None else information["estimate"]
    alarm = active == 0 if known is None else known < NOTHING
    return {
        "active": active,
        "dimensions": dimensions,
        "information": known,
        "alarm": alarm,
        "sentence": _sentence(active, dimensions, known, alarm),
    }


def sentences(found: Mapping[str, Any] | None) -> list[str]:
    """Returns the result of `collapse` in sentences, for the certificate's page."""
    return [found["sentence"]] if found is not None and found["sentence"] else []


def _sentence(active: int, dimensions: int, information: float | None, alarm: bool) -> str | None:
    are = "is" if active == 1 else "are"
    count = f"{active} of {dimensions} latent dimensions {are} active"
    about = None if information is None else f"I_q(x;z) is about {information:.2g} nats"
    if alarm:
        end = "z says nothing about x"
        return f"{count}: {end}." if about is None else f"{count} and {about}: {end}."
    if active == 0:
        # The means hardly vary with x, but z is informative: a small effect or one in the scales.
        return f"{count}, yet {about}: q(z|x) varies with x more than its means show."
    if active < dimensions:
        return f"{count}: the posterior means of the others do not vary with x."
    return None


class _Means:
    """A stand-in for the model, for `active_units`: its images are posterior means already."""

    def encode(self, means: Any) -> Any:
        return _Known(means)


class _Known:
    def __init__(self, value: Any):
        self._value = value

    def mean(self) -> Any:
        return self._value


def _means(model: Any, images: Any, most: int) -> np.ndarray:
    """Returns E[z|x], float64 [N, K], of the first images."""
    from zoo.distributions import probes
    from zoo.metrics.batches import in_batches

    found: list[np.ndarray] = []
    classes: list[np.ndarray] = []
    left = most
    for batch in in_batches(images):
        if left <= 0:
            break
        x, _, c = Batch.to(model, batch)
        if c is None:
            means = probes.encoded_mean(model, x[:left], "Collapse")
        else:
            classes.append(np.asarray(c[:left]))
            means = probes.encoded_mean(_Read(model, c[:left]), x[:left], "Collapse")
        found.append(np.asarray(means, np.float64))
        left -= len(found[-1])
    if not found:
        return np.empty((0, 0))
    whole = np.concatenate(found)
    return _within_classes(whole, np.concatenate(classes)) if classes else whole


def _within_classes(means: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Returns the means minus the mean of their class plus the overall mean: variation given c."""
    within = means.copy()
    for label in np.unique(classes, axis=0):
        rows = (classes == label).reshape(len(classes), -1).all(axis=1)
        within[rows] -= means[rows].mean(axis=0)
    return within + means.mean(axis=0)


@dataclasses.dataclass(frozen=True)
class _Read:
    """q(z|x,c) for the conditions of one batch."""

    model: Any
    condition: Any

    @property
    def encoder(self) -> Any:
        return self.model.encoder

    def encode(self, x: Any) -> Any:
        return self.model.encode(x, self.condition)


def _dimensions(model: Any, latent_dim: int) -> tuple[list[int], list[slice]]:
    """Returns the columns of z that are one dimension each, and the blocks that are one each."""
    family = getattr(model.encoder, "family", None)
    latents = getattr(family, "latents", None)
    if latents is None:
        return list(range(latent_dim)), []
    columns = [
        k
        for block in latents.blocks
        if block.kind not in ("categorical", "noise")
        for k in range(block.start, block.stop)
    ]
    categories = [slice(b.start, b.stop) for b in latents.blocks if b.kind == "categorical"]
    return columns, categories


def _varies(probabilities: np.ndarray) -> bool:
    from zoo.metrics.active_units import THRESHOLD

    # A_b = sum_k Var_x( q(z_b = k|x) )
    return bool(probabilities.var(axis=0, ddof=1).sum() > THRESHOLD)
