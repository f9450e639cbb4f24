"""Certifies a run's newest checkpoint again, on the test data: certificate.json and its page.

    python -m train.certify --workdir=runs/lagvae_max

What it finds is no failure: it ends with 0 for an infeasible run too.
"""

from __future__ import annotations

from typing import Any

from absl import flags

from train import command, two_phase
from train.config import RunConfig
from train.workdir import Workdir
from zoo.errors import InputError


def certify_run(model: Any, dataset: Any, config: RunConfig, workdir: Workdir) -> dict[str, Any]:
    """Certifies `model` on the test split, writes the certificate to the workdir and returns it.

    Raises:
      InputError: the split is empty.
    """
    from train.certificates import certificate

    size = certificate.batch_size(dataset.split("test").size, config.batch_size)

    def once(split: str, size: int) -> Any:
        return dataset.batches(
            split, size, config.seed, drop_remainder=False, repeat=False, shuffle=False
        )

    found = certificate.certify(
        model,
        once("test", size),
        workdir.records(),
        training=once("train", config.batch_size),
        validation=once("validation", config.batch_size),
        neutral=two_phase.neutral_model(config, workdir),
        declared={c.expression: str(c.at_most) for _, c in config.declared.learned},
        best=config.eps_hat,
        seed=config.seed,
    )
    certificate.write(workdir, found)
    return found


def summary(certificate: dict[str, Any]) -> str:
    """Returns the verdict on one line, with its reason and whether the multipliers settled."""
    parts = [f"certificate  {certificate['verdict']}: {certificate['reason']}"]
    if certificate["converged"] is False:
        parts.append(certificate["convergence"])
    return " ".join(parts)


def main() -> int:
    path = flags.FLAGS.workdir
    if not path:
        raise InputError("--workdir is missing: name the run's folder, like runs/lagvae_max.")
    workdir = Workdir(path)
    config = workdir.config()
    if config is None:
        raise InputError(f"--workdir={path} holds no run: name a folder that train.run made.")
    checkpoint = workdir.latest_checkpoint()
    if checkpoint is None:
        raise InputError(f"--workdir={path} has no checkpoint yet: train it with train.run.")
    command.import_tensorflow()
    from train import assembly

    dataset = assembly.load_dataset(config)
    model = workdir.load(checkpoint)
    print(summary(certify_run(model, dataset, config, workdir)))
    print(f"everything is in {workdir.path / 'certificate.md'}")
    return command.DONE


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "The run's folder, as train.run made it.")
    command.run(main, __doc__)
