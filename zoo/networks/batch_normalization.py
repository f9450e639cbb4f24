"""Batch normalisation, for one replica or several."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("zoo")
class BatchNormalization(keras.layers.BatchNormalization):
    """keras.layers.BatchNormalization with statistics over the examples of all replicas.

        training:  y = gamma (x - mean_B) / sqrt(var_B + epsilon) + beta
                   m <- momentum m + (1 - momentum) mean_B,   v likewise
        else:      y = gamma (x - m) / sqrt(v + epsilon) + beta

    Ioffe and Szegedy 2015, algorithms 1 and 2. Every batch in training updates m and v: in a
    decoder, batches of codes and of samples of the prior do. mean_B and var_B are over the whole
    batch of all replicas.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        # A synchronised layer computes E x^2 - (E x)^2, which loses digits: not for one replica.
        self.synchronized = tf.distribute.get_strategy().num_replicas_in_sync > 1
        return super().call(inputs, training=training, mask=mask)

    def add_weight(self, *args: Any, trainable: bool = True, **kwargs: Any) -> Any:
        aggregation = "none" if trainable else "mean"
        return super().add_weight(*args, trainable=trainable, aggregation=aggregation, **kwargs)
