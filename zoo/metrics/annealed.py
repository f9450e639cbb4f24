"""log p(x) by annealed importance sampling, and a bracket around it on simulated data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from zoo.distributions.conditionals import stateless_seed
from zoo.errors import InputError
from zoo.metrics import hamiltonian, log_mean
from zoo.metrics.annealing import Annealed, Annealing, Bracket
from zoo.metrics.batches import in_full_batches
from zoo.metrics.log_joint import check_continuous, check_densities, log_joint

_BATCH = 16  # images per batch
_WARM_UP = 40  # moves for the first step size


def annealed_importance_sampling(
    model: Any, images: Any, annealing: Annealing | None = None, seed: int = 0
) -> Annealed:
    """Estimates log p(x) of each image with chains annealed from q(z|x) to p(z|x).

        f_t(z) = f_0(z)^(1 - beta_t) f_1(z)^beta_t,   f_1 = p(x|z) p(z),  f_0 = q(z|x) or p(z)
        log w  = sum_t (beta_t - beta_{t-1}) (log f_1 - log f_0)(z_{t-1})
        log p(x) ~= log 1/C sum_c w_c

    Neal "Annealed importance sampling." 2001; z_t is moved by Hamiltonian Monte Carlo with
    invariant density f_t. Step sizes come from a separate run, so that w is unbiased: log p(x) is
    underestimated in expectation, by an amount that `zoo.metrics.log_mean.bias` estimates from 64
    chains or more. Steps are scaled by the posterior's standard deviations.

    Args:
      model: has `encode(x)` and `decode(z)`, tfd distributions, and a `prior` on all of R^K.
      images: [N, ...], or batches [B, ...] of them.
      annealing: the options; `Annealing()` if None.
      seed: seed of all noise.

    Raises:
      InputError: there are no images, a density is missing, or codes are discrete or bounded.
    """
    annealing = annealing or Annealing()
    program = _Program(model, annealing)
    found: list[np.ndarray] = []
    for index, (x, count) in enumerate(in_full_batches(images, _BATCH)):
        if not index:
            _check(model, tf.constant(x[:1]))
        found.append(program(tf.constant(x), None, [seed, index])[:, :count])
    return _annealed(found, annealing)


def bracket(model: Any, n: int = 64, annealing: Annealing | None = None, seed: int = 0) -> Bracket:
    """Brackets log p(x) of the model's samples: bidirectional Monte Carlo.

        z* ~ p(z), x ~ p(x|z*):  E forwards  <=  E_p(x) log p(x)  <=  E reverse

    Reverse chains go from z*, an exact draw of p(z|x), to f_0: their weights are unbiased for
    1/p(x). If both ends are close, annealing is long enough, at least for simulated images. Grosse
    et al. "Sandwiching the marginal likelihood using bidirectional Monte Carlo." 2015; Wu et al.
    "On the Quantitative Analysis of Decoder-Based Generative Models." 2017.

    Args:
      model: as in `annealed_importance_sampling`.
      n: the number of simulated images.
      annealing: the options; `Annealing()` if None.
      seed: seed of all noise.

    Raises:
      InputError: n is not positive, or as in `annealed_importance_sampling`.
    """
    if n < 1:
        raise InputError(f"The number of images for a bracket is {n}: give 1 or more.")
    annealing = annealing or Annealing()
    z = model.prior.sample(n, seed=stateless_seed([seed, 1]))
    x = np.asarray(model.decode(z).sample(seed=stateless_seed([seed, 2])))
    _check(model, tf.constant(x[:1]))
    program = _Program(model, annealing)
    lower, upper = [], []
    both = zip(in_full_batches(x, _BATCH), in_full_batches(z.numpy(), _BATCH), strict=True)
    for index, ((part, count), (codes, _)) in enumerate(both):
        images = tf.constant(part)
        lower.append(program(images, None, [seed + 3, index])[:, :count])
        upper.append(program(images, tf.constant(codes), [seed + 4, index])[:, :count])
    return Bracket(
        _annealed(lower, annealing).mean.at_least(), _annealed(upper, annealing).mean.at_most()
    )


def _annealed(found: list[np.ndarray], annealing: Annealing) -> Annealed:
    if not found:
        raise InputError("There are no images for annealed importance sampling: give some.")
    log_likelihood, effective, acceptance, *rises = np.concatenate(found, axis=1)
    mean = float(acceptance.mean())
    return Annealed(log_likelihood, effective, mean, annealing, np.stack(rises))


def _check(model: Any, x: tf.Tensor) -> None:
    check_densities(model, x)
    check_continuous(model, x)


class _Program:
    """Maps x [B, ...], exact z [B, K] or None, and a seed to the results of annealed chains.

    The results are rows [6, B]: log p(x), the effective number of chains, the acceptance, and three
    rises as in `Annealed`.
    """

    def __init__(self, model: Any, annealing: Annealing) -> None:
        self.model, self.annealing = model, annealing
        compiled = tf.function(jit_compile=annealing.jit_compile)
        self._find, self._forwards, self._reverse = (
            compiled(f) for f in (self._find_steps, self._go_forwards, self._go_back)
        )

    def __call__(self, x: tf.Tensor, exact: tf.Tensor | None, seed: list[int]) -> np.ndarray:
        first, second = tf.unstack(tfp.random.split_seed(stateless_seed(seed), 2))
        log_steps = self._find(x, first)
        if exact is None:
            log_w, acceptance = self._forwards(x, log_steps, second)
            sign = 1.0
        else:
            log_w, acceptance = self._reverse(x, log_steps, exact, second)
            sign = -1.0
        chains = log_w.shape[0]
        # log 1/C sum w, or in reverse -log 1/C sum 1/w
        signed = np.asarray(sign * log_w, np.float64)
        log_sum = np.logaddexp.reduce(signed, axis=0)
        effective = np.exp(2 * log_sum - np.logaddexp.reduce(2 * signed, axis=0))
        rises = log_mean.rises(log_mean.block_sums(signed), chains)
        estimate = sign * (log_sum - math.log(chains))
        return np.stack([estimate, effective, np.asarray(acceptance, np.float64), *rises])

    def _ends(self, x: Any) -> tuple[Any, Any]:
        """Returns the starting distribution, and log f_0 and log f_1 as one function of z."""
        posterior = self.model.encode(x)

        def both(z: Any) -> tuple[Any, Any]:
            log_likelihood, log_prior = log_joint(self.model, x, z)
            log_f0 = log_prior if self.annealing.start == "prior" else posterior.log_prob(z)
            return log_f0, log_likelihood + log_prior

        return posterior, both

    def _initial(self, posterior: Any, x: Any, seed: Any) -> Any:
        c = self.annealing.chains
        if self.annealing.start == "posterior":
            return posterior.sample(c, seed=seed)
        return self.model.prior.sample([c, x.shape[0]], seed=seed)

    def _move(self, both: Any, posterior: Any, z: Any, beta: Any, log_step: Any, seed: Any) -> Any:
        """Returns z after one move with invariant density f_beta."""

        def log_f(z: Any) -> Any:
            log_f0, log_f1 = both(z)
            return (1.0 - beta) * log_f0 + beta * log_f1

        s1 = hamiltonian.stddev(posterior, z[0])
        s0 = (
            s1
            if self.annealing.start == "posterior"
            else hamiltonian.stddev(self.model.prior, z[0])
        )
        # the standard deviations of f_beta if f_0 and f_1 are normal
        scale = ((1.0 - beta) / s0**2 + beta / s1**2) ** -0.5
        step_size = tf.exp(log_step)[:, tf.newaxis] * scale
        return hamiltonian.move(log_f, z, step_size, self.annealing.leapfrog, seed)

    def _find_steps(self, x: Any, seed: Any) -> Any:
        """Returns log step sizes [T + 1, B] for f_0 ... f_T, adapted in one annealing run."""
        betas = tf.concat([tf.zeros(_WARM_UP), self.annealing.betas], axis=0)
        total = int(betas.shape[0])
        posterior, both = self._ends(x)
        z = self._initial(posterior, x, seed)
        log_steps = tf.TensorArray(tf.float32, total, element_shape=[x.shape[0]])

        def more(t: Any, z: Any, log_step: Any, log_steps: Any) -> Any:
            key = tf.random.fold_in(seed, t + 1)
            z, acceptance = self._move(both, posterior, z, betas[t], log_step, key)
            speed = tf.where(t < _WARM_UP, 0.3, 0.1)
            log_step = hamiltonian.adapted(log_step, acceptance, speed)
            return t + 1, z, log_step, log_steps.write(t, log_step)

        start = (0, z, tf.fill([x.shape[0]], math.log(0.3)), log_steps)
        *_, log_steps = tf.while_loop(
            lambda t, *_: t < total, more, start, maximum_iterations=total
        )
        return log_steps.stack()[_WARM_UP:]

    def _go_forwards(self, x: Any, log_steps: Any, seed: Any) -> Any:
        betas = tf.constant(self.annealing.betas)
        posterior, both = self._ends(x)
        z = self._initial(posterior, x, seed)

        def more(t: Any, z: Any, log_w: Any, accepted: Any) -> Any:
            log_f0, log_f1 = both(z)
            # log w += (beta_t - beta_{t-1}) (log f_1 - log f_0)(z_{t-1})
            log_w += (betas[t] - betas[t - 1]) * (log_f1 - log_f0)
            key = tf.random.fold_in(seed, t + 1)
            z, acceptance = self._move(both, posterior, z, betas[t], log_steps[t], key)
            return t + 1, z, log_w, accepted + acceptance

        return self._walk(more, 1, lambda t: t <= self.annealing.temperatures, z, x)

    def _go_back(self, x: Any, log_steps: Any, exact: Any, seed: Any) -> Any:
        betas = tf.constant(self.annealing.betas)
        posterior, both = self._ends(x)
        z = tf.tile(exact[tf.newaxis], [self.annealing.chains, 1, 1])

        def more(t: Any, z: Any, log_w: Any, accepted: Any) -> Any:
            # The forward path reversed: at f_t first, then the weight of z_{t-1}.
            key = tf.random.fold_in(seed, t + 1)
            z, acceptance = self._move(both, posterior, z, betas[t], log_steps[t], key)
            log_f0, log_f1 = both(z)
            log_w += (betas[t] - betas[t - 1]) * (log_f1 - log_f0)
            return t - 1, z, log_w, accepted + acceptance

        return self._walk(more, self.annealing.temperatures, lambda t: t >= 1, z, x)

    def _walk(self, more: Any, first: int, going: Any, z: Any, x: Any) -> Any:
        """Returns log w [C, B] and the mean acceptance [B]."""
        none = tf.zeros([self.annealing.chains, x.shape[0]])
        t = self.annealing.temperatures
        _, _, log_w, accepted = tf.while_loop(
            lambda t, *_: going(t),
            more,
            (first, z, none, tf.zeros([x.shape[0]])),
            maximum_iterations=t,
        )
        return log_w, accepted / t
