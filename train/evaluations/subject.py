"""A trained model with what is measured of it: images, codes, samples and a classifier."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from train import data
from train.loop import assembly
from train.workdirs.config import RunConfig
from zoo.batch import Batch
from zoo.errors import InputError

TRAINING_IMAGES = 20_000  # the most that a classifier or a support vector machine is given
ANNEALED = 100  # the most images that chains are run for: they take seconds each
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
      classifier_steps: of the training of a classifier.
      inception: weights of Inception V3, in place of the classifier's features.
    """

    split: str = "test"
    points: int = 5000
    seed: int = 0
    draws: int = 1000
    labelled: str | None = None
    cache: str | os.PathLike[str] | None = None
    classifier_steps: int = 1500
    inception: str | None = None


class Subject:
    """What is evaluated. Each part is made once, when a measure first asks for it.

    x is images, or rows of a table or of vectors; the words are those of images.

    Images are what the run was trained on, binarized if that was. Samples are made alike: where
    images are binarized, or p(x|z) has no mean, they are x ~ p(x|z), else the means E[x|z]; of the
    averaged weights if there are any; and where z is images they are translations of these. Parts
    raise InputError where a model or its data has none: no labels, no vectors z.

    Where the model has a condition, samples are of the conditions of the images, one each.

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
        assembly.check_table(model, dataset)

    @functools.cached_property
    def images(self) -> np.ndarray:
        """x [N, H, W, C] of the split."""
        return self._of(self.dataset, self.options.split, self.options.points)[0]

    @functools.cached_property
    def conditions(self) -> np.ndarray | None:
        """The conditions of the images, [N, ...]; None where the model has none."""
        if not self.conditional:
            return None
        return np.asarray(self._of(self.dataset, self.options.split, self.options.points)[2])

    @functools.cached_property
    def by_class(self) -> list[SubjectOfClass]:
        """The model given each class that the images have, with the images of that class.

        Raises:
          InputError: the condition has no classes.
        """
        if self.model.condition.classes is None:
            raise InputError("Measures of a conditional model are means over classes; it has none.")
        classes = np.unique(np.asarray(self.conditions))
        return [SubjectOfClass(self, int(c)) for c in classes]

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
    def drawn_codes(self) -> np.ndarray:
        """z ~ q(z|x), [N, K], one for each image."""
        from zoo.distributions.conditionals import stateless_seed

        return self._encoded(
            self.images,
            lambda x, i: self.model.encode(x).sample(seed=stateless_seed([self.options.seed, i])),
        )

    @functools.cached_property
    def samples(self) -> np.ndarray:
        """As many samples as images."""
        decoder = self.model.decoder
        if decoder.has_mean and (self.dataset.binarization == "none" or not decoder.has_density):
            return self.sample_means
        from zoo.distributions.conditionals import stateless_seed

        return self._decoded(
            lambda p, i: np.asarray(
                p.sample(seed=stateless_seed([self.options.seed, i])), np.float32
            )
        )

    @functools.cached_property
    def sample_means(self) -> np.ndarray:
        """E[x|z] of the same z: samples without the noise of pixels, if there are means."""
        if not self.model.decoder.has_mean:
            return self.samples
        return self._decoded(lambda p, _: p.mean().numpy())

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
            *self.training_examples,
            *self._labelled_examples("test"),
            steps=self.options.classifier_steps,
            cache=self.options.cache,
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
    def judged_means(self) -> tuple[np.ndarray, np.ndarray]:
        """The classifier's features and decisions about the means of samples."""
        return self.classifier(self.sample_means)

    @functools.cached_property
    def features(self) -> tuple[np.ndarray, np.ndarray, str]:
        """Features of the samples and of the images, and what they are called."""
        if self.options.inception is None:
            return self.judged_samples[0], self.judged_images[0], self.classifier.name
        from zoo.metrics.inception import inception_features

        of = inception_features(self.options.inception)
        return of(self.samples), of(self.images), f"Inception V3 with {self.options.inception}"

    @functools.cached_property
    def coverage(self) -> Any:
        """What of the data the means of samples cover.

        Draws of one mean differ by the noise of their pixels, which is no diversity.
        """
        from zoo.metrics.coverage import coverage

        return coverage(
            *self.judged_means, self.judged_images[0], self.data_classes, self.options.seed
        )

    @functools.cached_property
    def data_classes(self) -> np.ndarray:
        """The labels of the images; the classifier's decisions where they have none."""
        try:
            return self.labels
        except InputError:
            return self.judged_images[1]

    @functools.cached_property
    def rate_distortion(self) -> Any:
        """Rate and distortion of the images."""
        from zoo.metrics import rate_distortion

        return rate_distortion(self.between_vectors, self.images, self.options.seed)

    @functools.cached_property
    def implicit_bound(self) -> Any:
        """Rate, distortion and -ELBO of the images without a density q(z|x)."""
        from zoo.metrics import implicit_bound

        return implicit_bound(self.between_vectors, self.images, seed=self.options.seed)

    @functools.cached_property
    def importance_sampling(self) -> Any:
        """What importance sampling finds about the images."""
        from zoo.metrics import importance_sampling

        return importance_sampling(
            self.between_vectors, self.images, self.options.draws, seed=self.options.seed
        )

    @functools.cached_property
    def bracket(self) -> Any:
        """What annealed chains find about images the model made, from both sides."""
        from zoo.metrics import bracket

        count = min(len(self.images), ANNEALED)
        return bracket(self.between_vectors, count, seed=self.options.seed)

    @functools.cached_property
    def sigma_opt(self) -> float:
        """The best single scale of p(x|z) on training images."""
        from zoo.metrics import sigma_opt

        images = self._of(self.dataset, "train", TRAINING_IMAGES)[0]
        return sigma_opt(self.model, images, self.options.seed)

    @property
    def name(self) -> str:
        return str(self.model.objective.name)

    @property
    def conditional(self) -> bool:
        """Whether the model has a condition."""
        return getattr(self.model, "condition", None) is not None

    @property
    def paired(self) -> bool:
        """Whether z is images of a second data set."""
        from zoo import priors

        return priors.is_data(self.model.prior)

    @property
    def between_vectors(self) -> Any:
        """The model; raises InputError where z is images, whose density is not known."""
        if self.paired:
            raise InputError(f"The codes of {self.name} are images of a data set, not vectors.")
        return self.model

    def codes_of(self, images: np.ndarray) -> np.ndarray:
        """Returns E[z|x], [N, K].

        Raises:
          InputError: z is images, q(z|x) has no mean, or it reads the labels.
        """
        if self.conditional:
            raise InputError(
                f"The encoder of {self.name} reads the condition, so that its codes say nothing "
                "about labels."
            )
        from zoo.distributions.probes import encoded_mean

        return self._encoded(images, lambda x, _: encoded_mean(self.model, x, "A code"))

    def _encoded(self, images: np.ndarray, read: Callable[[Any, int], Any]) -> np.ndarray:
        """Returns what is read of batches of images; raises InputError where z is images."""
        self.between_vectors  # noqa: B018, which raises
        return np.concatenate(
            [
                read(images[start : start + _BATCH], start).numpy()
                for start in range(0, len(images), _BATCH)
            ]
        )

    def _decoded(self, read: Callable[[Any, int], np.ndarray]) -> np.ndarray:
        """Returns what is read of p(x|z), for z of the prior, or images z of the split."""
        count = len(self.images)
        c = self.conditions
        if self.paired:
            z = self._of(self.dataset, self.options.split, self.options.points)[1]
        else:
            from zoo.distributions.conditionals import stateless_seed

            seed = stateless_seed([self.config.seed, self.options.seed])
            with self.model.averaged():
                z = self.model.prior.sample(count, seed=seed).numpy()
        with self.model.averaged():
            found = np.concatenate(
                [
                    read(
                        self.model.decode(
                            *(part[start : start + _BATCH] for part in (z, c) if part is not None)
                        ),
                        start,
                    )
                    for start in range(0, count, _BATCH)
                ]
            )
        if not np.isfinite(found).all():
            raise InputError(f"A sample of {self.name} is not finite: it diverged, train it again.")
        return found

    def _labelled_examples(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        most = TRAINING_IMAGES if split == "train" else self.options.points
        images = self._of(self.labelled, split, most)[0]
        return images, self._labels(self.labelled, split)[: len(images)]

    def _of(self, dataset: Any, split: str, most: int) -> Batch:
        """Returns the first images of a split, with z and the condition where there are some."""
        batches = dataset.batches(
            split, _BATCH, self.config.seed, drop_remainder=False, repeat=False, shuffle=False
        )
        rows = [
            Batch.of(batch, self.paired, self.conditional)
            for batch in batches.take(-(-most // _BATCH)).as_numpy_iterator()
        ]
        columns = zip(*rows, strict=True)
        return Batch(
            *(c[0] if isinstance(c[0], tuple) else np.concatenate(c)[:most] for c in columns)
        )

    def _labels(self, dataset: Any, split: str) -> np.ndarray:
        labels = getattr(dataset.split(split), "labels", None)
        if labels is None and len(getattr(dataset, "image_shape", ())) == 1:
            raise InputError(
                f"{dataset.name!r} has no labels: train with --label_column for a table, or with "
                "y_train beside x_train in an .npz file."
            )
        if labels is None or np.ndim(labels) != 1:
            raise InputError(
                f"{dataset.name!r} has no labels: name a dataset of the same images that has, "
                "as in --labelled=mnist."
            )
        return np.asarray(labels)


class SubjectOfClass(Subject):
    """A conditional model at one class, with the images of that class: an unconditional subject.

    Args:
      whole: the conditional subject.
      label: the class.
    """

    def __init__(self, whole: Subject, label: int):
        super().__init__(whole.model.given(label), whole.dataset, whole.config, whole.options)
        self._label = label

    @property
    def conditional(self) -> bool:
        return False

    def _of(self, dataset: Any, split: str, most: int) -> Batch:
        found = super()._of(dataset, split, most)
        return Batch(found.x[found.c == self._label])
