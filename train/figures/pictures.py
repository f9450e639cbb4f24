"""What a run shows of itself: samples, reconstructions, terms over time, codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from train.data import Dataset
from train.figures import marginals, plots
from train.workdirs.workdir import Workdir
from zoo import priors

_GRID = 64
_POINTS = 2000
_COLUMN = 12
_MOST_VALUES = 20


def draw(model: Any, dataset: Dataset, images: Any, workdir: Workdir) -> None:
    """Draws everything the model has pictures of.

    Args:
      model: the LagrangianModel as it is.
      dataset: where the labels of the test images come from.
      images: batches of test images in the order of their labels.
      workdir: gets plots/*.png.
    """
    if priors.is_data(model.prior):
        _draw_translations(model, images, workdir)
        return
    latent_dim = model.encoder.event_shape[0]
    of_images = len(model.decoder.event_shape) == 3
    first = _POINTS if latent_dim == 2 or not of_images else _GRID // 2
    shown = np.concatenate(_first(images, first))
    if of_images:
        plots.samples(model.sample(_GRID).numpy(), workdir.plots / "samples.png")
        pairs = shown[: _GRID // 2]
        plots.reconstructions(
            pairs, model.reconstruct(pairs).numpy(), workdir.plots / "reconstructions.png"
        )
        for block in _codes(model):
            plots.samples(by_value(model, block), workdir.plots / f"by_{block.name}.png")
    else:
        _draw_marginals(model, shown, workdir)
    plots.terms(workdir.records(), workdir.plots / "terms.png")
    if latent_dim == 2:
        labels = getattr(dataset.split("test"), "labels", None)
        labels = None if labels is None else np.asarray(labels)[: len(shown)]
        codes = model.encode(shown).sample(seed=[0, 0]).numpy()
        plots.latent(codes, labels, workdir.plots / "latent.png")


def _draw_marginals(model: Any, data: np.ndarray, workdir: Workdir) -> None:
    """Draws the columns of data beside those of as many samples x ~ p(x|z)."""
    drawn = drawn_rows(model, _POINTS)

    def rows(x: np.ndarray) -> dict[str, np.ndarray]:
        if model.table is not None:
            return model.table.decode(x)
        return {"x": np.asarray(x, np.float64).reshape(len(x), -1)}

    marginals.marginals(rows(data), rows(drawn), workdir.plots / "marginals.png")


def drawn_rows(model: Any, n: int) -> np.ndarray:
    """Returns x ~ p(x|z) for n draws z ~ p(z), [n, ...], of averaged weights if there are any."""
    with model.averaged():
        z = model.prior.sample(n, seed=[model.seed, 0])
        return model.decode(z).sample(seed=[model.seed + 1, 0]).numpy()


def by_value(model: Any, block: Any) -> np.ndarray:
    """Returns E[x|z], [n * n, H, W, C], for z ~ p(z) whose `block` has value i mod n in the i-th.

    As a grid of n columns each of them has one value of the code. Where p(x|z) has no mean, x ~
    p(x|z).
    """
    n = block.size
    z = np.array(model.prior.sample(n * n, seed=[model.seed, 0]))
    z[:, block.start : block.stop] = np.eye(n)[np.arange(n * n) % n]
    with model.averaged():
        return model.decoder.mean_or_sample(model.decode(z)).numpy()


def _codes(model: Any) -> list[Any]:
    """Returns the categorical blocks of z whose every value can be shown."""
    latents = getattr(getattr(model.encoder, "family", None), "latents", None)
    blocks = latents.blocks if latents else ()
    return [b for b in blocks if b.kind == "categorical" and b.size <= _MOST_VALUES]


def _draw_translations(model: Any, pairs: Any, workdir: Workdir) -> None:
    """Draws images of either space, each with its translation and the way back."""
    x, z = next(iter(pairs))
    x, z = x[:_COLUMN], z[:_COLUMN]
    with model.averaged():

        def to_z(x: Any) -> Any:
            return model.encoder.mean_or_sample(model.encode(x))

        def to_x(z: Any) -> Any:
            return model.decoder.mean_or_sample(model.decode(z))

        there, back = to_z(x), to_x(z)
        plots.translations([x, there, to_x(there)], workdir.plots / "x_to_z_to_x.png")
        plots.translations([z, back, to_z(back)], workdir.plots / "z_to_x_to_z.png")
    plots.terms(workdir.records(), workdir.plots / "terms.png")


def _first(batches: Any, count: int) -> list[np.ndarray]:
    parts, found = [], 0
    for batch in batches.as_numpy_iterator():
        parts.append(batch[: count - found])
        found += len(parts[-1])
        if found == count:
            break
    return parts
