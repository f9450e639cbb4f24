"""Fresh critics for measurement, and features, constraints and buffers of training critics."""

from zoo.critics.fresh import Fitter, FreshCritic, copy_weights, fit, free, fresh_network

__all__ = ["Fitter", "FreshCritic", "copy_weights", "fit", "free", "fresh_network"]
