"""Measures of densities and codes: likelihood, rate, distortion, information, q(z) and p(z)."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from train.evaluations.measures import table
from train.evaluations.measures.table import noted
from train.evaluations.subject import ANNEALED, Subject

_DENSITIES = "densities q(z|x) and p(x|z)"
_ENCODER = "a density q(z|x)"

measure = functools.partial(table.measure, given_class=True)


@measure("rate", "RATE = E KL(q(z|x)||p(z))", _DENSITIES)
def _rate(s: Subject) -> Any:
    return s.rate_distortion.rate


@measure("distortion", "REC_x = -E log p(x|z)", _DENSITIES, log_density=True)
def _distortion(s: Subject) -> Any:
    return s.rate_distortion.distortion


@measure("neg_elbo", "rate + distortion = -ELBO", _DENSITIES, log_density=True)
def _neg_elbo(s: Subject) -> Any:
    return s.rate_distortion.bound


@measure("rate_kernels", "RATE by kernel density estimates on draws of q(z|x)", cheap=False)
def _rate_kernels(s: Subject) -> Any:
    return s.implicit_bound.rate


@measure("neg_elbo_kernels", "-ELBO by kernel density estimates on draws of q(z|x)", cheap=False)
def _neg_elbo_kernels(s: Subject) -> Any:
    return s.implicit_bound.bound


@measure("negentropy", "E KL(q(z|x)||N(m(x), C(x))): distance from normal", cheap=False)
def _negentropy(s: Subject) -> Any:
    return s.implicit_bound.negentropy


@measure("nll", "-log p(x) by importance sampling", _DENSITIES, cheap=False, log_density=True)
def _nll(s: Subject) -> Any:
    return negative(s.importance_sampling.measured)


@measure(
    "nll_annealed",
    "-log p(x) by annealed importance sampling",
    _DENSITIES,
    cheap=False,
    log_density=True,
)
def _nll_annealed(s: Subject) -> Any:
    from zoo.metrics import annealed_importance_sampling

    images = s.images[:ANNEALED]
    found = annealed_importance_sampling(s.between_vectors, images, seed=s.options.seed)
    return negative(found.measured)


@measure("nll_simulated_at_most", "upper bound, simulated images", _DENSITIES, cheap=False)
def _nll_at_most(s: Subject) -> Any:
    return negative(s.bracket.lower)


@measure("nll_simulated_at_least", "lower bound, simulated images", _DENSITIES, cheap=False)
def _nll_at_least(s: Subject) -> Any:
    return negative(s.bracket.upper)


@measure("posterior_accuracy", "E KL(q(z|x)||p(z|x))", _DENSITIES, cheap=False)
def _posterior_accuracy(s: Subject) -> Any:
    return s.importance_sampling.posterior_accuracy


@measure("mi", "I_q(x;z) by the aggregate posterior", _DENSITIES)
def _mi(s: Subject) -> Any:
    from zoo.metrics import mutual_information

    return mutual_information(s.between_vectors, s.images, s.options.seed).measured


@measure("mi_kernels", "I_q(x;z) by kernel density estimates on codes, [U]", _ENCODER)
def _mi_kernels(s: Subject) -> Any:
    from zoo.metrics import mutual_information_by_kernels

    return mutual_information_by_kernels(s.between_vectors, s.images, s.options.seed)


@measure("marginal_kl", "KL(q(z)||p(z)) by the aggregate posterior", _ENCODER)
def _marginal_kl(s: Subject) -> Any:
    from zoo.metrics import marginal_kl

    return marginal_kl(s.between_vectors, s.images, s.options.seed)


@measure("marginal_kl_critic", "KL(q(z)||p(z)) by a critic", "", cheap=False)
def _marginal_kl_critic(s: Subject) -> Any:
    from zoo.metrics import marginal_kl_by_critic

    return marginal_kl_by_critic(s.drawn_codes, s.between_vectors.prior, s.options.seed)


@measure("mmd", "squared MMD of q(z) and p(z), all codes at once")
def _mmd(s: Subject) -> Any:
    from zoo.metrics import full_mmd

    return full_mmd(s.drawn_codes, s.between_vectors.prior, seed=s.options.seed)


@measure("log_det_cov", "log det Cov[q(z)]")
def _log_det_cov(s: Subject) -> Any:
    from zoo.metrics import log_det_covariance

    return log_det_covariance(s.drawn_codes).total


@measure("log_det_cov_per_dim", "log det Cov[q(z)] / dimensions of z, [V]")
def _log_det_cov_per_dim(s: Subject) -> Any:
    from zoo.metrics import log_det_covariance

    found = log_det_covariance(s.drawn_codes)
    variances = ", ".join(f"{value:.3g}" for value in found.log_variances)
    return noted(found.per_dimension, f"log Var[z_k]: {variances}")


@measure("active_units", "dimensions of z whose mean varies with x")
def _active_units(s: Subject) -> Any:
    from zoo.metrics import active_units

    return active_units(s.between_vectors, s.images)


@measure("mse", "squared error of reconstructions")
def _mse(s: Subject) -> Any:
    from zoo.metrics import squared_error

    return squared_error(s.model, s.images)


@measure("distortion_sigma_opt", "REC_x with the best single scale, [G]", cheap=False, images=True)
def _distortion_sigma_opt(s: Subject) -> Any:
    from zoo.metrics import sigma_opt_distortion

    return sigma_opt_distortion(s.model, s.images, s.sigma_opt, s.options.seed)


@measure("bits_per_dim", "distortion under the quantised normal, [G]", cheap=False, images=True)
def _bits_per_dim(s: Subject) -> Any:
    from zoo.metrics import quantised_distortion

    return quantised_distortion(s.model, s.images, s.sigma_opt, seed=s.options.seed)


def negative(measured: Any) -> Any:
    """Returns the measurement with its sign changed."""
    ends = measured.interval
    return dataclasses.replace(
        measured,
        value=-measured.value,
        interval=None if ends is None else (-ends[1], -ends[0]),
        ceiling=None,
    )
