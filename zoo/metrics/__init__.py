"""Measures of a trained model: plain functions of a model or samples, and data."""

from zoo.metrics.active_units import active_units
from zoo.metrics.annealed import Annealed, Annealing, Bracket, annealed_importance_sampling, bracket
from zoo.metrics.covariance import LogDeterminant, log_det_covariance
from zoo.metrics.critic_kl import marginal_kl_by_critic
from zoo.metrics.full_mmd import full_mmd
from zoo.metrics.implicit_bound import ImplicitBound, implicit_bound
from zoo.metrics.intervals import mean_interval, sum_interval
from zoo.metrics.kernel_density import log_kernel_density, mutual_information_by_kernels
from zoo.metrics.log_likelihood import (
    ImportanceSampling,
    importance_sampling,
    log_likelihood,
    posterior_accuracy,
)
from zoo.metrics.marginal_kl import marginal_kl
from zoo.metrics.measured import Measured
from zoo.metrics.mutual_information import (
    MutualInformation,
    log_aggregate_posterior,
    mutual_information,
)
from zoo.metrics.over_classes import information_given_classes, over_classes
from zoo.metrics.quantised_normal import quantised_distortion, sigma_opt, sigma_opt_distortion
from zoo.metrics.rate_distortion import RateDistortion, rate_distortion
from zoo.metrics.squared_error import squared_error
from zoo.metrics.true_posterior import PosteriorSamples, posterior_by_hmc, posterior_by_resampling

__all__ = [
    "Annealed",
    "Annealing",
    "Bracket",
    "ImplicitBound",
    "ImportanceSampling",
    "LogDeterminant",
    "Measured",
    "MutualInformation",
    "PosteriorSamples",
    "RateDistortion",
    "active_units",
    "annealed_importance_sampling",
    "bracket",
    "full_mmd",
    "implicit_bound",
    "importance_sampling",
    "information_given_classes",
    "log_aggregate_posterior",
    "log_det_covariance",
    "log_kernel_density",
    "log_likelihood",
    "marginal_kl",
    "marginal_kl_by_critic",
    "mean_interval",
    "mutual_information",
    "mutual_information_by_kernels",
    "over_classes",
    "posterior_accuracy",
    "posterior_by_hmc",
    "posterior_by_resampling",
    "quantised_distortion",
    "rate_distortion",
    "sigma_opt",
    "sigma_opt_distortion",
    "squared_error",
    "sum_interval",
]
