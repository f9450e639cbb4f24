"""Rate and -ELBO of implicit posteriors, and their divergence from normals."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import tensorflow_probability as tfp

from zoo.distributions.conditionals import stateless_seed
from zoo.errors import InputError
from zoo.metrics.batches import in_batches
from zoo.metrics.kernel_density import blur, log_kernel_density, whitened, width
from zoo.metrics.measured import Measured

IMAGES = 64  # each has a kernel density


@dataclasses.dataclass(frozen=True)
class ImplicitBound:
    """A model's rate, distortion and -ELBO; q(z|x) needs no density.

    rate        RATE  = E_q(x) KL(q(z|x)||p(z))
    distortion  REC_x = -E_q(x,z) log p(x|z)
    bound       their sum, -ELBO
    negentropy  E_q(x) KL(q(z|x)||N(m(x), C(x))), m and C the mean and covariance of q(z|x): the
                divergence from the closest normal
    """

    rate: Measured
    distortion: Measured
    bound: Measured
    negentropy: Measured


def implicit_bound(model: Any, images: Any, draws: int = 2000, seed: int = 0) -> ImplicitBound:
    """Measures rate, distortion, -ELBO and negentropy with kernel densities of posterior draws.

        log q(z_i|x) ~= log 1/(M-1) sum_{j != i} N(z_i | z_j, h^2 C(x)),   z_j ~ q(z|x)

    The kernel of the draw itself is left out, so that -E log q(z|x) is in expectation at least the
    entropy: rate, negentropy and bound are too low because kernels blur, which grows fast with the
    dimension. The loss is estimated as in `mutual_information_by_kernels`, for a smooth posterior;
    with edges or narrow parts it is many times larger. So their intervals have no upper end.

    Args:
      model: has `encode(x)` and `decode(z)`, and a `prior`; only p(x|z) and p(z) need densities.
      images: [N, ...], or batches [B, ...] of them; only the first 64 are used.
      draws: M, the number of draws of each posterior.
      seed: seed of the draws.

    Raises:
      InputError: there are no images, fewer than ten draws, codes are discrete, or the draws of a
        posterior lie in a subspace.
    """
    if draws < 10:
        raise InputError(f"There are {draws} draws for a kernel density: give ten or more.")
    rates, distortions, beyond, blurred = [], [], [], []
    for index, x in enumerate(_first(images)):
        posterior = model.encode(np.repeat(x[None], draws, axis=0))
        if posterior.reparameterization_type != tfp.distributions.FULLY_REPARAMETERIZED:
            raise InputError("Kernels estimate densities, and these codes are discrete.")
        z = posterior.sample(seed=stateless_seed([seed, index])).numpy()
        e, log_det = whitened(z.astype(np.float64))
        h = width(e, draws)
        # log q(z|x) = log q(e) - log |L|,   z = m + L e
        log_e = log_kernel_density(e, e, h, without_own=True)
        log_normal = -0.5 * np.sum(e**2, axis=1) - 0.5 * e.shape[1] * math.log(2 * math.pi)
        rates.append(np.mean(log_e - log_det - model.prior.log_prob(z).numpy()))
        beyond.append(np.mean(log_e - log_normal))
        # REC_x = -log p(x|z)
        distortions.append(-np.mean(model.decode(z).log_prob(x[None]).numpy(), dtype=np.float64))
        blurred.append(blur(e, h, float(log_e.mean())))
    if not rates:
        raise InputError("There are no images for a bound: give some.")
    lost = float(np.mean(blurred))
    by = f"kernel densities of {draws} draws of each posterior"
    note = (
        f"a bound from below: too low in expectation, by about {lost:.2g} that kernels blur, or "
        "more where posteriors have edges or narrow parts"
    )

    def lower(values: Any, what: str) -> Measured:
        return Measured.of_mean(np.asarray(values), f"{what}, {by}", (note,)).at_least()

    return ImplicitBound(
        rate=lower(rates, "KL(q(z|x)||p(z))"),
        distortion=Measured.of_mean(np.asarray(distortions), f"-log p(x|z), {draws} codes each"),
        bound=lower(np.add(rates, distortions), "-ELBO"),
        negentropy=lower(beyond, "KL(q(z|x)||N(m, C))"),
    )


def _first(images: Any) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    for batch in in_batches(images):
        found += list(np.asarray(batch, np.float32)[: IMAGES - len(found)])
        if len(found) == IMAGES:
            break
    return found
