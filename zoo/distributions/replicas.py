"""Replicas: devices that train one model on equal parts of every batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Replica:
    """One of `count` replicas, which receive equal consecutive parts of every batch.

    The gradients of all replicas are summed. So each replica descends 1/count of the objective: on
    its part if the objective is a mean over examples, otherwise on the gathered batch. The sum is
    then the gradient of one process on the whole batch, up to rounding.
    """

    count: int = 1
    index: Any = 0

    def part(self, values: Any) -> Any:
        """Returns this replica's rows of `values` [B, ...] of the whole batch."""
        if self.count == 1:
            return values
        size = tf.shape(values)[0] // self.count
        return values[self.index * size : (self.index + 1) * size]

    def drawn(self, distribution: Any, seed: Any) -> Any:
        """Returns samples [B / count, ...] of a tfd distribution for this part of the batch.

        They equal the samples that one process draws for these examples in the whole batch: noise
        fills a tensor in order, so that noise [count, B / count, ...] equals noise [B, ...].
        """
        if self.count == 1:
            return distribution.sample(seed=seed)
        return distribution.sample(self.count, seed=seed)[self.index]

    def gathered(self, *values: Any) -> tuple[Any, ...]:
        """Returns each of `values` [B / count, ...] as [B, ...], from all replicas in order.

        It uses one all-gather in float32. Gradients are correct only if all replicas compute the
        same function of the result: each replica then has the same gradient at all rows, and the
        sum over replicas of the gradient at its rows is `count` times its gradient.
        """
        if self.count == 1:
            return values
        context = tf.distribute.get_replica_context()
        shapes = [tuple(value.shape[1:]) for value in values]
        sizes = [tf.TensorShape(shape).num_elements() for shape in shapes]
        rows = tf.shape(values[0])[0]

        @tf.custom_gradient
        def gather(mine: Any) -> Any:
            whole = tf.ensure_shape(context.all_gather(mine, axis=0), [None, sum(sizes)])
            return whole, lambda slope: self.count * self.part(slope)

        flat = [
            tf.reshape(tf.cast(value, tf.float32), [rows, size])
            for value, size in zip(values, sizes, strict=True)
        ]
        parts = tf.split(gather(tf.concat(flat, axis=1)), sizes, axis=1)
        return tuple(
            tf.reshape(part, [-1, *shape]) for part, shape in zip(parts, shapes, strict=True)
        )

    def mean(self, values: Mapping[str, Any], examples: Any) -> tuple[dict[str, Any], Any]:
        """Returns global means of scalars that are means over this replica's `examples`.

        It also returns a weight for each replica; the weights sum to the number of all examples. A
        replica may have no examples. Gradients do not pass.
        """
        if self.count == 1:
            return dict(values), examples
        number = tf.cast(examples, tf.float32)
        weighted = [tf.where(number > 0.0, number * v, 0.0) for v in values.values()]
        context = tf.distribute.get_replica_context()
        *sums, total = tf.unstack(context.all_reduce("SUM", tf.stack([*weighted, number])))
        return {name: s / total for name, s in zip(values, sums, strict=True)}, total / self.count

    def equal(self, examples: Any, average: Any) -> Any:
        """Returns `count`, after checking that all replicas have the same number of examples."""
        if self.count == 1:
            return 1
        wrong = tf.debugging.assert_equal(
            tf.cast(examples, tf.float32),
            average,
            f"Each of the {self.count} replicas needs as many examples: give batches whose size "
            "they divide, and drop a smaller last one.",
        )
        with tf.control_dependencies([] if wrong is None else [wrong]):
            return tf.constant(float(self.count))


ALONE = Replica()


def present() -> Replica:
    """Returns the replica that this code runs in; `ALONE` outside of a strategy's `run`."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return ALONE
    return Replica(context.num_replicas_in_sync, context.replica_id_in_sync_group)


class ReplicatedModel(keras.Model):
    """A keras.Model whose `fit` works under a strategy with several workers.

    Keras averages a batch over workers to find its shape, and reduces logs along their first axis,
    which scalars lack. This model is built when it is constructed, and its logs are equal on all
    replicas. It loops over `steps_per_execution` outside of `run`, so that no step waits for news
    from other workers on the end of their data.
    """

    train_function: Any
    test_function: Any

    @property
    def replicas(self) -> int:
        """The number of replicas that train this model."""
        return self.distribute_strategy.num_replicas_in_sync

    def make_train_function(self, force: bool = False) -> Any:
        if self.replicas == 1:
            return super().make_train_function(force)
        if self.train_function is None or force:
            one = self._on_replicas(self.train_step)

            def several(iterator: Any) -> Any:
                return tf.while_loop(
                    lambda done, _: done < self.steps_per_execution,
                    lambda done, _: (done + 1, one(next(iterator))),
                    (1, one(next(iterator))),
                )[1]

            if not self.run_eagerly:
                several = tf.function(several, reduce_retracing=True, autograph=False)
            # `train_on_batch` passes a generator with one batch.
            self.train_function = lambda iterator: (
                several(iterator)
                if isinstance(iterator, tf.distribute.DistributedIterator)
                else one(next(iterator))
            )
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        if self.replicas == 1:
            return super().make_test_function(force)
        if self.test_function is None or force:
            one = self._on_replicas(self.test_step)

            def several(iterator: Any) -> Any:
                # Fewer batches may be left.
                logs = one(next(iterator))
                for _, data in zip(range(self.steps_per_execution - 1), iterator, strict=False):
                    logs = one(data)
                return logs

            self.test_function = several
        return self.test_function

    def _on_replicas(
        self, step: Callable[[Any], Any], jit_compile: bool = False
    ) -> Callable[[Any], Any]:
        """Returns a function that runs `step` on every replica's part and returns the logs."""
        strategy = self.distribute_strategy

        def one(data: Any) -> Any:
            logs = strategy.run(step, args=(data,))
            return tf.nest.map_structure(
                lambda value: strategy.experimental_local_results(value)[0], logs
            )

        if self.run_eagerly:
            return one
        return tf.function(one, jit_compile=jit_compile, reduce_retracing=True, autograph=False)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Does nothing: the model is built when it is constructed."""
