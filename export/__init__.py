"""Export: SavedModels with named signatures, in numbered versions as TensorFlow Serving reads."""
