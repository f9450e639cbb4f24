"""KL(q(z)||p(z)) from samples, by a fresh critic."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.distributions.conditionals import stateless_seed
from zoo.errors import InputError
from zoo.metrics.measured import Measured, around
from zoo.terms import density_ratio

_BATCH = 256
_STEPS = 50  # between two checks for early stopping
_FRESH = 100_000  # samples of p(z) for the final estimate
_SHARE = 0.01  # the largest share of one sample in E_p[e^T]


def marginal_kl_by_critic(z: Any, prior: Any, seed: int = 0, rounds: int = 20) -> Measured:
    """Estimates the marginal KL with a critic that tells codes from samples of the prior.

        KL(q(z)||p(z)) >= E_q[T] - log E_p[e^T]           Donsker and Varadhan 1983

    with equality at T = log q/p, the optimum of logistic regression. T is a network of z and z^2,
    in which the log ratio of two diagonal normals is linear. It is trained on half of the codes,
    with early stopping on a quarter, and evaluated on the last quarter with 100,000 fresh samples
    of the prior. So the value is too low in expectation, by KL(q||p e^T / E_p e^T). T is clipped
    where one sample of the prior would have more than a hundredth of E_p[e^T]: samples miss larger
    terms, so that the log would be too low and the value too high (Ionides "Truncated Importance
    Sampling." 2008). So the value never exceeds log 1000. The error of the critic is unknown: if
    q(z) lies in thin parts of the space it can be several nats, and is not visible on the training
    codes either. So the interval has no upper end.

    Args:
      z: [N, K], one sample of q(z|x) for each x, N at least 40.
      prior: p(z), a tfd distribution; only its samples are used.
      seed: seed of the critic, its batches and the prior's samples.
      rounds: rounds of 50 training steps, each with 256 codes.

    Raises:
      InputError: there are too few codes.
    """
    z = np.asarray(z, np.float32)
    n = len(z)
    if n < 40:
        raise InputError(f"A critic was to be trained on {n} codes: give 40 or more.")
    z = z.reshape(n, -1)[np.random.default_rng(seed).permutation(n)]
    train, choose, read = np.split(z, [n // 2, n // 2 + n // 4])
    center = train.mean(axis=0), train.std(axis=0) + 1e-6
    network = _network(z.shape[1], center, seed)
    _train(network, train, choose, prior, seed, rounds)
    fresh = prior.sample(_FRESH, seed=stateless_seed([seed, 2])).numpy()
    t_q, t_p = (np.asarray(_apply(network, samples), np.float64) for samples in (read, fresh))
    cut = _cut(t_p)
    cut_share = float(np.mean(t_q > cut))
    t_q, t_p = np.minimum(t_q, cut), np.minimum(t_p, cut)
    # log E_p[e^T], and e^T / E_p[e^T]
    log_mean = float(np.logaddexp.reduce(t_p) - math.log(_FRESH))
    weights = np.exp(t_p - log_mean)
    # E_q[T] - log E_p[e^T]
    value = float(t_q.mean()) - log_mean
    error = math.sqrt(t_q.var(ddof=1) / len(t_q) + weights.var() / _FRESH)
    ceiling = math.log(_SHARE * _FRESH)
    notes = [
        "a bound from below: too low in expectation, by what the critic misses; E_q[T], which is "
        f"no bound, is {t_q.mean():.2f}"
    ]
    if cut_share > 0.01:
        notes.append(
            f"few of {_FRESH} samples of the prior look like {cut_share:.0%} of the codes: the two "
            f"are too far apart for this estimate, which stops at {ceiling:.2f}"
        )
    return Measured(
        value,
        around(value, error, len(t_q) - 1),
        n,
        f"critic trained on {len(train)} codes, read on {len(read)}",
        tuple(notes),
        ceiling,
    ).at_least()


def _cut(t: np.ndarray) -> float:
    """Returns the c for which e^c is a hundredth of sum_i min(e^t_i, e^c)."""
    t = np.sort(t)[::-1]
    rest = np.logaddexp.accumulate(t[::-1])[::-1]
    # With the m largest clipped: e^c = s (m e^c + sum of the others)
    cuts = (
        math.log(_SHARE) + float(rest[m]) - math.log(1.0 - _SHARE * m)
        for m in range(round(1.0 / _SHARE))
    )
    return next(c for m, c in enumerate(cuts) if c >= t[m])


def _network(k: int, center: tuple[np.ndarray, np.ndarray], seed: int) -> keras.Model:
    mean, scale = center
    z = keras.Input((k,))
    e = (z - mean) / scale
    features = keras.layers.Concatenate()([e, e**2])
    hidden = features
    for layer in range(2):
        start = keras.initializers.GlorotUniform(seed=2 * seed + layer)
        hidden = keras.layers.Dense(64, "softplus", kernel_initializer=start)(hidden)
    logit = keras.layers.Add()(
        [
            keras.layers.Dense(1, kernel_initializer="zeros")(hidden),
            keras.layers.Dense(1, kernel_initializer="zeros", use_bias=False)(features),
        ]
    )
    return keras.Model(z, logit[:, 0])


def _apply(network: keras.Model, z: np.ndarray) -> np.ndarray:
    return np.concatenate([network(z[i : i + 8192]).numpy() for i in range(0, len(z), 8192)])


def _train(
    network: keras.Model, train: np.ndarray, choose: np.ndarray, prior: Any, seed: int, rounds: int
) -> None:
    """Trains the network, and keeps the weights with the smallest loss on `choose`."""
    decay = keras.optimizers.schedules.CosineDecay(3e-3, rounds * _STEPS)
    optimizer = keras.optimizers.Adam(decay)
    optimizer.build(network.trainable_variables)
    codes = tf.constant(train)

    @tf.function
    def round_of(index: tf.Tensor) -> None:
        for step in tf.range(_STEPS):
            key = tf.stack([seed, index * _STEPS + step])
            rows = tf.random.stateless_uniform([_BATCH], key, 0, len(train), tf.int32)
            p = prior.sample(_BATCH, seed=key + tf.constant([7, 1]))
            with tf.GradientTape() as tape:
                logits = network(tf.concat([tf.gather(codes, rows), p], axis=0))
                loss = density_ratio(logits[:_BATCH], logits[_BATCH:]).critic_loss
            gradients = tape.gradient(loss, network.trainable_variables)
            optimizer.apply(gradients, network.trainable_variables)

    beside = prior.sample(10 * len(choose), seed=stateless_seed([seed, 1])).numpy()
    best, kept = math.inf, network.get_weights()
    for index in range(rounds):
        round_of(tf.constant(index))
        estimate = density_ratio(_apply(network, choose), _apply(network, beside))
        loss = float(estimate.critic_loss)
        if loss < best:
            best, kept = loss, network.get_weights()
    network.set_weights(kept)
