"""A trained model with the inputs of its measures: images, codes, samples and a classifier."""

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

TRAINING_IMAGES = 20_000  # at most, for a classifier or a support vector machine
ANNEALED = 100  # at most, images for annealed chains, which take seconds each
_BATCH = 250


@dataclasses.dataclass(frozen=True)
class Options:
    """How a run is evaluated.

    Attributes:
      split: the split of the images.
      points: the largest number of images; the same number of samples is drawn.
      seed: of samples, codes and bootstraps.
      draws: draws of importance sampling for each image.
      labelled: a labelled dataset of the same image shape, for measures that need labels if the
        run's dataset has none.
      cache: a folder for trained classifiers; None keeps none.
      classifier_steps: training steps of a classifier.
      inception: weights of Inception V3, whose features replace the classifier's.
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
    """The model and data of an evaluation. Each part is computed once, when first used.

    x is images, or rows of a table or vectors; the words below are those for images.

    Images are as in training: binarized if the training images were. Samples are comparable with
    them: x ~ p(x|z) if images are binarized or p(x|z) has no mean, and the means E[x|z] otherwise.
    They use the averaged weights if the model has them. If z is an image, samples are translations
    of the split's images z. If the model has a condition, one sample is drawn for each image's
    condition. A part that the model or its data does not have, such as labels or vectors z, raises
    InputError.

    Args:
      model: a LagrangianModel.
      dataset: the run's dataset, with its binarization resolved.
      config: the run's configuration.
      options: how to evaluate.
    """

    def __init__(self, model: Any, dataset: Any, config: RunConfig, options: Options = Options()):
        if options.points < 4:
            raise InputError(f"--points={options.points} is too small: give 4 or more.")
        self.model = model
        self.dataset = dataset
        self.config = config
        self.options = options
        dataset.split(options.split)
        assembly.check_table(model, dataset)

    @functools.cached_property
    def images(self) -> np.ndarray:
        """The images x of the split, [N, H, W, C]."""
        return self._of(self.dataset, self.options.split, self.options.points)[0]

    @functools.cached_property
    def conditions(self) -> np.ndarray | None:
        """The conditions of the images, [N, ...]; None if the model has no condition."""
        if not self.conditional:
            return None
        return np.asarray(self._of(self.dataset, self.options.split, self.options.points)[2])

    @functools.cached_property
    def by_class(self) -> list[SubjectOfClass]:
        """One subject per class in the images: the model at that condition, with its images.

        Raises:
          InputError: the condition is not a class.
        """
        if self.model.condition.classes is None:
            raise InputError("It is measured by class, and the model's condition is not a class.")
        classes = np.unique(np.asarray(self.conditions))
        return [SubjectOfClass(self, int(c)) for c in classes]

    @functools.cached_property
    def partners(self) -> np.ndarray:
        """The partners of the images, z [N, H', W', C'], if z is an image."""
        if not self.paired:
            raise InputError(f"The codes of {self.name} are vectors, which have no partners.")
        if not self.dataset.true_partners:
            raise InputError(f"The true partners of {self.dataset.name!r} are unknown.")
        return self._of(self.dataset, self.options.split, self.options.points)[1]

    @functools.cached_property
    def codes(self) -> np.ndarray:
        """E[z|x] of the images, [N, K]."""
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
        """Samples x, as many as images."""
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
        """E[x|z] at the z of `samples`, without pixel noise; the samples if there is no mean."""
        if not self.model.decoder.has_mean:
            return self.samples
        return self._decoded(lambda p, _: p.mean().numpy())

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """The labels of the images, [N]."""
        return self._labels(self.dataset, self.options.split)[: len(self.images)]

    @functools.cached_property
    def labelled(self) -> Any:
        """The dataset that provides labels: --labelled if given, otherwise the run's."""
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
        """Labelled images of the evaluated split, and their labels."""
        return self._labelled_examples(self.options.split)

    @functools.cached_property
    def classifier(self) -> Any:
        """A classifier trained on the labelled images."""
        from zoo.metrics.classifier import train_classifier

        return train_classifier(
            *self.training_examples,
            *self._labelled_examples("test"),
            steps=self.options.classifier_steps,
            cache=self.options.cache,
        )

    @functools.cached_property
    def judged_images(self) -> tuple[np.ndarray, np.ndarray]:
        """The classifier's features and decisions for the images."""
        return self.classifier(self.images)

    @functools.cached_property
    def judged_samples(self) -> tuple[np.ndarray, np.ndarray]:
        """The classifier's features and decisions for the samples."""
        return self.classifier(self.samples)

    @functools.cached_property
    def judged_means(self) -> tuple[np.ndarray, np.ndarray]:
        """The classifier's features and decisions for the sample means."""
        return self.classifier(self.sample_means)

    @functools.cached_property
    def features(self) -> tuple[np.ndarray, np.ndarray, str]:
        """Features of the samples and of the images, and the name of the features."""
        if self.options.inception is None:
            return self.judged_samples[0], self.judged_images[0], self.classifier.name
        from zoo.metrics.inception import inception_features

        of = inception_features(self.options.inception)
        return of(self.samples), of(self.images), f"Inception V3 with {self.options.inception}"

    @functools.cached_property
    def coverage(self) -> Any:
        """How well the sample means cover the data.

        Means are used because samples of one mean differ in pixel noise, which is not diversity.
        """
        from zoo.metrics.coverage import coverage

        return coverage(
            *self.judged_means, self.judged_images[0], self.data_classes, self.options.seed
        )

    @functools.cached_property
    def data_classes(self) -> np.ndarray:
        """The labels of the images, or the classifier's decisions if they have no labels."""
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
        """Rate, distortion and -ELBO of the images, for an encoder without a density q(z|x)."""
        from zoo.metrics import implicit_bound

        return implicit_bound(self.between_vectors, self.images, seed=self.options.seed)

    @functools.cached_property
    def importance_sampling(self) -> Any:
        """The importance-sampling estimate for the images."""
        from zoo.metrics import importance_sampling

        return importance_sampling(
            self.between_vectors, self.images, self.options.draws, seed=self.options.seed
        )

    @functools.cached_property
    def bracket(self) -> Any:
        """Upper and lower bounds by annealed chains, on images simulated from the model."""
        from zoo.metrics import bracket

        count = min(len(self.images), ANNEALED)
        return bracket(self.between_vectors, count, seed=self.options.seed)

    @functools.cached_property
    def sigma_opt(self) -> float:
        """The best single scale of p(x|z), fitted on training images."""
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
        """Whether z is an image of a second dataset."""
        from zoo import priors

        return priors.is_data(self.model.prior)

    @property
    def between_vectors(self) -> Any:
        """The model; raises InputError if z is an image, because p(z) has no known density."""
        if self.paired:
            raise InputError(f"The codes of {self.name} are images of a dataset, not vectors.")
        return self.model

    def codes_of(self, images: np.ndarray) -> np.ndarray:
        """Returns E[z|x], [N, K].

        Raises:
          InputError: z is an image, q(z|x) has no mean, or the encoder reads the labels.
        """
        if self.conditional:
            raise InputError(
                f"The encoder of {self.name} reads the condition, so its codes cannot be judged by "
                "labels."
            )
        from zoo.distributions.probes import encoded_mean

        return self._encoded(images, lambda x, _: encoded_mean(self.model, x, "A code"))

    def _encoded(self, images: np.ndarray, read: Callable[[Any, int], Any]) -> np.ndarray:
        """Applies `read` to batches of images; raises InputError if z is an image."""
        self.between_vectors  # noqa: B018, which raises
        return np.concatenate(
            [
                read(images[start : start + _BATCH], start).numpy()
                for start in range(0, len(images), _BATCH)
            ]
        )

    def _decoded(self, read: Callable[[Any, int], np.ndarray]) -> np.ndarray:
        """Applies `read` to p(x|z), for z from the prior, or the split's images z."""
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
            raise InputError(f"A sample of {self.name} is not finite: it diverged; train it again.")
        return found

    def _labelled_examples(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        most = TRAINING_IMAGES if split == "train" else self.options.points
        images = self._of(self.labelled, split, most)[0]
        return images, self._labels(self.labelled, split)[: len(images)]

    def _of(self, dataset: Any, split: str, most: int) -> Batch:
        """Returns the first images of a split, with z and the condition if there are any."""
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
                f"{dataset.name!r} has no labels: name a labelled dataset of the same image shape, "
                "as in --labelled=mnist."
            )
        return np.asarray(labels)


class SubjectOfClass(Subject):
    """A conditional model at one class with the images of that class, as an unconditional subject.

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
