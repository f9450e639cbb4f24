"""RATE: the mean KL of the posterior from the prior."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import tensorflow as tf

from zoo import errors
from zoo.objectives.capabilities import ENCODER, PRIOR, Needs
from zoo.terms import base
from zoo.terms.diagonal_normal import diagonal_normal
from zoo.terms.estimate import Estimate

ESTIMATORS = ("auto", "closed_form", "monte_carlo")


def rate(
    posterior: Any,
    prior: Any,
    z: Any = None,
    estimator: str = "auto",
    expect: Callable[[Any], Any] = tf.reduce_mean,
) -> Any:
    """The rate, an upper bound on the information I_q(x;z).

    ```none
    RATE = E_q(x) KL(q(z|x) || p(z)) = I_q(x;z) + KL(q(z) || p(z))
    ```

    A closed form exists for two diagonal normals, for blocks that all have one, and where
    TensorFlow Probability has registered one. Monte Carlo is E_q(x,z)[ log q(z|x) - log p(z) ] with
    one z for each x: unbiased, noisier, and sometimes negative.

    Args:
      posterior: q(z|x), batch shape [B].
      prior: p(z), batch shape [].
      z: [B, ...], samples of `posterior`; needed for Monte Carlo.
      estimator: "closed_form", "monte_carlo", or "auto": the closed form if it exists.
      expect: Maps [B] to a scalar; the mean unless examples are weighted.

    Returns:
      rate: Scalar, nats per example.

    Raises:
      InputError: `estimator` is unknown, the closed form does not exist, or `z` is missing.
    """
    _check(estimator)
    divergence = _closed_form(posterior, prior, estimator)
    if divergence is None:
        if z is None:
            raise errors.InputError("This rate is estimated by Monte Carlo: pass z=samples of q.")
        divergence = posterior.log_prob(z) - prior.log_prob(z)
    return expect(divergence)


@base.register("RATE")
@dataclasses.dataclass(frozen=True)
class Rate(base.Term):
    """RATE = E_q(x) KL(q(z|x) || p(z)); the option `estimator` is that of `rate`.

    Monte Carlo needs reparameterised samples of q(z|x). A categorical block has none: terms receive
    a relaxed sample, which is not distributed as q(z|x).
    """

    needs: ClassVar[Needs] = {ENCODER: ("density", "samples"), PRIOR: ("density",)}
    differentiates = frozenset({"z_q"})
    conditions = "any"

    estimator: str = "auto"

    def __post_init__(self) -> None:
        _check(self.estimator)

    @property
    def side(self) -> base.Side:
        return "exact"

    def asks(self, posterior: Any, prior: Any) -> tuple[Needs, frozenset[str]]:
        # The closed form needs no samples.
        if _closed_form(posterior, prior, self.estimator) is not None:
            return {}, frozenset()
        return self.needs, self.differentiates

    def reads_prior(self, prior: Any) -> base.Reading:
        return "density"

    def __call__(self, joints: base.Joints, training: bool = True) -> Estimate:
        divergence = _closed_form(joints.posterior, joints.prior, self.estimator)
        if divergence is not None:
            return Estimate.of(joints.expect_data(divergence))
        return Estimate.of(joints.expect_q(joints.log_q_z_given_x_q - joints.log_p_z_q))


def _closed_form(posterior: Any, prior: Any, estimator: str) -> Any | None:
    """Returns KL(q(z|x) || p(z)) in closed form, [B], or `None` for Monte Carlo."""
    if estimator == "monte_carlo":
        return None
    q, p = diagonal_normal(posterior), diagonal_normal(prior)
    if q is not None and p is not None:
        # TFP has no KL between Independent(Normal) and MultivariateNormalDiag.
        return q.kl_divergence(p)
    try:
        return posterior.kl_divergence(prior)
    except NotImplementedError:
        if estimator == "auto":
            return None
        kinds = f"{type(posterior).__name__} and {type(prior).__name__}"
        raise errors.InputError(
            f"There is no closed-form KL between {kinds}: use estimator='monte_carlo'."
        ) from None


def _check(estimator: str) -> None:
    if estimator not in ESTIMATORS:
        raise errors.unknown("estimator", estimator, ESTIMATORS)
