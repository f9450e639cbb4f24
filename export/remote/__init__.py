"""Clients of models on a server: TensorFlow Serving or export.serve, over REST or gRPC."""
