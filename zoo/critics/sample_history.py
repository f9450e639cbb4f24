"""A history of generated images, of which a critic is shown some again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo.distributions.conditionals import stateless_seed
from zoo.errors import InputError


@keras.saving.register_keras_serializable("zoo", name="History")
class SampleHistory(keras.layers.Layer):
    """Replaces about half of the generated images by earlier ones, for the critic's loss alone.

    The images of a batch arrive one after another. While fewer than `size` are kept, one is kept
    and returned. From then on, with probability 1/2, it is returned; otherwise it takes the place
    of one of those kept, each as likely as the other, which is returned in its stead. A critic
    that has to know old images too cannot chase the generator in circles. Shrivastava et al.
    "Learning from Simulated and Unsupervised Images through Adversarial Training." CVPR 2017,
    section 2.3; in this form Zhu et al. (CycleGAN) 2017, section 4, with size 50.

    The images kept are part of its weights, so that checkpoints hold them. What it returns and
    keeps is a function of them, of the images and of the seed. No gradient passes. It is one for
    all replicas, each of which shows it the whole batch.

    Args:
      size: how many images are kept.
      image_shape: [H, W, C], or any shape of one example.

    Raises:
      InputError: size is below 1.
    """

    def __init__(self, size: int, image_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise InputError(f"A history's size is {size!r}: give a positive whole number.")
        self.size = size
        self.image_shape = tuple(int(side) for side in image_shape)
        options = {"initializer": "zeros", "trainable": False, "autocast": False}
        options["aggregation"] = "only_first_replica"
        self.kept = self.add_weight(name="kept", shape=(size, *self.image_shape), **options)
        self.count = self.add_weight(name="count", shape=(), dtype="int32", **options)
        self.built = True

    def call(self, images: Any, seed: Any, training: bool = True) -> tf.Tensor:
        """Returns as many images [B, ...] as it is given; those, where it is not training.

        `seed` as in stateless_seed.
        """
        images = tf.stop_gradient(tf.cast(images, tf.float32))
        if not training:
            return images
        seed = stateless_seed(seed)
        number = tf.shape(images)[0]
        order = tf.range(number)
        kept, count = tf.convert_to_tensor(self.kept), tf.convert_to_tensor(self.count)
        filling = count + order < self.size
        draws = tf.random.stateless_uniform([2, number], seed)
        place = tf.cast(draws[0] * self.size, tf.int32)
        place = tf.where(filling, count + order, tf.minimum(place, self.size - 1))
        replaces = ~filling & (draws[1] < 0.5)
        stays = filling | replaces

        # Of an image at a place, the one before it: the batch's last that came to stay there
        # earlier, or else the one kept there from before.
        same = stays & (place[:, None] == place) & (order < order[:, None])  # [image, before]
        before = tf.reduce_max(tf.where(same, order, -1), axis=1)
        earlier = _where(before >= 0, tf.gather(images, tf.maximum(before, 0)), kept, place)
        returned = tf.where(_like(replaces, images), earlier, images)

        # At each place stays the batch's last that came to it.
        came = stays & (place == tf.range(self.size)[:, None])  # [place, image]
        last = tf.reduce_max(tf.where(came, order, -1), axis=1)
        newest = tf.gather(images, tf.maximum(last, 0))
        self.kept.assign(tf.where(_like(last >= 0, kept), newest, kept))
        self.count.assign(tf.minimum(count + number, self.size))
        return returned

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["dtype"]
        return {**config, "size": self.size, "image_shape": list(self.image_shape)}


def _where(chosen: tf.Tensor, images: tf.Tensor, kept: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    """Returns the chosen images, and for the others those kept at their places."""
    return tf.where(_like(chosen, images), images, tf.gather(kept, place))


def _like(flags: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """Returns flags [N] as [N, 1, ...], of the images' rank."""
    return tf.reshape(flags, [-1] + [1] * (images.shape.rank - 1))
