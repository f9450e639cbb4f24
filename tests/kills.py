"""Kills runs with SIGKILL at random moments, continues them, and compares them bit for bit.

    PYTHONPATH=.:tests python tests/kills.py [kills]

prints a table: of each model how many kills there were, how many of them inside the writing of a
checkpoint, and whether the end equals that of a run that nobody killed: weights, optimizers,
multipliers, averages and histories in the newest checkpoint, and metrics.jsonl.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from commands import metrics

SHORT = (
    "--dataset=mnist_5k",
    "--jit=off",
    "--batch_size=8",
    "--latent_dim=3",
    "--steps=48",
    "--log_every=6",
    "--checkpoint_every=12",
    "--steps_per_execution=1",
)
MODELS = {
    "vae": ("--model=vae",),
    "alice": ("--model=alice", "--ema=0.9", "--spectral_norm"),
    "lagvae_min": ("--model=lagvae_min", "--warmup_steps=24"),
    "wae_mmd": ("--model=wae_mmd",),
    "infogan": (
        "--model=infogan",
        "--latents=code: categorical(4), noise(3)",
        "--history=20",
        "--critic_steps=2",
    ),
}


@dataclasses.dataclass
class Outcome:
    """What became of a run: how often it was killed, and what differs from one that was not."""

    kills: int
    inside: int
    differing_state: list[str]
    differing_records: list[str]


def start(flags: Sequence[str], folder: Path) -> subprocess.Popen:
    """Starts `python -m train.run FLAGS --workdir=FOLDER`; its words go to FOLDER.txt."""
    with folder.with_suffix(".txt").open("a") as words:
        return subprocess.Popen(
            [sys.executable, "-m", "train.run", *flags, f"--workdir={folder}"],
            stdout=words,
            stderr=words,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            # SIGINT is ignored in what a shell starts in its background.
            preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )


def finished(flags: Sequence[str], folder: Path) -> float:
    """Runs to the end; returns the seconds from the run's lock on."""
    process = start(flags, folder)
    wait_for_lock(process, folder)
    since = time.monotonic()
    assert process.wait() == 0, folder.with_suffix(".txt").read_text()
    return time.monotonic() - since


def wait_for_lock(process: subprocess.Popen, folder: Path) -> None:
    """Returns when the run has begun to write, or has ended."""
    lock = folder / "lock"
    while process.poll() is None:
        if lock.exists() and lock.read_text().strip() == str(process.pid):
            return
        time.sleep(0.01)


def strike(process: subprocess.Popen, folder: Path, moment: float | None) -> bool | None:
    """Kills a run `moment` seconds after it began to write; None: while it writes a checkpoint.

    Returns whether it was writing one, None if it ended before.
    """
    wait_for_lock(process, folder)
    since = time.monotonic()
    left = set(writing(folder))
    while process.poll() is None:
        if (set(writing(folder)) - left) if moment is None else time.monotonic() - since > moment:
            process.kill()
            break
        left &= set(writing(folder))
        time.sleep(0.002)
    return bool(writing(folder)) if process.wait() == -9 else None


def writing(folder: Path) -> list[Path]:
    """Returns the checkpoints that are not written to their end."""
    return [*folder.glob("**/checkpoints/.step-*")]


def killed(
    flags: Sequence[str], whole: Path, folder: Path, moments: Sequence[float | None]
) -> Outcome:
    """Kills a run at each moment, lets it end, and compares it with the whole one."""
    struck = []
    for moment in moments:
        inside = strike(start(flags, folder), folder, moment)
        if inside is None:
            break
        struck.append(inside)
    finished(flags, folder)
    return Outcome(
        len(struck), sum(struck), differing_state(whole, folder), differing_records(whole, folder)
    )


def runs(folder: Path) -> list[Path]:
    """Returns the run and what was trained before it, relative to `folder`."""
    return sorted(path.parent.relative_to(folder) for path in folder.rglob("config.json"))


def differing_state(one: Path, other: Path) -> list[str]:
    """Returns the names of what is not equal, bit for bit, in the newest checkpoints."""
    differing = [] if runs(one) == runs(other) else ["runs"]
    for run in runs(one):
        ours, theirs = state(one / run), state(other / run)
        names = sorted({*ours, *theirs})
        differing += [
            f"{run}/{name}"
            for name in names
            if name not in ours or name not in theirs or ours[name] != theirs[name]
        ]
    return differing


def state(run: Path) -> dict[str, bytes]:
    """Returns every array of a run's newest checkpoint, and that checkpoint's name."""
    newest = max(run.glob("checkpoints/step-*.zip"))
    found = {"checkpoint": newest.name.encode()}
    with zipfile.ZipFile(newest) as archive:
        file = h5py.File(io.BytesIO(archive.read("model.weights.h5")))

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = np.asarray(item).tobytes()

    file.visititems(visit)
    return found


def differing_records(one: Path, other: Path) -> list[str]:
    """Returns the files of records, and certificates, that differ in more than the time taken."""
    differing = []
    for run in runs(one):
        if metrics(one / run) != metrics(other / run):
            differing.append(f"{run}/metrics.jsonl")
        found = (json.loads((f / run / "certificate.json").read_text()) for f in (one, other))
        if next(found) != next(found):
            differing.append(f"{run}/certificate.json")
    return differing


def main(kills: int) -> int:
    chance = random.Random(0)
    rows, failed = [], False
    with tempfile.TemporaryDirectory() as folder:
        for name, flags in MODELS.items():
            arguments, path = (*SHORT, *flags), Path(folder) / name
            length = finished(arguments, path)
            total = Outcome(0, 0, [], [])
            for attempt in range(kills):
                remaining = -(-kills // len(MODELS)) - total.kills
                if remaining <= 0:
                    break
                moments = [
                    None if chance.random() < 0.4 else chance.uniform(0, length / 2)
                    for _ in range(remaining)
                ]
                found = killed(arguments, path, path.with_name(f"{name}-{attempt}"), moments)
                total.kills += found.kills
                total.inside += found.inside
                total.differing_state += found.differing_state
                total.differing_records += found.differing_records
            failed |= bool(total.differing_state or total.differing_records)
            rows.append((name, total))
            print(f"{name}: {total}", file=sys.stderr)
    print("| model | kills | inside a checkpoint write | equal state | equal records |")
    print("|---|---|---|---|---|")
    for name, found in rows:
        equal = "no" if found.differing_state else "yes", "no" if found.differing_records else "yes"
        print(f"| {name} | {found.kills} | {found.inside} | {equal[0]} | {equal[1]} |")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
