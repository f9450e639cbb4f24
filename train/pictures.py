"""What a run shows of itself: samples, reconstructions, terms over time, a 2-D latent space."""

from __future__ import annotations

from typing import Any

import numpy as np

from train import plots
from train.data import Dataset
from train.workdir import Workdir
from zoo import priors

_GRID = 64
_POINTS = 2000
_COLUMN = 12


def draw(model: Any, dataset: Dataset, images: Any, workdir: Workdir) -> None:
    """Draws everything the model has pictures of.

    Args:
      model: the LagrangianModel as it is.
      dataset: where the labels of the test images come from.
      images: batches of test images in the order of their labels.
      workdir: gets plots/*.png.
    """
    if isinstance(model.prior, priors.Empirical):
        _draw_translations(model, images, workdir)
        return
    latent_dim = model.encoder.event_shape[0]
    shown = np.concatenate(_first(images, _POINTS if latent_dim == 2 else _GRID // 2))
    plots.samples(model.sample(_GRID).numpy(), workdir.plots / "samples.png")
    pairs = shown[: _GRID // 2]
    plots.reconstructions(
        pairs, model.reconstruct(pairs).numpy(), workdir.plots / "reconstructions.png"
    )
    plots.terms(workdir.records(), workdir.plots / "terms.png")
    if latent_dim == 2:
        labels = getattr(dataset.split("test"), "labels", None)
        labels = None if labels is None else np.asarray(labels)[: len(shown)]
        codes = model.encode(shown).sample(seed=[0, 0]).numpy()
        plots.latent(codes, labels, workdir.plots / "latent.png")


def _draw_translations(model: Any, pairs: Any, workdir: Workdir) -> None:
    """Draws images of either space, each with its translation and the way back."""
    x, z = next(iter(pairs))
    x, z = x[:_COLUMN], z[:_COLUMN]
    with model.averaged():
        there, back = model.encode(x).mean(), model.decode(z).mean()
        plots.translations(
            [x, there, model.decode(there).mean()], workdir.plots / "x_to_z_to_x.png"
        )
        plots.translations([z, back, model.encode(back).mean()], workdir.plots / "z_to_x_to_z.png")
    plots.terms(workdir.records(), workdir.plots / "terms.png")


def _first(batches: Any, count: int) -> list[np.ndarray]:
    parts, found = [], 0
    for batch in batches.as_numpy_iterator():
        parts.append(batch[: count - found])
        found += len(parts[-1])
        if found == count:
            break
    return parts
