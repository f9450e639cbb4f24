"""A Python server for a laptop, which answers TensorFlow Serving's REST paths from SavedModels."""
