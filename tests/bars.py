"""Small labelled images, and runs of models that were never trained on them."""

import numpy as np

from train.loop import assembly
from train.workdirs.config import RunConfig
from train.workdirs.workdir import Workdir
from zoo.objectives import family


def write(path, n=1000, labels=True):
    """Writes n images of 8x8 with a bright bar in one of four places; returns the path."""
    rng = np.random.default_rng(0)
    place = rng.integers(4, size=n)
    images = rng.uniform(0.0, 0.3, size=(n, 8, 8)).astype(np.float32)
    for image, row in zip(images, place, strict=True):
        image[2 * row : 2 * row + 2] += 0.6
    np.savez(path, images=images, **({"labels": place} if labels else {}))
    return str(path)


def config(dataset, model="vae", **options):
    defaults = {"latent_dim": 2, "steps": 10, "batch_size": 32}
    objective = family.objective(model).to_config()
    return RunConfig(objective=objective, dataset=dataset, **{**defaults, **options})


def untrained(path, config):
    """Makes a run folder with a checkpoint of a new model; returns it, its model and its data."""
    dataset = assembly.load_dataset(config)
    model = assembly.build_model(
        config, dataset.image_shape, 10, getattr(dataset, "latent_shape", None)
    )
    workdir = Workdir(path)
    workdir.create(config)
    workdir.save(model)
    return workdir, model, dataset
