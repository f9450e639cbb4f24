"""Uniform noise as a function of a seed and a position, equal under TensorFlow and XLA.

TensorFlow's generators draw different bits under XLA, and on a CPU they take longer there than the
rest of a training step.
"""

from __future__ import annotations

import tensorflow as tf

_GOLDEN = 0x9E3779B9  # 2^32 / golden ratio: neighbouring positions become distant words


def uniforms(seed: int, stream: int, rows: tf.Tensor, columns: int) -> tf.Tensor:
    """Returns uniform numbers u [R, columns] in [0, 1), each a function of its position only.

        key_r = h( h( h(h(seed) + stream) + low r ) + high r )
        u_rc  = h( h(golden c + key_r) + key_r ) / 2^32,  cut to 24 bits

    h is the finalizer of MurmurHash3 (Appleby 2011), a bijection of 32-bit words in which each
    input bit flips every output bit with probability about 1/2.

    Args:
      seed: any whole number; its low 32 bits are used.
      stream: a small integer; streams of one seed are independent.
      rows: [R], the row of each position, int64.
      columns: the number of positions in a row.
    """
    key = _mixed(_mixed(_word(seed)) + _word(stream))
    low = tf.cast(tf.bitwise.bitwise_and(rows, 0xFFFFFFFF), tf.uint32)
    high = tf.cast(tf.bitwise.right_shift(rows, tf.constant(32, tf.int64)), tf.uint32)
    keys = _mixed(_mixed(key + low) + high)[:, tf.newaxis]
    places = tf.cast(tf.range(columns), tf.uint32)[tf.newaxis] * _word(_GOLDEN)
    bits = _mixed(_mixed(places + keys) + keys)
    return tf.cast(_shifted(bits, 8), tf.float32) * 2.0**-24


def _mixed(word: tf.Tensor) -> tf.Tensor:
    word = tf.bitwise.bitwise_xor(word, _shifted(word, 16)) * _word(0x85EBCA6B)
    word = tf.bitwise.bitwise_xor(word, _shifted(word, 13)) * _word(0xC2B2AE35)
    return tf.bitwise.bitwise_xor(word, _shifted(word, 16))


def _shifted(word: tf.Tensor, bits: int) -> tf.Tensor:
    return tf.bitwise.right_shift(word, _word(bits))


def _word(number: int) -> tf.Tensor:
    return tf.constant(number & 0xFFFFFFFF, tf.uint32)
