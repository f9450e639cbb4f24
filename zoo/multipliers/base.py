"""Base of all rules: scaled multipliers and violations, their moving average, and the clip."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from zoo.errors import InputError

# Largest violation, in slacks (a slack is a tolerance less the best reachable value). At the start
# of a run a critic separates q and p almost perfectly. Without this limit, the first hundred steps
# would raise the multiplier until codes carry no information on the images.
MOST = 3.0
HELD = 0.2  # default `hold`, as a share of the horizon


class Violation(NamedTuple):
    """Scaled violations g = (D - eps) / scale of the learned constraints, [m] each.

    If a critic estimates D, all three are averages, with D at least 0, and at most `MOST`.
    """

    now: Any  # g_t
    average: Any  # xi_t
    previous: Any  # xi_{t-1}; xi_0 at the first step


class MultiplierRule(keras.layers.Layer):
    """An update rule of learned multipliers, in units that are comparable between constraints.

        g_i  = (D_i - eps_i) / scale_i      violation, in slacks
        mu_i = lambda_i scale_i / size      multiplier of g_i, in units of the objective's size

        sum_i lambda_i (D_i - eps_i) = size sum_i mu_i g_i

    scale_i is the slack, eps_i less the best reachable value of D_i; size is |alpha| + the sum of
    the fixed multipliers. A rule moves mu by g. Projected ascent on mu moves lambda by

        lambda_i <- lambda_i + rate (size / scale_i^2) (D_i - eps_i)

    so that -ELBO in nats and MMD of order 1e-4 have suitable steps; one step size on lambda for
    both leaves MMD violated by several slacks. The path of mu does not depend on units: if D_i,
    eps_i and scale_i are multiplied by s, lambda_i is divided by s; if the objective is multiplied
    by s, lambda is too.

    Rules use a moving average of violations, which starts at the first one ([G] algorithm 1). If a
    critic estimates D, the estimate is a lower bound that can be negative: the average is then
    clipped from below at D = 0 and from above at three slacks, `MOST`:

        xi_0 = g_0,   xi_t = smoothing xi_{t-1} + (1 - smoothing) g_t
        g <- min( 3, max( xi_t, floor_i / scale_i ) ),   floor_i = -eps_i

    Such a multiplier also keeps its initial value for the first `hold` steps: codes that match the
    prior before the decoder uses them carry no information on the images, and do not recover.

    All state is float32 weights, so that checkpoints restore it exactly.

    Args:
      rate: the step of mu at a violation of one slack; None for the rule's default.
      horizon: instead of `rate`, the number of steps of the run: rate = pace / horizon, so that a
        constant violation of one slack moves mu (GECO: log mu) by `pace` in a run of any length.
      hold: the number of initial steps in which multipliers of constraints that a critic estimates
        do not move; None for a fifth of the horizon, or 0 without a horizon.
      smoothing: of the moving average, from 0 (none) to below 1; None for the rule's default.
      clip: the smallest and the largest mu; None for the rule's default.

    Raises:
      InputError: an option is out of range, or rate and horizon are both given.
    """

    built: bool
    pace: ClassVar[float] = 20.0
    fastest: ClassVar[float] = math.inf  # the largest rate that a short horizon gives
    default_rate: ClassVar[float] = 1e-3
    default_smoothing: ClassVar[float] = 0.9
    default_clip: ClassVar[tuple[float, float]] = (0.0, 1e3)

    def __init__(
        self,
        rate: float | None = None,
        horizon: int | None = None,
        smoothing: float | None = None,
        clip: Sequence[float] | None = None,
        hold: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(dtype="float32", **kwargs)
        if rate is not None and horizon is not None:
            raise InputError(f"Give either rate ({rate!r}) or horizon ({horizon!r}), not both.")
        if horizon is not None:
            rate = min(self.pace / in_range("horizon", horizon, above=0), self.fastest)
        if hold is None:
            hold = int(HELD * (horizon or 0))
        self.hold = int(in_range("hold", hold, least=0))
        self.horizon = horizon
        self.rate = in_range("rate", self.default_rate if rate is None else rate, above=0)
        smoothing = self.default_smoothing if smoothing is None else smoothing
        self.smoothing = in_range("smoothing", smoothing, least=0, below=1)
        lower, upper = self.default_clip if clip is None else _pair(clip)
        self.clip = (in_range("The clip's lower end", lower, least=0, below=upper), float(upper))

    def start(
        self,
        initial: Sequence[float],
        scale: Sequence[float] | float = 1.0,
        size: float = 1.0,
        floors: Sequence[float | None] | None = None,
    ) -> None:
        """Creates the multipliers; a second call resets them and the moving average.

        Args:
          initial: lambda_i >= 0, [m]; smaller ones than the clip's lower end start there.
          scale: the slack of each constraint in units of D_i, above 0, [m]; a number for all.
          size: |alpha| + the sum of the fixed multipliers.
          floors: -eps_i, the smallest true D_i - eps_i, for each D_i that a critic estimates; None
            for the other constraints.

        Raises:
          InputError: the lists differ in length, a number is out of range, or an initial
            multiplier is above the clip.
        """
        m = len(initial)
        scales = [scale] * m if isinstance(scale, int | float) else list(scale)
        least = [-math.inf if f is None else f for f in ([None] * m if floors is None else floors)]
        if not m == len(scales) == len(least):
            raise InputError(
                f"Give each of the {m} multipliers one scale and one floor: got {len(scales)} "
                f"and {len(least)}."
            )
        in_range("size", size, above=0)
        for multiplier, one in zip(initial, scales, strict=True):
            largest = self.clip[1] * size / in_range("scale", one, above=0)
            in_range("The initial multiplier", multiplier, least=0, most=largest)
        if not self.built:
            self.mu, self.unit = self._weight("mu", m), self._weight("unit", m)
            self.scale, self.floor = self._weight("scale", m), self._weight("floor", m)
            self.average, self.taken = self._weight("average", m), self._weight("taken")
            self.built = True
        # mu = lambda scale / size
        units = np.array(scales, np.float64) / size
        self.mu.assign(np.clip(np.array(initial, np.float64) * units, *self.clip))
        self.unit.assign(1 / units)
        self.scale.assign(scales)
        self.floor.assign(least)
        self.average.assign(np.zeros(m))
        self.taken.assign(0.0)

    @property
    def held(self) -> tf.Tensor:
        """Whether the next step does not move a multiplier, [m]."""
        return tf.math.is_finite(self.floor) & (self.taken < self.hold)

    @property
    def value(self) -> tf.Tensor:
        """The multipliers lambda, [m]."""
        # lambda = mu size / scale
        return self.mu * self.unit

    def effective(self, violations: Any) -> tf.Tensor:
        """Returns the multipliers of the primal step at this batch's D - eps, [m], as constants."""
        return tf.stop_gradient(self.value)

    def update(self, violations: Any) -> None:
        """Moves the multipliers by one step at D - eps [m], the mean over replicas."""
        g, average = self._averaged(violations)
        # mu <- clip( moved mu, lower, upper )
        mu = tf.convert_to_tensor(self.mu)
        moved = tf.where(self.held, mu, self.moved(mu, g))
        self.mu.assign(tf.clip_by_value(moved, *self.clip))
        self.average.assign(average)
        self.taken.assign_add(1.0)

    def moved(self, mu: tf.Tensor, g: Violation) -> tf.Tensor:
        """Returns mu after a step at the violation g, before the clip; each rule defines it."""
        raise NotImplementedError

    def at_clip(self) -> list[str | None]:
        """Returns "lower", "upper" or None per multiplier: the end of the clip that it is at."""
        lower, upper = (np.float32(end) for end in self.clip)
        ends = {lower: "lower", upper: "upper"}
        return [ends.get(mu) for mu in keras.ops.convert_to_numpy(self.mu)]

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "rate": self.rate,
            "smoothing": self.smoothing,
            "clip": list(self.clip),
            "hold": self.hold,
        }

    def _averaged(self, violations: Any) -> tuple[Violation, tf.Tensor]:
        """Returns the violation for the rule, and the new moving average."""
        # g = (D - eps) / scale
        g = tf.cast(violations, tf.float32) / self.scale
        # xi_0 = g_0,   xi_t = smoothing xi_{t-1} + (1 - smoothing) g_t
        previous = tf.where(self.taken > 0.0, tf.convert_to_tensor(self.average), g)
        average = self.smoothing * previous + (1 - self.smoothing) * g
        least = self.floor / self.scale
        by_critic = tf.math.is_finite(least)
        most = tf.where(by_critic, MOST, math.inf)
        # `most` is applied last: it also limits an aim far below the tolerance.
        clipped, before = (tf.minimum(tf.maximum(a, least), most) for a in (average, previous))
        now = tf.where(by_critic, clipped, g)
        return Violation(now, clipped, before), average

    def _weight(self, name: str, *shape: int) -> Any:
        # Replicas receive the same violations, so that their weights stay equal.
        return self.add_weight(
            name=name,
            shape=shape,
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )


def in_range(
    name: str,
    value: Any,
    above: float = -math.inf,
    below: float = math.inf,
    least: float = -math.inf,
    most: float = math.inf,
) -> float:
    """Returns `value` as a float if above < value < below and least <= value <= most.

    Raises:
      InputError: `value` is not a number in this range.
    """
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if number and above < value < below and least <= value <= most:
        return float(value)
    bounds = {"above": above, "at least": least, "below": below, "at most": most}
    wanted = " and ".join(f"{word} {b:g}" for word, b in bounds.items() if math.isfinite(b))
    raise InputError(f"{name} is {value!r}: give a number {wanted}.")


def _pair(clip: Any) -> tuple[float, float]:
    if not isinstance(clip, Sequence) or isinstance(clip, str) or len(clip) != 2:
        raise InputError(f"clip is {clip!r}: give two numbers, the smallest and the largest mu.")
    return clip[0], in_range("The clip's upper end", clip[1], above=0)
