"""Prints how many bytes the replicas of a model send each other at every step.

    python -m train.communication --model=alice --network=dcgan --dataset=fashion_mnist

It takes the flags of train.run. The bytes are computed from the model's sizes; nothing is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from absl import flags

from train import command, run

_FLAGS = flags.FLAGS
flags.DEFINE_integer("replicas", 8, "How many replicas share a batch.")
flags.DEFINE_float("gigabytes", 10.0, "The bandwidth of each replica, in GB per second.")


def size(variables: Sequence[Any]) -> int:
    """Returns the bytes of the gradients of `variables`, which are float32."""
    return sum(4 * variable.shape.num_elements() for variable in variables)


def sent(count: int, replicas: int) -> float:
    """Returns the bytes each replica sends in a ring's all-reduce of `count` bytes.

        2 (R - 1) / R count

    Every replica passes on R - 1 of R parts twice: once as partial sums, once as full sums.
    """
    return 2 * (replicas - 1) / replicas * count


def main() -> int:
    config = run.config_from_flags()
    command.import_tensorflow()
    from train.loop import assembly

    dataset = assembly.load_dataset(config)
    latent_shape = getattr(dataset, "latent_shape", None)
    model = assembly.build_model(config, dataset.image_shape, 1, latent_shape, dataset.classes)
    primal, critics = size(model.primal_variables), size(model.critic_variables)
    whole = primal + model.critic_steps * critics
    each = sent(whole, _FLAGS.replicas)
    print(f"gradients of encoder and decoder  {primal / 1e6:8.2f} MB")
    print(f"gradients of critics              {critics / 1e6:8.2f} MB, {model.critic_steps} times")
    print(f"all-reduced in a step             {whole / 1e6:8.2f} MB")
    print(f"sent by each of {_FLAGS.replicas} replicas        {each / 1e6:8.2f} MB")
    milliseconds = each / _FLAGS.gigabytes / 1e6
    print(f"at {_FLAGS.gigabytes:g} GB/s, not overlapped    {milliseconds:8.2f} ms")
    return command.DONE


if __name__ == "__main__":
    command.run(main, __doc__)
