"""REC_x and REC_z: the cost of decoding what was encoded, and of encoding what was decoded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from zoo.terms import base
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
      expect: Takes [B] to a scalar; the mean unless the examples carry other weights.

    Returns:
      reconstruction: Scalar, nats per example. It may be negative, for densities.
    """
    return expect(-tf.convert_to_tensor(log_prob))


@base.register("REC_x")
@dataclasses.dataclass(frozen=True)
class ReconstructionOfX(base.Term):
    """REC_x = -E_q log p(x|z)."""

    def __call__(self, joints: base.Joints, training: bool = True) -> Estimate:
        return Estimate.of(reconstruction(joints.log_p_x_given_z_q, joints.expect_q))


@base.register("REC_z")
@dataclasses.dataclass(frozen=True)
class ReconstructionOfZ(base.Term):
    """REC_z = -E_p log q(z|x)."""

    def __call__(self, joints: base.Joints, training: bool = True) -> Estimate:
        return Estimate.of(reconstruction(joints.log_q_z_given_x_p, joints.expect_p))
