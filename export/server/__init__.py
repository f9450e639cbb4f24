"""A server for a laptop: TensorFlow Serving's REST paths, answered from SavedModels in Python."""
