"""A model trained by `fit`, saved by Keras, loaded again and exported for serving."""

import keras
import tensorflow as tf

from export import export_model


def served(model, file, out, certificate=None):
    """Returns the signatures of an exported model that Keras had saved."""
    model.save(file)
    loaded = keras.saving.load_model(file)
    folder = export_model(loaded, out, certificate=certificate)["model"]
    return tf.saved_model.load(str(folder)).signatures
