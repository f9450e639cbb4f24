"""A likelihood of one's own: photons counted in each pixel. Its samples have no gradient."""

import tensorflow_probability as tfp

from zoo.distributions import likelihoods


@likelihoods.register
class Counts(likelihoods.Likelihood):
    """x ~ Poisson(e^params); with `shows="mean"` terms on samples of x are shown the mean."""

    name = "counts"

    def __init__(self, shows="sample"):
        self.shows = shows

    @property
    def stand_in(self):
        return "mean" if self.shows == "mean" else None

    def distribution(self, params, raw_scale=None):
        counts = tfp.distributions.Poisson(log_rate=params)
        return tfp.distributions.Independent(counts, len(params.shape) - 1)

    def get_config(self):
        return {"shows": self.shows}
