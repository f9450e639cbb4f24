"""A run's folder: its configuration, records, checkpoints and lock."""
