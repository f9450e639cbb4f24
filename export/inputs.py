"""Checks of a graph's inputs, and the conversion of uint8 images and image files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

FILE_CHANNELS = (1, 3)  # of images given as files
# Pillow's weights of red, green and blue in grey, as datasets are read; they sum to 2^16.
_GREY = (19595, 38470, 7471)


def checked(tensors: Mapping[str, tf.Tensor], specs: Sequence[tf.TensorSpec]) -> list[tf.Tensor]:
    """Returns the inputs, with assertions in the graph that they match `specs`.

    Raises, when the graph runs:
      InvalidArgumentError: a number is not finite, a shape does not match, or the inputs have
        different numbers of examples. The message is one sentence.
    """
    sizes = {name: tf.shape(tensor)[0] for name, tensor in tensors.items()}
    (first, batch), *others = sizes.items()
    conditions = [
        tf.debugging.Assert(
            size == batch,
            [tf.strings.format(f"{name} holds {{}} examples and {first} {{}}.", (size, batch))],
        )
        for name, size in others
    ]
    with tf.control_dependencies(conditions):
        return [_checked(tensors[spec.name], spec) for spec in specs]


def _checked(tensor: tf.Tensor, spec: tf.TensorSpec) -> tf.Tensor:
    tensor = tf.ensure_shape(tensor, spec.shape)
    if spec.dtype.is_floating:
        message = f"{spec.name} must be finite numbers."
        tensor = tf.debugging.check_numerics(tensor, message)
    return tensor


def below(name: str, classes: tf.Tensor, count: int | None) -> tf.Tensor:
    """Returns classes [B], with an assertion in the graph that they are from 0 to `count` - 1.

    If `count` is None the condition is not a class, and is returned unchanged.

    Raises, when the graph runs:
      InvalidArgumentError: a class is out of range; the message is one sentence.
    """
    if count is None:
        return classes
    least, most = tf.reduce_min(classes), tf.reduce_max(classes)
    sentence = tf.strings.format(
        f"{name} holds classes from {{}} to {{}}, but this model has 0 to {count - 1}.",
        (least, most),
    )
    empty = tf.equal(tf.size(classes), 0)
    fits = empty | ((least >= 0) & (most < count))
    with tf.control_dependencies([tf.debugging.Assert(fits, [sentence])]):
        return tf.identity(classes)


def from_uint8(pixels: tf.Tensor) -> tf.Tensor:
    """Returns float32 images in [0, 1] for pixels from 0 to 255."""
    return tf.cast(pixels, tf.float32) / 255.0


def from_files(contents: tf.Tensor, image_shape: Sequence[int]) -> tf.Tensor:
    """Returns float32 images [B, H, W, C] in [0, 1], decoded from PNG or JPEG files, strings [B].

    Grey files become colour or colour files grey, to match the model's images; nothing is resized.

    Raises, when the graph runs:
      InvalidArgumentError: a file is not a PNG or JPEG, or has another size; the message is one
        sentence.
    """
    height, width, channels = image_shape

    def pixels(content: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(content, channels=3, expand_animations=False)
        size = tf.shape(image)
        sentence = tf.strings.format(
            f"An image is {{}} x {{}} pixels, but this model takes {height} x {width}.",
            (size[0], size[1]),
        )
        fits = tf.reduce_all(size[:2] == [height, width])
        with tf.control_dependencies([tf.debugging.Assert(fits, [sentence])]):
            image = tf.reshape(image, [height, width, 3])
        if channels == 3:
            return image
        # L = (19595 R + 38470 G + 7471 B + 2^15) / 2^16, in integers
        grey = tf.reduce_sum(tf.cast(image, tf.int32) * _GREY, axis=-1, keepdims=True)
        return tf.cast(tf.bitwise.right_shift(grey + 2**15, 16), tf.uint8)

    one = tf.TensorSpec([height, width, channels], tf.uint8)
    return from_uint8(tf.map_fn(pixels, contents, fn_output_signature=one))
