"""Tabular models: enumerable x and z, tables instead of networks, exact expectations.

A `TabularModel` is a `LagrangianModel` with sums over tables instead of samples of networks, and
the same `train_step`. So its solutions can be compared exactly with those of other methods.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from zoo import multipliers, terms
from zoo.distributions.conditionals import Conditional
from zoo.distributions.likelihoods import MEAN, Likelihood
from zoo.errors import InputError
from zoo.model.joints import SampledJoints
from zoo.model.lagrangian import Lagrangian
from zoo.model.lagrangian_model import LagrangianModel
from zoo.objectives import family
from zoo.objectives.capabilities import DECODER, ENCODER, PRIOR, Capabilities
from zoo.objectives.objective import Objective

tfd = tfp.distributions


@keras.saving.register_keras_serializable("zoo")
class Categorical(Likelihood):
    """A one-hot vector of K values, parametrised by logits: p(value k) = softmax(l)_k."""

    name = "categorical"
    stand_in = MEAN  # the probabilities: a sample has no gradient

    def distribution(self, params: tf.Tensor, raw_scale: tf.Tensor | None = None) -> Any:
        return tfd.OneHotCategorical(logits=params, dtype=tf.float32)


class EnumeratedJoints(SampledJoints):
    """All pairs (x, z), each once, weighted by their probabilities under q and under p.

        E_q[f] = sum_xz q(x) q(z|x) f(x,z),   E_p[f] = sum_xz p(z) p(x|z) f(x,z)

    Gradients flow through the weights, and are exact too. B = X Z in all shapes.

    Args:
      q_x: q(x), [X].
      encoder, decoder, prior: distributions over one-hot vectors of X and of Z values.
      training: passed to the networks.
    """

    def __init__(
        self, q_x: tf.Tensor, encoder: Conditional, decoder: Conditional, prior: Any, training: bool
    ):
        x_values, z_values = decoder.event_shape[-1], encoder.event_shape[-1]
        pairs = tf.repeat(tf.eye(x_values), z_values, axis=0)
        super().__init__(pairs, encoder, decoder, prior, [0, 0], training)
        self.x_p = pairs
        self.z_q = self.z_p = tf.tile(tf.eye(z_values), [x_values, 1])
        # A value that depends only on x is repeated for every z.
        self._data_weights = tf.repeat(q_x / z_values, z_values)
        self._q_x = tf.repeat(q_x, z_values)

    @cached_property
    def q_weights(self) -> tf.Tensor:
        """q(x) q(z|x), [B]."""
        return self._q_x * tf.exp(self.log_q_z_given_x_q)

    @cached_property
    def p_weights(self) -> tf.Tensor:
        """p(z) p(x|z), [B]."""
        return tf.exp(self.log_p_z_q + self.log_p_x_given_z_q)

    def best_critic(self, name: str) -> Any:
        """Returns the critic that makes the term `name` exact: a fixed log ratio.

        T = log q/p on the term's space; for RATE_ratio and RATE_p, the log ratio of the joint to
        the product of data and prior.

        Raises:
          InputError: the term's critic is not a log ratio.
        """
        if not getattr(terms.find(name), "log_ratio", False):
            raise InputError(f"{name} has no exact critic in a table: use another divergence.")
        pairs = [self.decoder.event_shape[-1], self.encoder.event_shape[-1]]
        q, p = (tf.reshape(weights, pairs) for weights in (self.q_weights, self.p_weights))
        if name in ("RATE_ratio", "RATE_p"):
            data, prior = tf.reduce_sum(q, 1, keepdims=True), tf.reduce_sum(p, 0, keepdims=True)
            q, p = (q if name == "RATE_ratio" else p), data * prior
        else:
            others = {"x": [1], "z": [0], "xz": []}[terms.critic_space(name) or "xz"]
            q, p = (tf.reduce_sum(each, others, keepdims=True) for each in (q, p))
        table = tf.broadcast_to(tf.math.log(q) - tf.math.log(p), pairs)
        logits = tf.stop_gradient(tf.reshape(table, [-1]))
        return lambda inputs, training=False: tf.concat([logits, logits], axis=0)

    def expect_q(self, values: Any) -> tf.Tensor:
        return tf.reduce_sum(self.q_weights * values)

    def expect_p(self, values: Any) -> tf.Tensor:
        return tf.reduce_sum(self.p_weights * values)

    def expect_data(self, values: Any) -> tf.Tensor:
        return tf.reduce_sum(self._data_weights * values)


@dataclasses.dataclass(frozen=True)
class KKT:
    """The distance of tables and multipliers from a Karush-Kuhn-Tucker (KKT) point.

    Attributes:
      objective: f = L(theta, 0), the form without its learned constraints, nats.
      violations: D_j - eps_j, [m].
      multipliers: lambda_j, [m].
      stationarity: the largest first-order decrease of L over all moves of the rows r of the
        trained tables within their simplices, nats (Frank and Wolfe 1956):

            sum_r max_r' <G_r, r - r'>,   G_r = dL/dr

        If L is convex in the tables, it is at most this far above its minimum.
      size, slacks: the units of f and of the violations, as in multiplier rules; a slack is the
        distance of a tolerance from the best value that is reachable.
    """

    objective: float
    violations: np.ndarray
    multipliers: np.ndarray
    stationarity: float
    size: float
    slacks: np.ndarray

    @property
    def gap(self) -> float:
        """A bound on the duality gap if L is convex in the tables, nats.

        f - min_theta L(theta, lambda) <= stationarity - sum_j lambda_j (D_j - eps_j)
        """
        return self.stationarity - float(self.multipliers @ self.violations)

    @property
    def residual(self) -> float:
        """The largest of three residuals that are 0 at a KKT point, in units of size and slack.

        stationarity / size,   max(0, g_j),   |mu_j g_j|,   g_j = (D_j - eps_j) / slack_j
        """
        g = self.violations / self.slacks
        mu = self.multipliers * self.slacks / self.size
        return float(np.max([self.stationarity / self.size, *g, *np.abs(mu * g)]))


class Convergence(keras.callbacks.Callback):
    """Measures whether dual optimisation converges: `TabularModel.kkt` after every epoch.

    If strong duality fails, plain ascent jumps between minima of the Lagrangian and meets the
    constraints only at times. So the measure is the worst of the last tenth of the epochs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readings: list[KKT] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.readings.append(self.model.kkt())

    @property
    def residual(self) -> float:
        """The largest KKT residual of the last tenth of the epochs."""
        if not self.readings:
            raise InputError("Nothing has been measured: pass this callback to fit.")
        tenth = math.ceil(len(self.readings) / 10)
        return float(np.max([reading.residual for reading in self.readings[-tenth:]]))

    def converged(self, tolerance: float) -> bool:
        """Returns whether the residual is within `tolerance`."""
        return self.residual <= tolerance


