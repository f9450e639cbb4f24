"""The step of three models, written by hand for speed without the zoo or Keras.

Images are in memory, one call runs several steps, and Adam acts on plain variables. Only the
bfloat16 product is the zoo's.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from train.benchmark.cases import ALICE, LAGVAE, STEPS, Case, run_config
from train.loop import assembly
from train.loop.assembly import MOST_STEPS
from zoo.errors import unknown
from zoo.networks import precision

FLOOR = 0.01
RAW_SCALE = math.log(math.expm1(1.0 - FLOOR))  # softplus(RAW_SCALE) = 1 - FLOOR

Layer = tuple[tf.Variable, tf.Variable]


def prepare(case: Case) -> tuple[dict[str, Any], Callable[[Iterator[int]], None]]:
    """Builds the step of `case.model`; returns its settings and a function that trains in bursts.

    Raises:
      InputError: the model has no step here.
    """
    config = run_config(case)
    dataset = assembly.load_dataset(config)
    images = dataset.split("train").images
    images = tf.constant(images.reshape(len(images), -1))
    chosen = precision.best() if case.precision == "auto" else case.precision
    step = step_of(case, images.shape[1], chosen)
    at_once = math.gcd(MOST_STEPS, case.every)
    # Under XLA threefry is by far the fastest generator; without XLA it is not available.
    generator = "auto_select" if case.jit == "off" else "threefry"

    @tf.function(jit_compile=case.jit != "off")
    def block(first: tf.Tensor, examples: tf.Tensor) -> tf.Tensor:
        def one(index: tf.Tensor) -> tf.Tensor:
            x = tf.cast(tf.gather(images, examples[index]), tf.float32) / 255.0
            number = first + index
            if dataset.binarization == "dynamic":
                u = tf.random.stateless_uniform(tf.shape(x), [number, 0], alg=generator)
                x = tf.cast(u < x, tf.float32)
            shape = [2, case.batch_size, case.latent_dim]
            noise = tf.random.stateless_normal(shape, [number, 1], alg=generator)
            step(x, noise[0], noise[1])
            return index + 1

        tf.while_loop(lambda index: index < at_once, one, [0], parallel_iterations=1)
        return step.totals

    def train(bursts: Iterator[int]) -> None:
        blocks = _blocks(images.shape[0], case.batch_size, at_once)
        done = 0
        for steps in bursts:
            for _ in range(steps // at_once):
                totals = block(np.int32(done), next(blocks))
                done += at_once
            totals.numpy()

    uses = {
        "data": "resident",
        "jit": case.jit != "off",
        "precision": chosen,
        "steps_per_execution": at_once,
    }
    return uses, train


def _blocks(size: int, batch_size: int, steps: int) -> Iterator[np.ndarray]:
    """Yields the image indices of `steps` batches, [steps, B], one epoch after another."""
    generator, order = np.random.default_rng(0), np.empty(0, np.int32)
    while True:
        while len(order) < steps * batch_size:
            shuffled = generator.permutation(size).astype(np.int32)
            order = np.concatenate([order, shuffled[: size // batch_size * batch_size]])
        yield order[: steps * batch_size].reshape(steps, batch_size)
        order = order[steps * batch_size :]


class Step:
    """Base of the three steps: an autoencoder of two mlps, with Adam."""

    names: tuple[str, ...]
    optimizer = (1e-3, 0.9)  # learning rate, beta_1

    def __init__(self, case: Case, pixels: int, chosen: str):
        self.product = precision.product if chosen == "bfloat16" else tf.matmul
        self.encoder = layers(pixels, *case.hidden, 2 * case.latent_dim)
        self.decoder = layers(case.latent_dim, *case.hidden, pixels)
        self.adam = Adam([v for pair in self.encoder + self.decoder for v in pair], *self.optimizer)
        self.totals = tf.Variable(tf.zeros(len(self.names) + 1))

    def __call__(self, x: tf.Tensor, e: tf.Tensor, z_p: tf.Tensor) -> None:
        """Trains on images x [B, 784] with standard normal noise e and prior samples z_p [B, K]."""
        raise NotImplementedError

    def encoded(self, x: tf.Tensor, e: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the mean, the standard deviation and a sample of q(z|x)."""
        mean, raw = tf.split(mlp(x, self.encoder, tf.nn.softplus, self.product), 2, axis=1)
        scale = FLOOR + tf.nn.softplus(RAW_SCALE + raw)
        return mean, scale, mean + scale * e

    def decoded(self, z: tf.Tensor) -> tf.Tensor:
        """Returns the logits of p(x|z)."""
        return mlp(z, self.decoder, tf.nn.softplus, self.product)

    def record(self, loss: tf.Tensor, terms: Sequence[tf.Tensor]) -> None:
        self.totals.assign_add(tf.stack([loss, *terms]))


