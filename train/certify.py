"""Certifies a run's newest checkpoint again, on the test data: certificate.json and its page.

    python -m train.certify --workdir=runs/lagvae_max
    python -m train.certify runs/seed0 runs/seed1 runs/seed2

Of several runs it prints what they say together: means over seeds, and multipliers beside the
slope between two tolerances. Those without a certificate of their newest checkpoint get one.

What it finds is no failure: it ends with 0 for an infeasible run too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from absl import flags
from typing_extensions import TypedDict

from train import command
from train.loop.certifying import certify_run, summary
from train.workdirs import documents
from train.workdirs.config import RunConfig
from train.workdirs.workdir import Workdir, write_atomically
from zoo.errors import InputError


class _Constraint(TypedDict):
    expression: str


class _Certificate(TypedDict):
    step: int
    verdict: str
    constraints: list[_Constraint]


def main() -> int:
    folders = [*flags.FLAGS.runs, *([flags.FLAGS.workdir] if flags.FLAGS.workdir else [])]
    if not folders:
        raise InputError("--workdir is missing: name the run's folder, like runs/lagvae_max.")
    opened = [_opened(path) for path in dict.fromkeys(folders)]
    command.import_tensorflow()
    together = []
    for workdir, config, checkpoint in opened:
        found = None if len(opened) == 1 else _certified(workdir, checkpoint)
        if found is None:
            found = _certify(workdir, config, checkpoint)
            if len(opened) == 1:
                print(summary(found))
                print(f"everything is in {workdir.path / 'certificate.md'}")
        together.append((workdir.path, config, found))
    if len(opened) > 1:
        from train.certificates import seeds

        page = seeds.markdown(seeds.aggregate(together))
        print(page)
        if flags.FLAGS.out:
            try:
                write_atomically(Path(flags.FLAGS.out), page.encode())
            except OSError as error:
                raise InputError(
                    f"--out={flags.FLAGS.out} cannot be written ({error.strerror})."
                ) from None
    return command.DONE


def _opened(path: str) -> tuple[Workdir, RunConfig, Path]:
    """Returns a run's folder, its configuration and its newest checkpoint."""
    workdir = Workdir(path)
    config = workdir.config()
    if config is None:
        raise InputError(f"--workdir={path} holds no run: name a folder that train.run made.")
    checkpoint = workdir.latest_checkpoint()
    if checkpoint is None:
        raise InputError(f"--workdir={path} has no checkpoint yet: train it with train.run.")
    return workdir, config, checkpoint


def _certify(workdir: Workdir, config: RunConfig, checkpoint: Path) -> dict[str, Any]:
    from train.loop import assembly, restoring

    dataset = assembly.load_dataset(config)
    options = {"points": flags.FLAGS.points, "power": flags.FLAGS.power}
    model = restoring.load(workdir, checkpoint)
    assembly.check_table(model, dataset)
    return certify_run(model, dataset, config, workdir, **options)


def _certified(workdir: Workdir, checkpoint: Path) -> dict[str, Any] | None:
    """Returns a run's certificate of this checkpoint, None if it has another or none."""
    file = workdir.path / "certificate.json"
    if not file.exists():
        return None
    found = documents.read(file, "run train.certify on it again", _Certificate)
    known = all({"lower", "upper"} <= set(c) for c in found["constraints"])
    return found if known and found["step"] == int(checkpoint.stem.rpartition("-")[2]) else None


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "The run's folder, as train.run made it.")
    flags.DEFINE_multi_string("runs", [], "Several runs' folders; the flag may be left out.")
    flags.DEFINE_string("out", None, "Where the page about several runs is written, besides.")
    flags.DEFINE_integer("points", 5000, "The most images that the information is estimated on.")
    flags.DEFINE_integer(
        "power", 4, "Repeats of each planted difference, where only a lower bound exists."
    )
    flags.DEFINE_multi_string("import", [], command.IMPORT)
    command.name_folders("runs", but=("--workdir", "--out", "--points", "--power", "--import"))
    command.run(main, __doc__)
