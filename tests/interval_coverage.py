"""How often each measure's 95% interval contains the truth, on linear Gaussian models.

PYTHONPATH=.:tests python tests/interval_coverage.py [repeats] prints a row for every measure as it
is done; with `weights` before the repeats, the table behind zoo.metrics.log_mean: encoders that
are off, by how much importance sampling is too low, and whether it says so.
"""

from __future__ import annotations

import math
import sys

import numpy as np
from linear_gaussian import LinearGaussian, encoder_off

from zoo import metrics
from zoo.metrics import log_mean
from zoo.metrics.measured import Measured

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


# Encoders that are off: dimensions, deviations of p(z|x) that the mean is off, widths of p(z|x)
ENCODERS = (
    (2, 0.0, 1.0),
    (2, 0.5, 1.1),
    (2, 1.0, 1.0),
    (5, 1.5, 1.0),
    (5, 2.0, 1.0),
    (20, 1.0, 1.3),
    (2, 2.0, 2.0),
    (5, 0.3, 0.8),
    (20, 0.5, 0.85),
    (5, 0.0, 0.6),
    (1, 0.0, 0.5),
    (1, 1.5, 0.3),
    (1, 3.0, 0.05),
    (5, 4.0, 1.0),
    (20, 4.0, 1.0),
)


def of_weights(log_w):
    """What importance_sampling returns of weights [S, N]."""
    draws = len(log_w)
    log_sum = np.logaddexp.reduce(log_w, axis=0)
    effective = np.exp(2 * log_sum - np.logaddexp.reduce(2 * log_w, axis=0))
    rises = log_mean.rises(log_mean.block_sums(log_w), draws)
    return metrics.ImportanceSampling(
        log_sum - math.log(draws), log_w.mean(axis=0), effective, draws, rises
    )


def repeated(encoder, draws, repeats, n=60, seed=0):
    """Importance sampling of n examples, repeated, whose log p(x) is 0 for each.

    Examples that differ would hide a bias in their noise: this is the hardest case.
    """
    log_w = encoder_off(*encoder).log_weights(draws, repeats * n, seed)
    return [of_weights(log_w[:, i * n : (i + 1) * n]) for i in range(repeats)]


def contains(measured, truth):
    low, high = measured.interval
    return low - 1e-12 <= truth <= high + 1e-12  # rounding, where all weights are equal


def first_order(found):
    """(1/ESS - 1/S) / 2, which is at most 1/2."""
    return float(np.mean(1 / found.effective - 1 / found.samples) / 2)


def show_weights(repeats):
    """Prints a row for each encoder and number of draws, of 60 examples whose log p(x) is 0.

    ESS        harmonic mean over the examples
    rate       r of a bias S^-r, by the last two doublings of the draws
    bias       the truth: -E log 1/S sum w
    half       the jackknife at rate 1, L(S) - L(S/2), with no regard to ESS or rate
    1/2ESS     what was reported in its place: (1/ESS - 1/S) / 2
    told       how many repeats of 100 gave an estimate of the bias, and a two-sided interval
    as, error  the mean of these estimates, and the largest error of one
    covers     how many intervals of 100 contain the truth
    noise's    the same of Student's interval, which knows of no bias
    """
    heads = [
        "S",
        "ESS",
        "rate",
        "bias",
        "half",
        "1/2ESS",
        "told",
        "as",
        "error",
        "covers",
        "noise's",
    ]
    print(f"{'encoder':14}" + "".join(f"{head:>9}" for head in heads))
    for encoder in ENCODERS:
        for draws in (10, 64, 128, 500):
            found = repeated(encoder, draws, repeats)
            bias = -float(np.mean([each.log_likelihood.mean() for each in found]))
            told = [each.bias.value for each in found if each.bias.value is not None]
            noise = [Measured.of_mean(each.log_likelihood, "") for each in found]
            rises = np.mean([each.rises.mean(axis=1) for each in found], axis=0)
            row = [
                draws,
                1 / np.mean([np.mean(1 / each.effective) for each in found]),
                math.log2(rises[1] / rises[0]) if rises[0] > 1e-9 else math.nan,
                bias,
                rises[0],
                np.mean([first_order(each) for each in found]),
                100 * len(told) / repeats,
                np.mean(told) if told else math.nan,
                np.max(np.abs(np.array(told) - bias)) if told else math.nan,
                100 * np.mean([contains(each.measured, 0.0) for each in found]),
                100 * np.mean([contains(each, 0.0) for each in noise]),
            ]
            name = f"{encoder[0]} {encoder[1]:g} {encoder[2]:g}"
            row = [0.0 if abs(value) < 1e-9 else value for value in row]
            print(f"{name:14}" + "".join(f"{value:9.3g}" for value in row), flush=True)


if __name__ == "__main__":
    weights = sys.argv[1:2] == ["weights"]
    numbers = sys.argv[1 + weights :]
    count = int(numbers[0]) if numbers else 100
    if weights:
        show_weights(count)
        sys.exit()
    print(f"{'measure':32}{'truth':>10}{'mean':>10}{'deviation':>11}{'covered':>9} of {count}")
    for name, (measure, truth) in {**CHEAP, **DEAR}.items():
        hits, mean, deviation = covered(measure, truth, count)
        print(f"{name:32}{truth:10.4f}{mean:10.4f}{deviation:11.4f}{hits:9}", flush=True)