class Vae(Step):
    """Minimise REC_x + RATE."""

    names = ("REC_x", "RATE")

    def __call__(self, x: tf.Tensor, e: tf.Tensor, z_p: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            mean, scale, z = self.encoded(x, e)
            terms = distortion(self.decoded(z), x), rate(mean, scale)
            loss = terms[0] + terms[1]
        self.adam.descend(tape.gradient(loss, self.adam.variables))
        self.record(loss, terms)


class LagVae(Step):
    """Minimise RATE subject to REC_x + RATE <= 104 and MMD_z <= 5e-4, multipliers by ascent."""

    names = ("REC_x", "RATE", "MMD_z")
    tolerances, slacks, size = (104.0, 5e-4), (4.0, 5e-4), 2.0

    def __init__(self, case: Case, pixels: int, chosen: str):
        super().__init__(case, pixels, chosen)
        self.slack = tf.constant(self.slacks)
        self.mu = tf.Variable(tf.constant([1.0, 100.0]) * self.slack / self.size)
        self.average, self.seen = tf.Variable(tf.zeros(2)), tf.Variable(0.0)

    def __call__(self, x: tf.Tensor, e: tf.Tensor, z_p: tf.Tensor) -> None:
        multipliers = self.mu * self.size / self.slack
        with tf.GradientTape() as tape:
            mean, scale, z = self.encoded(x, e)
            mmd = mmd_to_standard_normal(mean, scale, z)
            terms = distortion(self.decoded(z), x), rate(mean, scale), mmd
            violations = tf.stack([terms[0] + terms[1], terms[2]]) - self.tolerances
            loss = terms[1] + tf.reduce_sum(multipliers * violations)
            primal = loss / (self.size + tf.reduce_sum(multipliers * self.slack))
        self.adam.descend(tape.gradient(primal, self.adam.variables))
        # xi_0 = g_0,   xi_t = 0.9 xi_{t-1} + 0.1 g_t;   mu <- clip( mu + rate xi )
        g = violations / self.slack
        self.average.assign(tf.where(self.seen > 0.0, 0.9 * self.average + 0.1 * g, g))
        self.seen.assign(1.0)
        self.mu.assign(tf.clip_by_value(self.mu + 20.0 / STEPS * self.average, 0.0, 1e3))
        self.record(loss, terms)


class Alice(Step):
    """Minimise REC_x + JS_xz over a game with a critic of pairs (x, z)."""

    names = ("REC_x", "JS_xz")
    optimizer = (2e-4, 0.5)

    def __init__(self, case: Case, pixels: int, chosen: str):
        super().__init__(case, pixels, chosen)
        self.critic = layers(pixels + case.latent_dim, *case.hidden, 1)
        self.critic_adam = Adam([v for pair in self.critic for v in pair], *self.optimizer)

    def __call__(self, x: tf.Tensor, e: tf.Tensor, z_p: tf.Tensor) -> None:
        with tf.GradientTape(persistent=True) as tape:
            _, _, z = self.encoded(x, e)
            rec = distortion(self.decoded(z), x)
            q, p = tf.concat([x, z], 1), tf.concat([tf.sigmoid(self.decoded(z_p)), z_p], 1)
            logits = mlp(tf.concat([q, p], 0), self.critic, leaky, self.product)
            t_q, t_p = tf.split(logits, 2)
            # L(T) = E_q softplus(-T) + E_p softplus(T),   JS >= log 2 - L(T) / 2
            critic_loss = tf.reduce_mean(tf.nn.softplus(-t_q) + tf.nn.softplus(t_p))
            exchanged = 0.5 * tf.reduce_mean(tf.nn.softplus(t_q) + tf.nn.softplus(-t_p))
            primal = (rec + exchanged) / 3.0
        self.adam.descend(tape.gradient(primal, self.adam.variables))
        self.critic_adam.descend(tape.gradient(critic_loss, self.critic_adam.variables))
        js = math.log(2.0) - 0.5 * critic_loss
        self.record(rec + js, (rec, js))


STEPS_OF: dict[str, type[Step]] = {"vae": Vae, LAGVAE: LagVae, ALICE: Alice}


def step_of(case: Case, pixels: int, chosen: str) -> Step:
    """Returns the step of `case.model` in the precision `chosen`.

    Raises:
      InputError: the model has no step here.
    """
    if case.model not in STEPS_OF:
        raise unknown("model with a bare loop", case.model, STEPS_OF)
    return STEPS_OF[case.model](case, pixels, chosen)


class Adam:
    """Adam (Kingma & Ba 2014), with epsilon outside the bias correction as in Keras."""

    def __init__(self, variables: list[tf.Variable], learning_rate: float, beta_1: float):
        self.variables = variables
        self._rate, self._beta_1, self._beta_2 = learning_rate, beta_1, 0.999
        self.moments = [tf.Variable(tf.zeros_like(v)) for v in variables]
        self._v = [tf.Variable(tf.zeros_like(v)) for v in variables]
        self._t = tf.Variable(0.0)

    def descend(self, gradients: Sequence[tf.Tensor]) -> None:
        t = self._t.assign_add(1.0)
        # theta <- theta - alpha m / (sqrt v + eps),   alpha = rate sqrt(1 - b_2^t) / (1 - b_1^t)
        alpha = self._rate * tf.sqrt(1.0 - self._beta_2**t) / (1.0 - self._beta_1**t)
        for theta, g, m, v in zip(self.variables, gradients, self.moments, self._v, strict=True):
            m.assign(self._beta_1 * m + (1.0 - self._beta_1) * g)
            v.assign(self._beta_2 * v + (1.0 - self._beta_2) * g * g)
            theta.assign_sub(alpha * m / (tf.sqrt(v) + 1e-7))


def layers(*sizes: int) -> list[Layer]:
    """Returns Glorot-initialised kernels and zero biases."""
    glorot = tf.keras.initializers.GlorotUniform(0)
    return [
        (tf.Variable(glorot((a, b))), tf.Variable(tf.zeros(b)))
        for a, b in itertools.pairwise(sizes)
    ]


def mlp(
    features: tf.Tensor,
    weights: Sequence[Layer],
    activation: Callable[[Any], Any],
    product: Callable[[Any, Any], Any],
) -> tf.Tensor:
    *hidden, (kernel, bias) = weights
    for each, offset in hidden:
        features = activation(product(features, each) + offset)
    return product(features, kernel) + bias


def leaky(features: tf.Tensor) -> tf.Tensor:
    return tf.nn.leaky_relu(features, 0.2)


def distortion(logits: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    # - log p(x|l) = sum_i softplus(l_i) - x_i l_i
    return tf.reduce_mean(tf.reduce_sum(tf.nn.softplus(logits) - x * logits, axis=1))


def rate(mean: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    # KL(N(m, s^2) || N(0, 1)) = sum_k (m^2 + s^2 - 1) / 2 - log s
    divergences = 0.5 * (mean**2 + scale**2 - 1.0) - tf.math.log(scale)
    return tf.reduce_mean(tf.reduce_sum(divergences, axis=1))


def mmd_to_standard_normal(mean: tf.Tensor, scale: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """Returns the U-statistic of z [N, K] against N(0, I), kernel exp(-|d|^2 / (2 K)).

    Its gradient is that of its mean over the noise of z ~ N(mean, diag(scale^2)).
    """
    dims = z.shape[1]
    norms = tf.reduce_sum(z**2, axis=1)
    distances = norms[:, None] + norms - 2.0 * tf.matmul(z, z, transpose_b=True)
    # E_p k(z, y) = (1 + 1/K)^(-K/2) exp(-|z|^2 / (2 (K + 1)))
    embedded = (1.0 + 1.0 / dims) ** (-dims / 2) * tf.exp(-norms / (2.0 * (dims + 1)))
    value = _unbiased(tf.exp(-distances / (2.0 * dims)), embedded, dims)
    v = scale**2
    between = _expected_kernel(mean[:, None] - mean, v[:, None] + v)
    surrogate = _unbiased(between, _expected_kernel(mean, v + 1.0), dims)
    return tf.stop_gradient(value - surrogate) + surrogate


def _expected_kernel(m: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
    # E exp(-|d|^2 / (2 K)) = prod_d sqrt(K / (K + v_d)) exp(-m_d^2 / (2 (K + v_d))),  d ~ N(m, v)
    dims = m.shape[-1]
    return tf.exp(-0.5 * tf.reduce_sum(tf.math.log1p(v / dims) + m**2 / (dims + v), axis=-1))


def _unbiased(k_qq: tf.Tensor, k_qp: tf.Tensor, dims: int) -> tf.Tensor:
    n = k_qp.shape[0]
    pairs = tf.reduce_sum(tf.linalg.set_diag(k_qq, tf.zeros_like(k_qp)))
    # sum_{i != j} k_ij / (n (n - 1)) - 2 E k_qp + E_pp k,   E_pp k = (1 + 2/K)^(-K/2)
    return pairs / (n * (n - 1)) - 2.0 * tf.reduce_mean(k_qp) + (1.0 + 2.0 / dims) ** (-dims / 2)