@keras.saving.register_keras_serializable("zoo")
class TabularModel(LagrangianModel):
    """A LagrangianModel of one-hot x and z, whose networks are tables of logits; see `build`.

    Expectations are exact: every step uses all of x and z, whatever the batch.

    Args:
      q_x: q(x), [X].
      The other arguments are as for LagrangianModel.
    """

    def __init__(self, *args: Any, q_x: Sequence[float], **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.q_x = [float(probability) for probability in q_x]

    @property
    def capabilities(self) -> dict[str, Capabilities]:
        """All capabilities: gradients pass through the weights, so that samples need none."""
        exact = Capabilities("a table")
        return dict.fromkeys((ENCODER, DECODER, PRIOR), exact)

    def joints(
        self,
        x: Any = None,
        seed: Any = None,
        training: bool = False,
        z: Any = None,
        relaxed: bool = True,
        c: Any = None,
    ) -> EnumeratedJoints:
        """Returns all pairs (x, z) with their exact weights."""
        q_x = tf.constant(self.q_x, tf.float32)
        return EnumeratedJoints(q_x, self.encoder, self.decoder, self.prior, training)

    def data(self) -> tf.data.Dataset:
        """Returns all x, again and again: `fit(model.data(), steps_per_epoch=1000)`."""
        return tf.data.Dataset.from_tensors(tf.eye(len(self.q_x))).repeat()

    def tables(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns q(z|x), [X, Z], and p(x|z), [Z, X]."""
        encoder, decoder = (
            tf.nn.softmax(conditional.network.weights[0].value).numpy()
            for conditional in (self.encoder, self.decoder)
        )
        return encoder, decoder

    def kkt(self) -> KKT:
        """Measures how far the model is from a Karush-Kuhn-Tucker point of its problem.

        Divergences that critics estimate are exact here, independent of the critics' training.
        """
        objective, violations, stationarity = self._kkt()
        return KKT(
            objective=float(objective),
            violations=violations.numpy(),
            multipliers=self.multipliers.value.numpy(),
            stationarity=float(stationarity),
            size=self.lagrangian.fixed_size or 1.0,
            slacks=np.array(self.slacks, np.float32),
        )

    @tf.function
    def _kkt(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        lambdas = self.multipliers.value
        tables = [variable.value for variable in self.primal_variables]
        with tf.GradientTape() as tape:
            joints, values, surrogates = self.joints(), {}, {}
            for name, term in self._terms.items():
                if terms.critic_space(name):
                    options = self.term_options.get(name, {})
                    term = terms.make(name, critic=joints.best_critic(name), **options)
                estimate = term(joints, training=False)
                values[name], surrogates[name] = estimate.value, estimate.surrogate
            # The value of a KL by density ratio has no gradient in its second argument.
            lagrangian = self.lagrangian.value(surrogates, lambdas)
        stationarity = tf.constant(0.0)
        slopes = tape.gradient(lagrangian, tables, unconnected_gradients="zero")
        for logits, slope in zip(tables, slopes, strict=True):
            # r = softmax(l): dL/dl_k = r_k (G_k - <G, r>), so
            # max_r' <G, r - r'> = max_k ( <G, r> - G_k ) = -min_k (dL/dl_k) / r_k
            change = tf.math.divide_no_nan(slope, tf.nn.softmax(logits))
            stationarity -= tf.reduce_sum(tf.reduce_min(change, axis=1))
        objective = self.lagrangian.value(values, tf.zeros_like(lambdas))
        return objective, self.lagrangian.violations(values), stationarity

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "q_x": self.q_x}


def build(
    model: str | Objective,
    q_x: Sequence[float],
    p_z: Sequence[float],
    encoder: Any = None,
    decoder: Any = None,
    fixed_decoder: bool = False,
    *,
    term_options: Mapping[str, Mapping[str, Any]] | None = None,
    multiplier_rule: str | multipliers.MultiplierRule | None = None,
    slacks: Sequence[float] | None = None,
    seed: int = 0,
    **parameters: Any,
) -> TabularModel:
    """Builds a tabular model, ready to `compile` and `fit`.

    Critics are tables too, and every KL without another estimator is by density ratio. JS uses its
    saturating surrogate, whose gradient at the optimal critic is that of JS. MMD is exact ("median"
    bandwidths count a value once for every pair that contains it).

    Args:
      model: a name of `zoo.names()`, or any admissible `zoo.Objective`.
      q_x: q(x), [X].
      p_z: p(z), [Z].
      encoder: the initial q(z|x), [X, Z]; random if None.
      decoder: the initial p(x|z), [Z, X]; random if None.
      fixed_decoder: whether p(x|z) is not trained.
      term_options, multiplier_rule, slacks, seed, **parameters: as for `zoo.build`.

    Raises:
      InputError: a table does not hold distributions of the right shape, or as `zoo.build`.
    """
    objective = model if isinstance(model, Objective) else family.objective(model, **parameters)
    if isinstance(multiplier_rule, str):
        multiplier_rule = multipliers.get(multiplier_rule)
    sizes = {"x": len(q_x), "z": len(p_z)}
    random = np.random.default_rng(seed)
    options: dict[str, dict[str, Any]] = {}
    critics = {}
    for name in Lagrangian(objective.tractable()).terms:
        if space := terms.critic_space(name):
            critics[name] = _critic(space, sizes)
            if terms.find(name).divergence == "JS":
                options[name] = {"surrogate": "saturating"}
            elif name in objective.estimators:
                # Stein's method moves z, and enumerated z cannot move.
                options[name] = {"estimator": "ratio"}
    for name, chosen in (term_options or {}).items():
        options[name] = {**options.get(name, {}), **chosen}
    return TabularModel(
        objective,
        _conditional("encoder", encoder, (sizes["x"], sizes["z"]), random),
        _conditional("decoder", decoder, (sizes["z"], sizes["x"]), random, not fixed_decoder),
        tfd.OneHotCategorical(probs=_distributions("p_z", p_z, (sizes["z"],)), dtype=tf.float32),
        critics=critics,
        term_options=options,
        multiplier_rule=multiplier_rule,
        slacks=slacks,
        seed=seed,
        q_x=_distributions("q_x", q_x, (sizes["x"],)).tolist(),
        name=objective.name,
    )


def _conditional(
    name: str, table: Any, shape: tuple[int, int], random: Any, trainable: bool = True
) -> Conditional:
    """Returns the conditional distribution whose logits are a table [conditions, values]."""
    if table is None:
        logits = random.normal(size=shape)
    else:
        logits = np.log(_distributions(name, table, shape))
    condition = keras.Input(shape[:1])
    dense = keras.layers.Dense(shape[1], use_bias=False, name=f"{name}_table")
    network = keras.Model(condition, dense(condition), name=f"{name}_network")
    dense.set_weights([logits])
    return Conditional(network, Categorical(), shape[1:], name=name, trainable=trainable)


def _critic(space: str, sizes: Mapping[str, int]) -> keras.Model:
    """Returns a critic that is a table of logits over `space`, initially 0."""
    inputs = [keras.Input((sizes[variable],)) for variable in space]
    columns = sizes["z"] if space == "xz" else 1
    table = keras.layers.Dense(columns, use_bias=False, kernel_initializer="zeros")
    # T(x) = x' t,   T(x,z) = x' T z
    logits = table(inputs[0])
    if space == "xz":
        logits = keras.layers.Dot(axes=1)([logits, inputs[1]])
    return keras.Model(
        inputs if space == "xz" else inputs[0],
        keras.layers.Reshape(())(logits),
        name=f"critic_{space}",
    )


def _distributions(name: str, table: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the table as float32, after checking that its rows are positive and sum to 1."""
    array = np.asarray(table, np.float32)
    if array.shape != shape:
        raise InputError(f"{name} has shape {array.shape} where {shape} is needed.")
    if not (array > 0).all() or np.abs(array.sum(-1) - 1).max() > 1e-5:
        raise InputError(f"{name} is {table!r}: give probabilities above 0 that sum to 1.")
    return array
