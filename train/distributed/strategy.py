"""The placement of a model's replicas, and the messages between the processes that run them."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from train.distributed import tf_config
from train.distributed.tf_config import Task
from zoo.errors import InputError

if TYPE_CHECKING:
    from train.workdirs.config import RunConfig

# The places of three bytes in one float32, which holds whole numbers of 24 bits exactly.
_PLACES = np.array([1, 2**8, 2**16], np.uint32)


class Cluster:
    """One or more processes, called workers, with one or more replicas each.

    All workers run the same program, and only the chief writes files. If all workers must agree on
    something that is read, measured or decided, the chief does it and sends the result.

    Args:
      strategy: a tf.distribute.Strategy; None for one replica.
      workers: the number of processes.
      index: the number of this process; 0 is the chief.
    """

    def __init__(self, strategy: Any = None, workers: int = 1, index: int = 0):
        self._strategy = strategy
        self.workers = workers
        self.index = index
        self._sum: Any = None

    @property
    def chief(self) -> bool:
        return self.index == 0

    @property
    def replicas(self) -> int:
        """The number of replicas on all workers together."""
        return 1 if self._strategy is None else self._strategy.num_replicas_in_sync

    def scope(self) -> AbstractContextManager:
        """Returns the scope in which all workers build and load models."""
        return contextlib.nullcontext() if self._strategy is None else self._strategy.scope()

    def check(self, config: RunConfig) -> None:
        """Raises InputError if this number of replicas cannot share the run."""
        if self.replicas == 1:
            return
        if config.batch_size % self.replicas:
            raise InputError(
                f"--batch_size={config.batch_size} is the total of all {self.replicas} replicas: "
                f"give a multiple of {self.replicas}."
            )
        if config.jit == "on":
            raise InputError(
                f"--jit=on is for one replica, and there are {self.replicas}: XLA cannot compile "
                "a step shared by replicas, so leave it out."
            )
        if config.on_nan == "skip":
            raise InputError(
                f"--on_nan=skip is for one replica, and there are {self.replicas}: use "
                "--strategy=one."
            )

    def shared(self, make: Callable[[tuple[int, int]], Any]) -> Any:
        """Returns a distributed dataset, in which each replica gets one part of every batch.

        `make` takes (index, count) and returns a dataset of part `index` of `count` of each batch.
        """
        import tensorflow as tf

        def of_worker(context: Any) -> Any:
            count = context.num_replicas_in_sync
            local = count // context.num_input_pipelines
            first = context.input_pipeline_id * local
            parts = [make((first + index, count)) for index in range(local)]
            if local == 1:
                return parts[0]
            # The worker's replicas take elements in turn.
            turns = tf.data.Dataset.range(local).repeat()
            return tf.data.Dataset.choose_from_datasets(parts, turns)

        return self._strategy.distribute_datasets_from_function(of_worker)

    def say(self, words: str) -> None:
        """Prints a line on the chief's stderr."""
        if self.chief:
            print(words, file=sys.stderr)

    def from_chief(self, make: Callable[[], bytes]) -> bytes:
        """Calls `make` on the chief only, and returns its result on every worker.

        Raises:
          InputError: `make` raised one; it is raised on all workers.
        """
        if self.workers == 1:
            return make()
        content, failure = b"", b""
        if self.chief:
            try:
                content = make()
            except InputError as error:
                failure = str(error).encode()
        sizes = self._summed(np.array([len(content), len(failure)], np.int32))
        received = self._summed_bytes(content + failure, int(sizes.sum()))
        if sizes[1]:
            raise InputError(received[sizes[0] :].decode())
        return received

    @contextlib.contextmanager
    def file(self, find: Callable[[], Path | None]) -> Iterator[Path | None]:
        """Yields on every worker the file that `find` returns on the chief, or None.

        The other workers are sent a copy, so they need no access to the chief's folders.

        Raises:
          InputError: as `from_chief`.
        """
        if self.workers == 1:
            yield find()
            return
        found: list[Path | None] = [None]

        def content() -> bytes:
            found[0] = path = find()
            return b"" if path is None else path.name.encode() + b"\0" + path.read_bytes()

        name, _, received = self.from_chief(content).partition(b"\0")
        if self.chief or not name:
            yield found[0]
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name.decode()
            path.write_bytes(received)
            yield path

    def agreed(self, number: int | None) -> int | None:
        """Returns the largest number that a worker passes; None if all pass None.

        It waits until all workers have called it.
        """
        if self.workers == 1:
            return number
        own = np.zeros(self.workers, np.int32)
        own[self.index] = number or 0
        return int(self._summed(own).max()) or None

    def wait(self) -> None:
        """Waits until all workers have called it."""
        self.agreed(None)

    def _summed(self, numbers: np.ndarray) -> np.ndarray:
        """Returns the sum over workers of non-negative integers below 2^31, [N]."""
        content = self._summed_bytes(numbers.astype(np.int32).tobytes(), 4 * len(numbers), True)
        return np.frombuffer(content, np.int32)

    def _summed_bytes(self, content: bytes, size: int, every: bool = False) -> bytes:
        """Returns the sum over workers of `size` bytes; of the chief's only unless `every`."""
        import tensorflow as tf

        if not size:
            return b""  # TensorFlow 2.21's all-reduce crashes on empty tensors
        words = np.zeros((-(-size // len(_PLACES)), len(_PLACES)), np.uint8)
        if every or self.chief:
            words.reshape(-1)[:size] = np.frombuffer(content, np.uint8)
        # float32, because not every device can sum integers with NCCL
        own = words.astype(np.float32) @ _PLACES.astype(np.float32)
        if self._sum is None:
            strategy, local = self._strategy, self.replicas // self.workers

            def total(own: tf.Tensor) -> tf.Tensor:
                context = tf.distribute.get_replica_context()
                first = tf.equal(context.replica_id_in_sync_group % local, 0)
                return context.all_reduce("SUM", tf.where(first, own, tf.zeros_like(own)))

            def all_workers(own: tf.Tensor) -> tf.Tensor:
                return strategy.experimental_local_results(strategy.run(total, args=(own,)))[0]

            one = [tf.TensorSpec([None], tf.float32)]
            self._sum = tf.function(all_workers, input_signature=one, autograph=False)
        summed = self._sum(own).numpy().astype(np.uint32)
        digits = summed[:, np.newaxis] // _PLACES % np.uint32(2**8)
        return digits.astype(np.uint8).tobytes()[:size]


ONE_PROCESS = Cluster()


def task_of(name: str) -> Task | None:
    """Returns this process's task under the strategy `name`; None unless there are several workers.

    Raises:
      InputError: TF_CONFIG is wrong, or it is needed and missing.
    """
    task = tf_config.read() if name in ("auto", "multiworker") else None
    if name == "multiworker" and task is None:
        raise InputError(
            "--strategy=multiworker needs TF_CONFIG, which names the workers: set it, or use "
            "--strategy=mirrored on one machine."
        )
    return task if task is not None and len(task.addresses) > 1 else None


def begin(name: str, task: Task | None) -> Cluster:
    """Starts a strategy, waits for the other workers and returns the `Cluster`.

    "one" is one replica. "mirrored" puts a replica on every GPU, or on every logical CPU device if
    there is no GPU. "multiworker" does the same in every process of TF_CONFIG. "auto" is
    "multiworker" if TF_CONFIG names several processes, else "mirrored" if there are several GPUs,
    else "one".

    Args:
      name: of the strategy.
      task: the result of `task_of` for that name.

    Raises:
      InputError: this process cannot listen at its address.
    """
    import tensorflow as tf

    if task is not None:
        try:
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
        except (tf.errors.UnknownError, tf.errors.InvalidArgumentError) as error:
            raise InputError(
                f"TF_CONFIG gives this process the address {task.addresses[task.index]}, where it "
                f"cannot listen ({error.message.splitlines()[0]}): free the port or name another."
            ) from None
        return Cluster(strategy, len(task.addresses), task.index)
    gpus = tf.config.list_logical_devices("GPU")
    if name in ("mirrored", "multiworker") or (name == "auto" and len(gpus) > 1):
        devices = gpus or tf.config.list_logical_devices("CPU")
        return Cluster(tf.distribute.MirroredStrategy([device.name for device in devices]))
    return Cluster()


def ended(error: BaseException) -> bool:
    """Whether `error` says that another worker can no longer be reached."""
    import tensorflow as tf

    kinds = (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
        tf.errors.FailedPreconditionError,
        tf.errors.InternalError,
    )
    return isinstance(error, kinds)
