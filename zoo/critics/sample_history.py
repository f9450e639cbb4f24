"""A replay buffer of generated images for critics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo.distributions.conditionals import stateless_seed
from zoo.errors import InputError


@keras.saving.register_keras_serializable("zoo", name="History")
class SampleHistory(keras.layers.Layer):
    """A replay buffer: replaces about half of the generated images by earlier ones, for critics.

    Images of a batch are processed in order. While the buffer is not full, an image is stored and
    returned. Then, with probability 1/2, the image is returned; otherwise it replaces a uniformly
    chosen stored image, which is returned. A critic that also sees old images oscillates less.
    Shrivastava et al. "Learning from Simulated and Unsupervised Images through Adversarial
    Training." CVPR 2017, section 2.3; in this form Zhu et al. (CycleGAN) 2017, section 4, with
    size 50.

    The stored images are weights of the layer, so that checkpoints contain them. The result is a
    function of these, of the images and of the seed. No gradient passes. All replicas share one
    buffer, and each passes the whole batch.

    Args:
      size: the number of stored images.
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
        """Returns as many images [B, ...] as it receives; outside of training, these images.

        `seed` as in `stateless_seed`.
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

        # An image that is stored at a place replaces the last earlier image of the batch stored
        # there, else the image stored there before.
        same = stays & (place[:, None] == place) & (order < order[:, None])  # [image, before]
        before = tf.reduce_max(tf.where(same, order, -1), axis=1)
        earlier = _where(before >= 0, tf.gather(images, tf.maximum(before, 0)), kept, place)
        returned = tf.where(_like(replaces, images), earlier, images)

        # Each place keeps the last image of the batch that was stored there.
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
    """Returns images where `chosen`, and elsewhere the stored images at their places."""
    return tf.where(_like(chosen, images), images, tf.gather(kept, place))


def _like(flags: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """Returns flags [N] as [N, 1, ...], with the rank of the images."""
    return tf.reshape(flags, [-1] + [1] * (images.shape.rank - 1))
