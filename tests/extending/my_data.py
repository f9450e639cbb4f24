"""Data of one's own in Python: arrays, bytes of images, a tf.data.Dataset, a dict of columns."""

import numpy as np
import tensorflow as tf

import zoo

random = np.random.default_rng(0)
VECTORS = random.normal(size=(64, 5)).astype("float32")
BYTES = random.integers(0, 256, (64, 8, 8, 1), np.uint8)
COLUMNS = {"height": random.normal(170, 10, 64), "sex": random.choice(["f", "m"], 64)}


def small(**options):
    model = zoo.build("vae", latent_dim=2, network_options={"hidden": (16,)}, **options)
    model.compile(jit_compile=False)
    return model


def fitted():
    vectors = small(x_shape=(5,), likelihood="normal")
    vectors.fit(tf.data.Dataset.from_tensor_slices(VECTORS).batch(16), verbose=0)
    images = small(image_shape=(8, 8, 1))
    images.fit(BYTES, batch_size=16, verbose=0)
    rows = small(likelihood=zoo.tables.fit(COLUMNS))
    rows.fit(COLUMNS, batch_size=16, verbose=0)
    rows.fit(tf.data.Dataset.from_tensor_slices(COLUMNS).batch(16), verbose=0)
    return vectors, images, rows
