"""Certifies a run's model on its test data, and writes the certificate to its workdir."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from train.loop import two_phase
from train.workdirs.config import RunConfig
from train.workdirs.workdir import Workdir

if TYPE_CHECKING:
    from train.certificates.document import Certificate


def certify_run(
    model: Any, dataset: Any, config: RunConfig, workdir: Workdir, **options: Any
) -> Certificate:
    """Certifies `model` on the test split, writes the certificate to the workdir and returns it.

    Args:
      **options: `points` and `power` of `train.certificates.certificate.certify`.

    Raises:
      InputError: the split is empty.
    """
    from train.certificates import certificate, held_out

    size = held_out.batch_size(dataset.split("test").size, config.batch_size)

    def once(split: str, size: int) -> Any:
        return dataset.batches(
            split, size, config.seed, drop_remainder=False, repeat=False, shuffle=False
        )

    labels = getattr(dataset.split("test"), "labels", None)
    found = certificate.certify(
        model,
        once("test", size),
        workdir.records(),
        training=once("train", config.batch_size),
        validation=once("validation", config.batch_size),
        neutral=two_phase.neutral_model(config, workdir),
        declared={c.expression: str(c.at_most) for _, c in config.declared.learned},
        best=config.eps_hat,
        labels=labels if getattr(labels, "ndim", None) == 1 else None,
        seed=config.seed,
        **options,
    )
    found.write(workdir.path)
    return found


def summary(certificate: dict[str, Any]) -> str:
    """Returns one line: the verdict, its reason, any collapse and any unsettled multiplier."""
    parts = [f"certificate  {certificate['verdict']}: {certificate['reason']}"]
    collapsed = certificate["collapse"]
    if collapsed and collapsed["alarm"]:
        parts.append(collapsed["sentence"])
    if certificate["converged"] is False:
        parts.append(certificate["convergence"])
    return " ".join(parts)
