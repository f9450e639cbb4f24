"""How often each measure's 95% interval contains the truth, on linear Gaussian models.

PYTHONPATH=.:tests python tests/interval_coverage.py [repeats] prints a row for every measure as it
is done.
"""

from __future__ import annotations

import math
import sys

import numpy as np
from linear_gaussian import LinearGaussian

from zoo import metrics

N = 500
MODEL = LinearGaussian(spread=1.2, shift=0.3, widen=1.3)
SIGMA = 0.7


def codes(seed):
    return np.asarray(MODEL.encode(MODEL.data(N, seed)).sample(seed=[seed, 7]))


def mmd_truth():
    """MMD^2 of q(z) = N(m, C) and N(0, I), with s2 = K.

    E k(z, z') = det(I + V / s2)^-1/2 exp(-d^T (s2 I + V)^-1 d / 2) for z - z' ~ N(d, V)
    """
    mean, covariance = MODEL.q_z
    k, eye = len(mean), np.eye(len(mean))

    def embedding(d, v):
        size = np.linalg.det(eye + v / k) ** -0.5
        return size * math.exp(-0.5 * d @ np.linalg.solve(k * eye + v, d))

    return (
        embedding(0 * mean, 2 * covariance)
        - 2 * embedding(mean, covariance + eye)
        + embedding(0 * mean, 2 * eye)
    )


def rates(name):
    return lambda seed: getattr(metrics.rate_distortion(MODEL, MODEL.data(N, seed), seed), name)


def sampled(name, n=N):
    def of(seed):
        found = metrics.importance_sampling(
            MODEL, MODEL.data(n, seed), 256, seed, jit_compile=False
        )
        return getattr(found, name)

    return of


def annealed(seed):
    annealing = metrics.Annealing(chains=8, temperatures=20, leapfrog=3, jit_compile=False)
    x = MODEL.data(64, seed)
    return metrics.annealed_importance_sampling(MODEL, x, annealing, seed).measured


def bracketed(seed):
    annealing = metrics.Annealing(chains=8, temperatures=20, leapfrog=3, jit_compile=False)
    return metrics.bracket(MODEL, 64, annealing, seed)


def variances():
    """A_k of the posterior means, of which the threshold of active units lies in the middle."""
    return np.diag(MODEL.a @ MODEL.c @ MODEL.a.T)


CHEAP = {
    "mutual_information": (
        lambda seed: metrics.mutual_information(MODEL, MODEL.data(N, seed), seed).measured,
        MODEL.information,
    ),
    "marginal_kl": (
        lambda seed: metrics.marginal_kl(MODEL, MODEL.data(N, seed), seed),
        MODEL.marginal_kl,
    ),
    "rate": (rates("rate"), MODEL.rate),
    "distortion": (rates("distortion"), MODEL.distortion),
    "-ELBO": (rates("bound"), MODEL.rate + MODEL.distortion),
    "squared_error": (
        lambda seed: metrics.squared_error(MODEL, MODEL.data(N, seed)),
        MODEL.squared_error,
    ),
    "sigma_opt_distortion": (
        lambda seed: metrics.sigma_opt_distortion(MODEL, MODEL.data(N, seed), SIGMA, seed),
        len(MODEL.b)
        * (MODEL.sampled_error / (2 * SIGMA**2) + math.log(SIGMA * math.sqrt(2 * math.pi))),
    ),
    "log_det_covariance": (
        lambda seed: metrics.log_det_covariance(codes(seed)).total,
        np.linalg.slogdet(MODEL.q_z[1])[1],
    ),
    "active_units": (
        lambda seed: metrics.active_units(
            MODEL, MODEL.data(N, seed), threshold=float(variances().mean())
        ),
        float(np.sum(variances() > variances().mean())),
    ),
    "full_mmd, exact normal": (
        lambda seed: metrics.full_mmd(codes(seed), MODEL.prior),
        mmd_truth(),
    ),
    "full_mmd, samples": (
        lambda seed: metrics.full_mmd(
            codes(seed), np.random.default_rng(seed).normal(size=(N, 2)).astype(np.float32)
        ),
        mmd_truth(),
    ),
}
DEAR = {
    "mutual_information_by_kernels": (
        lambda seed: metrics.mutual_information_by_kernels(MODEL, MODEL.data(N, seed), seed),
        MODEL.information,
    ),
    "log_likelihood": (sampled("measured"), MODEL.log_likelihood),
    "posterior_accuracy": (sampled("posterior_accuracy"), MODEL.posterior_accuracy),
    "annealed": (annealed, MODEL.log_likelihood),
    "bracket, lower": (lambda seed: bracketed(seed).lower, MODEL.simulated),
    "bracket, upper": (lambda seed: bracketed(seed).upper, MODEL.simulated),
    "marginal_kl_by_critic": (
        lambda seed: metrics.marginal_kl_by_critic(codes(seed), MODEL.prior, seed, rounds=20),
        MODEL.marginal_kl,
    ),
}


def covered(measure, truth, repeats):
    """Returns how often the interval contains the truth, and the values' mean and deviation."""
    found = [measure(seed) for seed in range(repeats)]
    values = [each.value for each in found]
    hits = sum(each.interval[0] <= truth <= each.interval[1] for each in found)
    return hits, float(np.mean(values)), float(np.std(values))


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    print(f"{'measure':32}{'truth':>10}{'mean':>10}{'deviation':>11}{'covered':>9} of {count}")
    for name, (measure, truth) in {**CHEAP, **DEAR}.items():
        hits, mean, deviation = covered(measure, truth, count)
        print(f"{name:32}{truth:10.4f}{mean:10.4f}{deviation:11.4f}{hits:9}", flush=True)
