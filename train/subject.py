"""A trained model with what is measured of it: images, codes, samples and a classifier."""

from __future__ import annotations

import dataclasses
import functools
import os
from typing import Any

import numpy as np

from train import data
from train.config import RunConfig
from zoo.errors import InputError

TRAINING_IMAGES = 20_000  # the most that a classifier or a support vector machine is given
_BATCH = 250


@dataclasses.dataclass(frozen=True)
class Options:
    """How a run is evaluated.

    Attributes:
      split: whose images are looked at.
      points: the most of them, and how many samples are drawn.
      seed: of samples, codes and bootstraps.
      draws: of importance sampling, for each image.
      labelled: a labelled dataset of the same shape for measures that need labels, where the
        run's own has none.
      cache: a folder where classifiers are kept; None for none.
    """

    split: str = "test"
    points: int = 5000
    seed: int = 0
    draws: int = 1000
    labelled: str | None = None
    cache: str | os.PathLike[str] | None = None


class Subject:
    """What is evaluated. Each part is made once, when a measure first asks for it.

    Images are what the run was trained on, binarized if that was. Samples are made alike: where
    images are binarized they are x ~ p(x|z), else the means E[x|z]; of the averaged weights if
    there are any; and where z is images they are translations of these. Parts raise InputError
    where a model or its data has none: no labels, no prior to sample, streamed images.

    Args:
      model: a LagrangianModel.
      dataset: the run's, with its binarization resolved.
      config: the run's.
      options: how it is evaluated.
    """

    def __init__(self, model: Any, dataset: Any, config: RunConfig, options: Options = Options()):
        if options.points < 4:
            raise InputError(f"--points={options.points}: give 4 or more.")
        self.model = model
        self.dataset = dataset
        self.config = config
        self.options = options
        dataset.split(options.split)

    @functools.cached_property
    def images(self) -> np.ndarray:
        """x [N, H, W, C] of the split."""
        return self._of(self.dataset, self.options.split, self.options.points)[0]

    @functools.cached_property
    def partners(self) -> np.ndarray:
        """z [N, H', W', C'], the partners of the images where z is images."""
        if not self.paired:
            raise InputError(f"The codes of {self.name} are no images, which partners are.")
        if not self.dataset.true_partners:
            raise InputError(f"The true partners of {self.dataset.name!r} are not known.")
        return self._of(self.dataset, self.options.split, self.options.points)[1]

    @functools.cached_property
    def codes(self) -> np.ndarray:
        """E[z|x] [N, K] of the images."""
        return self.codes_of(self.images)

    @functools.cached_property
    def samples(self) -> np.ndarray:
        """As many samples as images."""
        count, seed = len(self.images), self.options.seed
        if self.paired:
            z = self._of(self.dataset, self.options.split, self.options.points)[1]
        else:
            from zoo.conditionals import stateless_seed

            z = self.model.prior.sample(count, seed=stateless_seed([self.config.seed, seed]))
            z = np.asarray(z)
        found = []
        with self.model.averaged():
            for start in range(0, count, _BATCH):
                likelihood = self.model.decode(z[start : start + _BATCH])
                found.append(self._shown(likelihood, start))
        samples = np.concatenate(found)
        if not np.isfinite(samples).all():
            raise InputError(f"A sample of {self.name} is not finite: it diverged, train it again.")
        return samples

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """The labels of the images, [N]."""
        return self._labels(self.dataset, self.options.split)[: len(self.images)]

    @functools.cached_property
    def labelled(self) -> Any:
        """The dataset whose labels are used: the run's own, or the one named instead."""
        if self.options.labelled is None:
            self._labels(self.dataset, "train")
            return self.dataset
        binarization = "none" if self.dataset.binarization == "none" else "dynamic"
        found = data.load(self.options.labelled, self.config.data_dir, binarization)
        if found.image_shape != self.dataset.image_shape:
            raise InputError(
                f"--labelled={self.options.labelled} has images of shape {found.image_shape} and "
                f"{self.dataset.name!r} of {self.dataset.image_shape}: name one of the same shape."
            )
        self._labels(found, "train")
        return found

    @functools.cached_property
    def training_examples(self) -> tuple[np.ndarray, np.ndarray]:
        """Labelled images of the training split, and their labels."""
        return self._labelled_examples("train")

    @functools.cached_property
    def held_out_examples(self) -> tuple[np.ndarray, np.ndarray]:
        """Labelled images of the split that is evaluated, and their labels."""
        return self._labelled_examples(self.options.split)

    @functools.cached_property
    def classifier(self) -> Any:
        """A classifier of the labelled images."""
        from zoo.metrics.classifier import train_classifier

        return train_classifier(
            *self.training_examples, *self._labelled_examples("test"), cache=self.options.cache
        )

    @functools.cached_property
    def judged_images(self) -> tuple[np.ndarray, np.ndarray]:
        """The classifier's features and decisions about the images."""
        return self.classifier(self.images)

    @functools.cached_property
    def judged_samples(self) -> tuple[np.ndarray, np.ndarray]:
        """The classifier's features and decisions about the samples."""
        return self.classifier(self.samples)

    @functools.cached_property
    def data_classes(self) -> np.ndarray:
        """The labels of the images; the classifier's decisions where they have none."""
        try:
            return self.labels
        except InputError:
            return self.judged_images[1]

    @functools.cached_property
    def importance_sampling(self) -> Any:
        """What importance sampling finds about the images."""
        from zoo.metrics.log_likelihood import importance_sampling

        return importance_sampling(
            self.model, self.images, self.options.draws, seed=self.options.seed
        )

    @property
    def name(self) -> str:
        return str(self.model.objective.name)

    @property
    def paired(self) -> bool:
        """Whether z is images of a second data set."""
        from zoo import priors

        return isinstance(self.model.prior, priors.Empirical)

    def codes_of(self, images: np.ndarray) -> np.ndarray:
        """Returns E[z|x], [N, K]; raises InputError where z is images."""
        if self.paired:
            raise InputError(f"The codes of {self.name} are images, and this measures vectors.")
        return np.concatenate(
            [
                self.model.encode(images[start : start + _BATCH]).mean().numpy()
                for start in range(0, len(images), _BATCH)
            ]
        )

    def _shown(self, likelihood: Any, start: int) -> np.ndarray:
        """Returns what of p(x|z) is compared with images."""
        from zoo.conditionals import stateless_seed

        if self.dataset.binarization == "none" or not self.model.decoder.has_density:
            return likelihood.mean().numpy()
        return likelihood.sample(seed=stateless_seed([self.options.seed, start])).numpy()

    def _labelled_examples(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        most = TRAINING_IMAGES if split == "train" else self.options.points
        images = self._of(self.labelled, split, most)[0]
        return images, self._labels(self.labelled, split)[: len(images)]

    def _of(self, dataset: Any, split: str, most: int) -> list[np.ndarray]:
        """Returns the first images of a split, and those of z where there are some."""
        batches = dataset.batches(
            split, _BATCH, self.config.seed, drop_remainder=False, repeat=False, shuffle=False
        )
        parts: list[tuple[np.ndarray, ...]] = []
        for batch in batches.take(-(-most // _BATCH)).as_numpy_iterator():
            parts.append(batch if isinstance(batch, tuple) else (batch,))
        return [np.concatenate(column)[:most] for column in zip(*parts, strict=True)]

    def _labels(self, dataset: Any, split: str) -> np.ndarray:
        labels = getattr(dataset.split(split), "labels", None)
        if labels is None or np.ndim(labels) != 1:
            raise InputError(
                f"{dataset.name!r} has no labels: name a dataset of the same images that has, "
                "as in --labelled=mnist."
            )
        return np.asarray(labels)
