"""Declarations and their algebra: what is trained is derived here, without TensorFlow."""
