"""REC_x and REC_z: the reconstruction losses of data and of latents."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from zoo import errors
from zoo.objectives import capabilities
from zoo.terms import base
from zoo.terms.affine_maps import random_affine
from zoo.terms.estimate import Estimate


def reconstruction(log_prob: Any, expect: Callable[[Any], Any] = tf.reduce_mean) -> Any:
    """The cross entropy of a conditional, estimated on samples.

    ```none
    REC_x = -E_q(x,z)[ log p(x|z) ]     with log p(x|z) at samples of q: the distortion
    REC_z = -E_p(x,z)[ log q(z|x) ]     with log q(z|x) at samples of p: InfoGAN's Q term
    ```

    For REC_z see Chen et al. "InfoGAN: Interpretable Representation Learning by Information
    Maximizing Generative Adversarial Nets." NeurIPS 2016, eq. 5.

    Args:
      log_prob: [B], the log density of each example, nats.
      expect: Maps [B] to a scalar; the mean unless examples are weighted.

    Returns:
      reconstruction: Scalar, nats per example; negative where densities exceed 1.
    """
    return expect(-tf.convert_to_tensor(log_prob))


@base.register("REC_x")
@dataclasses.dataclass(frozen=True)
class ReconstructionOfX(base.Term):
    """REC_x = -E_q log p(x|z)."""

    needs = capabilities.OF_DENSITIES["REC_x"]
    differentiates = frozenset({"z_q"})
    conditions = "any"

    @property
    def side(self) -> base.Side:
        return "exact"

    def reads_prior(self, prior: Any) -> base.Reading:
        return "none"

    def __call__(self, joints: base.Joints, training: bool = True) -> Estimate:
        return Estimate.of(reconstruction(joints.log_p_x_given_z_q, joints.expect_q))


@base.register("REC_z")
@dataclasses.dataclass(frozen=True)
class ReconstructionOfZ(base.Term):
    """REC_z = -E_p log q(z|x).

    With `affine` > 0, the strength of `random_affine`, training applies a random affine map a to
    each image:

    ```none
    -E_p E_a log q(z|a(x)) >= H(z|a(x)) >= H(z|x)
    ```

    This is also a lower bound on the information. It favours codes that slant, size and position do
    not change, such as which digit it is.
    """

    needs = capabilities.OF_DENSITIES["REC_z"]
    differentiates = base.DIFFERENTIATED["x"]
    conditions = "any"

    affine: float = 0.0

    def __post_init__(self) -> None:
        affine = self.affine
        if not (isinstance(affine, numbers.Real) and 0.0 <= float(affine) < math.inf):
            raise errors.InputError(f"affine {affine!r} has to be a number, 0 or above.")

    @property
    def side(self) -> base.Side:
        return "exact"

    def reads_prior(self, prior: Any) -> base.Reading:
        # -I_p + C_z = REC_z - H_p(z): the form drops H_p(z), which is constant for a fixed prior.
        return "fixed"

    def __call__(self, joints: base.Joints, training: bool = True) -> Estimate:
        if self.affine and training:
            ((_,), (x,)) = joints.samples("x")
            moved = random_affine(x, joints.stream(self.name), float(self.affine))
            log_q = joints.log_q_z_given(moved)
            return Estimate.of(reconstruction(log_q, joints.expect_p))
        return Estimate.of(reconstruction(joints.log_q_z_given_x_p, joints.expect_p))
