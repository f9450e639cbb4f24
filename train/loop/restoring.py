"""Restores a run's model from a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from train.loop import assembly
from train.workdirs import archive
from train.workdirs.checkpoints import unreadable
from train.workdirs.config import RunConfig
from train.workdirs.workdir import Workdir
from zoo.errors import InputError

if TYPE_CHECKING:
    from zoo.model.lagrangian_model import LagrangianModel

_OPTIMIZERS = ("optimizer", "critic_optimizer")


def load(
    workdir: Workdir, path: Path, compiled: bool = True, config: RunConfig | None = None
) -> LagrangianModel:
    """Rebuilds a run's model and loads one of its checkpoints, as `from_file` does.

    Args:
      config: the run's configuration; None reads it from config.json.

    Raises:
      InputError: as `from_file`, or there is no config.json.
    """
    config = config or workdir.config()
    if config is None:
        raise InputError(
            f"{workdir.path} has no config.json, which is needed to rebuild the model of "
            f"{path.name}: copy the run's config.json there."
        )
    return from_file(path, config, compiled)


def from_file(path: Path, config: RunConfig, compiled: bool = True) -> LagrangianModel:
    """Rebuilds the model of a run and loads a checkpoint into it, ready to continue training.

    A checkpoint may come from a stranger. Only parts named in `config` are built, and only numeric
    arrays of the shapes that these need are read; see `train.workdirs.archive`.

    Args:
      config: the run's configuration.
      compiled: whether optimizers are built and loaded too.

    Raises:
      InputError: the file is not a readable checkpoint of such a model, or the model cannot be
        built.
    """
    try:
        build, weights = archive.read(path)
    except InputError:
        raise
    except Exception as error:  # zipfile raises many types of error on damaged archives
        raise unreadable(path, error) from None
    try:
        with archive.bounded(path, len(weights)):
            model: LagrangianModel = assembly.rebuilt(config, build, compiled)
    except InputError:
        raise
    except Exception as error:  # a user's own network may raise anything
        raise InputError(
            f"The model of checkpoint {path} cannot be rebuilt from its run's config.json "
            f"({type(error).__name__}: {error}): repair the parts that it names."
        ) from error
    found, needed = archive.H5(weights), archive.H5()
    model.save_weights(needed)
    # Keras would silently leave an optimizer of another size unchanged.
    if reason := archive.misfit(found, needed, () if compiled else _OPTIMIZERS):
        raise InputError(
            f"Checkpoint {path} does not fit the model of its run's config.json ({reason}): use "
            "the config.json and modules it was written with, or delete the checkpoint."
        )
    try:
        model.load_weights(found)
    except Exception as error:  # a user's own layer may raise anything
        raise unreadable(path, error) from None
    return model
