"""A small classifier of labelled images, for measures of samples by classes and features."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.errors import InputError
from zoo.metrics.measured import Measured

FEATURES = 64
STEPS = 1500
_BATCH = 128
_BLOCK = 500  # images per batch
_VERSION = 1  # of the network and its training, in file names of the cache


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A convolutional classifier with its held-out accuracy.

    Attributes:
      network: [B, H, W, C] -> (features [B, 64], logits [B, K]).
      classes: [K], the labels in the order of the logits.
      accuracy: the accuracy on held-out labelled images.
      fingerprint: hash of data, seed and length of training, which determine the weights.
    """

    network: Callable[[Any], Any]
    classes: np.ndarray
    accuracy: Measured
    fingerprint: str

    @property
    def name(self) -> str:
        """The name of its features in reports."""
        return (
            f"{FEATURES} features of the project's classifier {self.fingerprint[:8]}, test "
            f"accuracy {self.accuracy.value:.3f}"
        )

    def __call__(self, images: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns the features [N, 64] of images [N, H, W, C] in [0, 1], and their classes [N]."""
        return _applied(self.network, self.classes, images)


def train_classifier(
    images: Any,
    labels: Any,
    held_out: Any,
    held_out_labels: Any,
    seed: int = 0,
    steps: int = STEPS,
    cache: str | os.PathLike[str] | None = None,
) -> Classifier:
    """Trains a classifier on labelled images, or reads it from the cache.

    It has convolutions of 5x5 and 3x3 that halve the sides down to 7 or less, a dense layer of 64
    ReLU features, and softmax. It is trained by Adam on batches of 128 with shifts of up to a
    fourteenth of the side, and a learning rate with cosine decay from 1e-3 to 0. The result depends
    only on the data and the seed. On 28 x 28 images it takes 10 to 30 seconds on two cores.

    Args:
      images: [N, H, W, C] in [0, 1].
      labels: [N], whole numbers.
      held_out, held_out_labels: images and labels for the accuracy.
      seed: seed of weights and order.
      steps: the number of training batches.
      cache: a folder of trained classifiers, which is read, and written if this one is missing.

    Raises:
      InputError: images and labels differ in number, or all labels are equal.
    """
    images, labels = _checked(images, labels, "training")
    held_out, held_out_labels = _checked(held_out, held_out_labels, "held-out")
    classes, targets = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise InputError(f"Every training label is {classes[0]}: a classifier needs two classes.")
    fingerprint = _fingerprint(images, labels, seed, steps)
    path = None if cache is None else Path(cache) / f"classifier-{fingerprint}.weights.h5"
    network = None if path is None else _read(path, images.shape[1:], len(classes), seed)
    if network is None:
        network = _trained(images, targets, len(classes), seed, steps)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".partial-{path.name}")
            network.save_weights(partial)
            os.replace(partial, path)
    _, predicted = _applied(network, classes, held_out)
    accuracy = Measured.of_mean(
        (predicted == held_out_labels).astype(np.float64),
        f"share of held-out images that a convolutional classifier gets right, trained on "
        f"{len(images)}",
        units="share",
    )
    return Classifier(network, classes, accuracy, fingerprint)


def _read(path: Path, image_shape: tuple[int, ...], classes: int, seed: int) -> Any:
    """Returns the classifier with the weights in a file; None if the file is not valid."""
    if not path.is_file():
        return None
    network = _network(image_shape, classes, seed)
    try:
        network.load_weights(path)
    except Exception:  # h5py and Keras raise many kinds on damaged files
        return None
    return network


def _applied(network: Any, classes: np.ndarray, images: Any) -> tuple[np.ndarray, np.ndarray]:
    images = np.asarray(images, np.float32)
    if len(images) == 0:
        raise InputError("There are no images to classify: give some.")
    found = [
        [part.numpy() for part in network(images[start : start + _BLOCK])]
        for start in range(0, len(images), _BLOCK)
    ]
    features, logits = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return features, classes[logits.argmax(axis=1)]


def _trained(
    images: np.ndarray, targets: np.ndarray, classes: int, seed: int, steps: int
) -> keras.Model:
    network = _network(images.shape[1:], classes, seed)
    rng = np.random.default_rng(seed)
    batch = min(_BATCH, len(images))
    epochs = -(-steps * batch // len(images))
    order = np.concatenate([rng.permutation(len(images)) for _ in range(epochs)])
    order = order[: steps * batch].reshape(steps, batch)
    height, width = images.shape[1:3]
    border = min(height, width) // 14
    corners = rng.integers(2 * border + 1, size=(steps, 2))
    with tf.device("CPU:0"):
        x, y = tf.constant(images), tf.constant(targets)

    def one(index: tf.Tensor, corner: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        edges = [[0, 0], [border, border], [border, border], [0, 0]]
        padded = tf.pad(tf.gather(x, index), edges)
        shifted = padded[:, corner[0] : corner[0] + height, corner[1] : corner[1] + width]
        return tf.ensure_shape(shifted, (batch, *images.shape[1:])), tf.gather(y, index)

    batches = tf.data.Dataset.from_tensor_slices((order, corners)).map(one)
    # Shares the network's variables; the loss needs only the logits.
    classifier = keras.Model(network.inputs, network.outputs[1])
    classifier.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    classifier.fit(batches.prefetch(2), epochs=1, shuffle=False, verbose=0)
    return network


def _network(image_shape: tuple[int, ...], classes: int, seed: int) -> keras.Model:
    seeds = iter(np.random.SeedSequence(seed).generate_state(16).tolist())

    def start() -> Any:
        return keras.initializers.HeNormal(seed=next(seeds))

    image = keras.Input(image_shape, name="image")
    features, maps, side = image, 16, max(image_shape[:2])
    for index in range(max(1, math.ceil(math.log2(side / 7)))):
        kernel = 5 if index == 0 else 3
        features = keras.layers.Conv2D(
            maps,
            kernel,
            strides=2,
            padding="same",
            activation="relu",
            kernel_initializer=start(),
            name=f"conv_{index}",
        )(features)
        maps = min(2 * maps, 64)
    features = keras.layers.Flatten(name="flat")(features)
    features = keras.layers.Dense(
        FEATURES, activation="relu", kernel_initializer=start(), name="features"
    )(features)
    logits = keras.layers.Dense(classes, kernel_initializer=start(), name="logits")(features)
    return keras.Model(image, [features, logits], name="classifier")


def _checked(images: Any, labels: Any, what: str) -> tuple[np.ndarray, np.ndarray]:
    images, labels = np.asarray(images, np.float32), np.asarray(labels)
    if images.ndim != 4 or labels.shape != (len(images),) or not len(images):
        raise InputError(
            f"The {what} images have shape {images.shape} and labels {labels.shape}: give images "
            "[N, H, W, C] and one label to each."
        )
    return images, labels


def _fingerprint(images: np.ndarray, labels: np.ndarray, seed: int, steps: int) -> str:
    digest = hashlib.sha256(f"{_VERSION} {images.shape} {seed} {steps}".encode())
    digest.update(np.ascontiguousarray(images).data)
    digest.update(np.ascontiguousarray(labels, np.int64).data)
    return digest.hexdigest()[:16]
