"""MMD: the squared maximum mean discrepancy between q and p, from samples.

The V-statistic includes each point's kernel with itself, which biases it by 2(1 - E k)/n if q = p.
At n = 128 this exceeds useful tolerances, and it depends on the batch size. So the U-statistic is
the default everywhere. It is unbiased, and therefore negative about half of the time if q = p.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from zoo import errors
from zoo.objectives.capabilities import Needs
from zoo.terms import base, kernels
from zoo.terms.diagonal_normal import diagonal_normal
from zoo.terms.estimate import Estimate
from zoo.terms.mmd_of_normals import mmd_of_normals
from zoo.terms.mmd_to_normal import mmd_to_normal

ESTIMATORS = ("u", "v", "linear")
EMBEDDINGS = ("auto", "closed_form", "sampled")


def mmd(
    z: Any,
    prior_sample: Any,
    kernel: str = "rbf",
    bandwidth: Any = "dim",
    estimator: str = "u",
    scales: Sequence[float] | None = None,
) -> Any:
    """The squared maximum mean discrepancy between two samples.

    ```none
    MMD^2 = E_qq k(z, z') - 2 E_qp k(z, y) + E_pp k(y, y')
    ```

    "linear" uses each example once, in pairs of neighbours. It is also unbiased and costs n instead
    of n^2, but if q = p its variance decreases as 1/n instead of 1/n^2:

    ```none
    MMD^2 = 2/n sum_i k(z_2i-1, z_2i) + k(y_2i-1, y_2i) - k(z_2i-1, y_2i) - k(z_2i, y_2i-1)
    ```

    For more information, see:
      Gretton et al. "A Kernel Two-Sample Test." JMLR 13, 2012, eq. 3 (U), 5 (V), and section 6
      (linear).

    Args:
      z: [N, ...], samples of q.
      prior_sample: [M, ...], samples of p.
      kernel: "rbf", "rbf_mixture", "imq" or "imq_mixture", see `kernels.Kernel`.
      bandwidth: s2 in exp(-|d|^2 / (2 s2)): "dim", "median" or a number, see `kernels.bandwidth`.
        "median" depends on the samples, which gives the U-statistic a bias of order 1/n.
      estimator: "u", unbiased and sometimes negative; "v", biased and never negative; or "linear",
        unbiased and noisier, for equal numbers of samples of q and p; it drops the last of an odd
        number.
      scales: Factors of s2; the kernel is the mean over them. `None` for the kernel's default.

    Returns:
      mmd: Scalar, symmetric in q and p, 0 in expectation if they are equal.

    Raises:
      InputError: an option is unknown, examples differ in size (for "linear", samples in number),
        or a batch has one example.
    """
    _check_estimator(estimator)
    q, p = kernels.flatten(z), kernels.flatten(prior_sample)
    if q.shape[1] != p.shape[1]:
        raise errors.InputError(
            f"MMD compares examples of one size: got {q.shape[1]} and {p.shape[1]} numbers each."
        )
    k, s2 = kernels.kernel(kernel, scales), kernels.bandwidth(bandwidth, q, p)
    if estimator == "linear":
        return _of_neighbours(q, p, lambda a, b: k(tf.reduce_sum((a - b) ** 2, axis=1), s2))
    k_qq = kernels.mean_of_pairs(k(kernels.squared_distances(q, q), s2), estimator)
    k_pp = kernels.mean_of_pairs(k(kernels.squared_distances(p, p), s2), estimator)
    k_qp = tf.reduce_mean(k(kernels.squared_distances(q, p), s2))
    # MMD^2 = E_qq k - 2 E_qp k + E_pp k
    return k_qq - 2.0 * k_qp + k_pp


def mmd_weighted(
    points: Any,
    q_weights: Any,
    p_weights: Any,
    kernel: str = "rbf",
    bandwidth: Any = "dim",
    scales: Sequence[float] | None = None,
) -> Any:
    """The squared maximum mean discrepancy between two distributions on the same points, exactly.

    ```none
    MMD^2 = (q - p)^T K (q - p),   K_ij = k(points_i, points_j)
    ```

    Args:
      points: [N, ...], the common support of q and p.
      q_weights: [N], probabilities; the result is differentiable in them.
      p_weights: [N], probabilities.
      kernel: As in `mmd`.
      bandwidth: As in `mmd`; "median" is over `points` without weights.
      scales: As in `mmd`.

    Returns:
      mmd: Scalar, 0 or above, 0 for equal weights.

    Raises:
      InputError: an option is unknown.
    """
    a, k = kernels.flatten(points), kernels.kernel(kernel, scales)
    gram = k(kernels.squared_distances(a, a), kernels.bandwidth(bandwidth, a))
    difference = tf.cast(q_weights, tf.float32) - tf.cast(p_weights, tf.float32)
    # (q - p)^T K (q - p)
    return tf.tensordot(difference, tf.linalg.matvec(gram, difference), axes=1)


@base.estimates("MMD")
@dataclasses.dataclass(frozen=True)
class MMD(base.Term):
    """MMD between q and p on x, on z, or on both side by side; options as in `mmd`.

    On z, with a diagonal normal prior and an RBF kernel, the expectation over the prior is in
    closed form, except in linear time.
    `embedding` requires that ("closed_form") or avoids it ("sampled"). If q(z|x) is a diagonal
    normal as well, the surrogate is `mmd_of_normals`, which has the same expectation. On enumerated
    joints both sides are exact, by `mmd_weighted`.

    With a condition of classes it is the mean of MMD within classes, E_c MMD(q(z|c), p(z)), over
    pairs of examples of one class; not in linear time. A batch leaves out classes with one example,
    and a batch without any pair counts as 0.
    """

    space: str
    kernel: str = "rbf"
    bandwidth: Any = "dim"
    estimator: str = "u"
    scales: Sequence[float] | None = None
    embedding: str = "auto"

    def __post_init__(self) -> None:
        kernel = kernels.kernel(self.kernel, self.scales)
        kernels.check_bandwidth(self.bandwidth)
        _check_estimator(self.estimator)
        if self.embedding not in EMBEDDINGS:
            raise errors.unknown("embedding", self.embedding, EMBEDDINGS)
        if self.embedding == "closed_form":
            if self.estimator == "linear":
                raise errors.InputError(
                    "MMD in linear time samples both sides: use embedding='sampled'."
                )
            if self.space != "z":
                raise errors.InputError(
                    f"{self.name} has no closed-form embedding: use embedding='sampled'."
                )
            if kernel.profile is not kernels.rbf:
                raise errors.InputError(
                    f"Kernel {self.kernel!r} has no closed-form embedding: use kernel='rbf'."
                )

    @property
    def conditions(self) -> str:  # type: ignore[override]
        return "none" if self.estimator == "linear" else "classes"

    @property
    def side(self) -> base.Side:
        # Pairs of a sample with itself bias the V-statistic upwards.
        return "upper" if self.estimator == "v" else super().side

    def asks(self, posterior: Any, prior: Any) -> tuple[Needs, frozenset[str]]:
        self._exact(prior)  # raises if the requested embedding does not exist
        return self.needs, self.differentiates

    def reads_prior(self, prior: Any) -> base.Reading:
        return "samples" if self._exact(prior) is None else "density"

    def __call__(self, joints: base.Joints, training: bool = True) -> Estimate:
        if joints.q_weights is not None:
            return Estimate.of(self._of_weights(joints))
        options: dict[str, Any] = {
            "kernel": self.kernel,
            "estimator": self.estimator,
            "scales": self.scales,
        }
        normal = self._exact(joints.prior)
        if normal is None and joints.condition is not None:
            return Estimate.of(self._within_classes(joints))
        if normal is None:
            q, p = joints.gathered(*(kernels.flatten(*s) for s in joints.samples(self.space)))
            return Estimate.of(mmd(q, p, bandwidth=self.bandwidth, **options))
        posterior = None if self.estimator == "v" else diagonal_normal(joints.posterior)
        moments = () if posterior is None else (posterior.mean(), posterior.stddev())
        s2 = self.bandwidth
        by_median = isinstance(s2, str) and s2 == "median"
        beside = (joints.z_p,) if by_median else ()
        classes = () if joints.condition is None else (joints.condition,)
        z_q, *others = joints.gathered(joints.z_q, *moments, *beside, *classes)
        pairs = kernels.pairs_of_one_class(others.pop(), self.estimator) if classes else None
        if by_median:
            s2 = kernels.median_bandwidth(z_q, others.pop())
        prior = normal.mean(), normal.stddev()
        exact = mmd_to_normal(z_q, *prior, bandwidth=s2, pairs=pairs, **options)
        if posterior is None or not training:
            return Estimate.of(exact)
        locs, stddevs = others
        scales = kernels.kernel(self.kernel, self.scales).scales
        surrogate = mmd_of_normals(locs, stddevs, *prior, s2, scales, pairs)
        return Estimate(value=exact, surrogate=surrogate)

    def _within_classes(self, joints: base.Joints) -> Any:
        """Returns the mean over classes of MMD within each, from samples of both sides."""
        samples = (kernels.flatten(*parts) for parts in joints.samples(self.space))
        q, p, classes = joints.gathered(*samples, joints.condition)
        k, s2 = kernels.kernel(self.kernel, self.scales), kernels.bandwidth(self.bandwidth, q, p)
        k_qq, k_pp, k_qp = (
            k(kernels.squared_distances(a, b), s2) for a, b in ((q, q), (p, p), (q, p))
        )
        # MMD^2 = E_c [ E_qq k - 2 E_qp k + E_pp k ]
        pairs = kernels.pairs_of_one_class(classes, self.estimator)
        return tf.reduce_sum(pairs * (k_qq - 2.0 * k_qp + k_pp))

    def _of_weights(self, joints: base.Joints) -> Any:
        """Returns MMD between q and p on the same enumerated points."""
        points, _ = joints.samples(self.space)
        return mmd_weighted(
            kernels.flatten(*points),
            joints.q_weights,
            joints.p_weights,
            kernel=self.kernel,
            bandwidth=self.bandwidth,
            scales=self.scales,
        )

    def _exact(self, prior: Any) -> Any | None:
        """Returns the prior if its embedding is in closed form, else `None`."""
        if self.space != "z" or self.embedding == "sampled" or self.estimator == "linear":
            return None
        if kernels.kernel(self.kernel).profile is not kernels.rbf:
            return None
        normal = diagonal_normal(prior)
        if normal is None and self.embedding == "closed_form":
            raise errors.InputError(
                f"A {type(prior).__name__} prior has no closed-form embedding: "
                "use embedding='sampled'."
            )
        return normal


def _of_neighbours(q: Any, p: Any, k: Callable[[Any, Any], Any]) -> Any:
    """Returns the linear-time statistic of samples [N, D]; `k` takes two matrices row by row."""
    if not q.shape.is_compatible_with(p.shape):
        raise errors.InputError(
            f"MMD in linear time pairs the samples: got {q.shape[0]} and {p.shape[0]} of them."
        )
    if q.shape[0] == 1:
        raise errors.InputError("MMD in linear time needs pairs: use batches of two or more.")
    even = tf.shape(q)[0] // 2 * 2
    (z1, z2), (y1, y2) = ((sample[0:even:2], sample[1:even:2]) for sample in (q, p))
    # h = k(z1, z2) + k(y1, y2) - k(z1, y2) - k(z2, y1)
    return tf.reduce_mean(k(z1, z2) + k(y1, y2) - k(z1, y2) - k(z2, y1))


def _check_estimator(estimator: str) -> None:
    if estimator not in ESTIMATORS:
        raise errors.unknown("estimator", estimator, ESTIMATORS)
