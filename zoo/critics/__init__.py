"""Critics apart from the game: fresh ones that measure what those in play do not see."""

from zoo.critics.fresh import Fitter, FreshCritic, copy_weights, fit, free, fresh_network

__all__ = ["Fitter", "FreshCritic", "copy_weights", "fit", "free", "fresh_network"]
