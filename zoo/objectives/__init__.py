"""Declarations and their algebra: derives the trained form, without TensorFlow."""
