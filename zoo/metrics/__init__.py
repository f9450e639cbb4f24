"""What a trained model achieves: plain functions of a model, or of samples, and data."""

from zoo.metrics.bootstrap import bootstrap_interval
from zoo.metrics.measured import Measured
from zoo.metrics.mutual_information import (
    MutualInformation,
    log_aggregate_posterior,
    mutual_information,
)

__all__ = [
    "Measured",
    "MutualInformation",
    "bootstrap_interval",
    "log_aggregate_posterior",
    "mutual_information",
]
