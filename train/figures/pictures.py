"""What a run shows of itself: samples, reconstructions, terms over time, codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from train.data import Dataset
from train.figures import marginals, plots
from train.workdirs.workdir import Workdir
from zoo import priors
from zoo.batch import Batch

_GRID = 64
_POINTS = 2000
_COLUMN = 12
_MOST_VALUES = 20
_PER_CLASS = 10


def draw(model: Any, dataset: Dataset, images: Any, workdir: Workdir) -> None:
    """Draws everything the model has pictures of.

    Args:
      model: the LagrangianModel as it is.
      dataset: where the labels of the test images come from.
      images: batches of test images in the order of their labels, with their conditions if any.
      workdir: gets plots/*.png.
    """
    if priors.is_data(model.prior):
        _draw_translations(model, images, workdir)
        return
    latent_dim = model.encoder.event_shape[0]
    of_images = len(model.decoder.event_shape) == 3
    first = _POINTS if latent_dim == 2 or not of_images else _GRID // 2
    shown, conditions = _first(images, first)
    if of_images:
        _draw_samples(model, conditions, workdir)
        pairs = shown[: _GRID // 2]
        of_pairs = () if conditions is None else (conditions[: _GRID // 2],)
        again = model.reconstruct(pairs, *of_pairs).numpy()
        plots.reconstructions(pairs, again, workdir.plots / "reconstructions.png")
        for block in _codes(model):
            plots.samples(by_value(model, block), workdir.plots / f"by_{block.name}.png")
    else:
        _draw_marginals(model, shown, conditions, workdir)
    plots.terms(workdir.records(), workdir.plots / "terms.png")
    if latent_dim == 2:
        labels = getattr(dataset.split("test"), "labels", None)
        labels = None if labels is None else np.asarray(labels)[: len(shown)]
        beside = () if conditions is None else (conditions,)
        codes = model.encode(shown, *beside).sample(seed=[0, 0]).numpy()
        plots.latent(codes, labels, workdir.plots / "latent.png")


def _draw_samples(model: Any, conditions: np.ndarray | None, workdir: Workdir) -> None:
    """Draws samples: of each class in a row, or of the conditions of data."""
    columns: dict[str, int] = {}
    if model.condition is None:
        samples = model.sample(_GRID).numpy()
    elif model.condition.classes is not None:
        samples, columns = of_each_class(model), {"columns": _PER_CLASS}
    else:
        samples = model.sample(_GRID, condition=_repeated(conditions, _GRID)).numpy()
    plots.samples(samples, workdir.plots / "samples.png", **columns)


def of_each_class(model: Any) -> np.ndarray:
    """Returns E[x|z,c], [classes * 10, H, W, C]: a row of 10 for each class, of the same z.

    Of more than 20 classes the first 20. Where p(x|z,c) has no mean, x ~ p(x|z,c).
    """
    classes = min(model.condition.classes, _MOST_VALUES)
    z = np.array(model.prior.sample(_PER_CLASS, seed=[model.seed, 0]))
    with model.averaged():
        rows = [
            model.decoder.mean_or_sample(model.decode(z, label)).numpy() for label in range(classes)
        ]
    return np.concatenate(rows)


def _draw_marginals(
    model: Any, data: np.ndarray, conditions: np.ndarray | None, workdir: Workdir
) -> None:
    """Draws the columns of data beside those of samples x ~ p(x|z), of the data's conditions."""
    given = None if conditions is None else _repeated(conditions, _POINTS)
    drawn = model.draw(_POINTS, condition=given).numpy()

    def rows(x: np.ndarray) -> dict[str, np.ndarray]:
        if model.table is not None:
            return model.table.decode(x)
        return {"x": np.asarray(x, np.float64).reshape(len(x), -1)}

    marginals.marginals(rows(data), rows(drawn), workdir.plots / "marginals.png")


def _repeated(conditions: Any, count: int) -> np.ndarray:
    """Returns conditions [N, ...] again and again, `count` of them."""
    return np.resize(conditions, (count, *np.shape(conditions)[1:]))


def by_value(model: Any, block: Any) -> np.ndarray:
    """Returns E[x|z], [n * n, H, W, C], for z ~ p(z) whose `block` has value i mod n in the i-th.

    As a grid of n columns each of them has one value of the code, and where there is a condition
    each row one class, 0, 1, ... Where p(x|z) has no mean, x ~ p(x|z).
    """
    n = block.size
    z = np.array(model.prior.sample(n * n, seed=[model.seed, 0]))
    z[:, block.start : block.stop] = np.eye(n)[np.arange(n * n) % n]
    given = () if model.condition is None else (np.arange(n * n) // n % model.condition.classes,)
    with model.averaged():
        return model.decoder.mean_or_sample(model.decode(z, *given)).numpy()


def _codes(model: Any) -> list[Any]:
    """Returns the categorical blocks of z whose every value can be shown.

    None where the condition has no classes, of which rows could be.
    """
    if model.condition is not None and model.condition.classes is None:
        return []
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


def _first(batches: Any, count: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the first images, and their conditions, None without any."""
    images: list[np.ndarray] = []
    conditions: list[np.ndarray] = []
    found = 0
    for batch in batches.as_numpy_iterator():
        x, _, c = Batch.of(batch).parts()
        images.append(x[: count - found])
        conditions += [] if c is None else [c[: count - found]]
        found += len(images[-1])
        if found == count:
            break
    return np.concatenate(images), np.concatenate(conditions) if conditions else None
