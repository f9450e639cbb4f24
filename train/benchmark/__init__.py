"""The speed of training, compared with other implementations of the same step."""
