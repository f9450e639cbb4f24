"""Layers with bfloat16 products in training; everything else in them is float32.

Each has the weights of the Keras layer with its name, in float32, so that checkpoints can be read
in either precision. Inference multiplies in float32, on any processor.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

PRECISIONS = ("float32", "bfloat16")


def best(cpu_info: str | Path = "/proc/cpuinfo") -> str:
    """Returns the fastest precision for training on this machine: "bfloat16" or "float32".

    It is bfloat16 on hardware with matrix units for it: a processor with AMX, or only GPUs of
    compute capability 8 or more. `cpu_info` is the file in which Linux lists the processor's flags.
    """
    if gpus := tf.config.list_physical_devices("GPU"):
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        capable = all(d.get("compute_capability", (0, 0)) >= (8, 0) for d in details)
    else:
        path = Path(cpu_info)
        capable = path.is_file() and "amx_bf16" in path.read_text().split()
    return "bfloat16" if capable else "float32"


@keras.saving.register_keras_serializable("zoo")
class Dense(keras.layers.Dense):
    """keras.layers.Dense with bfloat16 products in training, forwards and backwards."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return super().call(inputs)
        rows = tf.reshape(inputs, [-1, inputs.shape[-1]])
        outputs = product(rows, tf.convert_to_tensor(self.kernel))
        if self.use_bias:
            outputs += self.bias
        outputs = tf.reshape(outputs, [-1, *inputs.shape[1:-1], self.units])
        return outputs if self.activation is None else self.activation(outputs)


@keras.saving.register_keras_serializable("zoo")
class Conv2D(keras.layers.Conv2D):
    """keras.layers.Conv2D with bfloat16 convolutions in training."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return super().call(inputs)
        outputs = keras.ops.conv(
            tf.cast(inputs, tf.bfloat16),
            tf.cast(self.kernel, tf.bfloat16),
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return _with_bias(self, tf.cast(outputs, tf.float32))


@keras.saving.register_keras_serializable("zoo")
class Conv2DTranspose(keras.layers.Conv2DTranspose):
    """keras.layers.Conv2DTranspose with bfloat16 convolutions in training."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return super().call(inputs)
        outputs = keras.ops.conv_transpose(
            tf.cast(inputs, tf.bfloat16),
            tf.cast(self.kernel, tf.bfloat16),
            strides=self.strides,
            padding=self.padding,
            output_padding=self.output_padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return _with_bias(self, tf.cast(outputs, tf.float32))


def product(a: tf.Tensor, b: tf.Tensor, adjoint_a: bool = False, adjoint_b: bool = False) -> Any:
    """Returns A B, [M, N] in float32, of A [M, K] and B [K, N] rounded to bfloat16.

    Either may be given as its adjoint, A' [K, M] or B' [N, K]. Sums are float32. Gradients of any
    order are such products too.
    """

    @tf.custom_gradient
    def multiply(a: tf.Tensor, b: tf.Tensor) -> Any:
        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # dA = dY B',  dA' = B dY';  dB = A' dY,  dB' = dY' A
            da = (b, dy, adjoint_b, True) if adjoint_a else (dy, b, False, not adjoint_b)
            db = (dy, a, True, adjoint_a) if adjoint_b else (a, dy, not adjoint_a, False)
            return product(*da), product(*db)

        # Stops TensorFlow's gradient, which does not exist for mixed types.
        constants = tf.stop_gradient(a), tf.stop_gradient(b)
        return _multiply(*constants, adjoint_a, adjoint_b), gradient

    return multiply(a, b)


# Only XLA multiplies bfloat16 numbers with float32 sums: each product is compiled, even if the step
# is not.
@tf.function(jit_compile=True, autograph=False)
def _multiply(a: tf.Tensor, b: tf.Tensor, adjoint_a: bool, adjoint_b: bool) -> tf.Tensor:
    a, b = tf.cast(a, tf.bfloat16), tf.cast(b, tf.bfloat16)
    if adjoint_a:
        # XLA would merge a plain transposition with the product and, without a kernel for columns
        # of bfloat16, multiply in float32, three times slower.
        a = tf.gather(tf.transpose(a), tf.range(tf.shape(a)[1]))
    return tf.raw_ops.BatchMatMulV3(x=a, y=b, Tout=tf.float32, adj_y=adjoint_b)


def _with_bias(layer: Any, outputs: tf.Tensor) -> Any:
    """Returns activation(outputs + bias)."""
    if layer.use_bias:
        shape = (-1, 1, 1) if layer.data_format == "channels_first" else (-1,)
        outputs += tf.reshape(layer.bias, shape)
    return outputs if layer.activation is None else layer.activation(outputs)
