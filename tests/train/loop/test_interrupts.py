"""A signal ends a run at its next step; what continues from there equals what nobody stopped."""

import dataclasses
import itertools
import os
import signal
import subprocess
import sys
import time

import kills
import numpy as np
import pytest

from train import run
from train.command import Interrupted, RunError
from train.figures import pictures
from train.loop import interrupts
from train.workdirs import checkpoints
from train.workdirs.config import RunConfig
from train.workdirs.workdir import Workdir
from zoo.objectives import tolerances
from zoo.objectives.objective import Objective


@pytest.fixture
def handlers():
    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    for number in before:  # SIGINT is ignored in what a shell starts in its background.
        signal.signal(number, signal.SIG_DFL)
    interrupts.install()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_acts_at_once_where_no_steps_are_taken(handlers):
    with pytest.raises(Interrupted) as raised:
        os.kill(os.getpid(), signal.SIGTERM)
    assert raised.value.number == signal.SIGTERM
    assert isinstance(raised.value, KeyboardInterrupt)


def test_the_first_waits_for_a_step_and_the_second_does_not(handlers):
    reached = []

    def signalled(*numbers):
        with interrupts.at_steps():
            for number in numbers:
                os.kill(os.getpid(), number)
                reached.append(interrupts.received())

    with pytest.raises(Interrupted) as raised:
        signalled(signal.SIGINT)
    assert raised.value.number == signal.SIGINT
    assert interrupts.received() is None
    with pytest.raises(Interrupted):
        signalled(signal.SIGTERM, signal.SIGTERM)
    assert reached == [signal.SIGINT, signal.SIGTERM]
    signalled()


def test_a_process_told_to_ignore_a_signal_does(handlers):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupts.install()
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def config(tmp_path):
    """A run with everything that a checkpoint holds: learned multipliers, margins, averages."""
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "mine.npy", images)
    objective = Objective(
        alpha_q=-1,
        constraints=["KL(q(x|z)||p(x|z))", "JS(q(z)||p(z)) <= 0.05"],
    )
    assert not tolerances.needs_best(objective)
    return RunConfig(
        objective.to_config(),
        dataset=str(tmp_path / "mine.npy"),
        latent_dim=2,
        batch_size=4,
        steps=12,
        log_every=6,
        checkpoint_every=6,
        steps_per_execution="3",
        jit="off",
        ema=0.9,
    )


def test_stopped_within_a_record_it_continues_as_if_it_had_not(config, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "draw", lambda *args: None)
    run.train(config, Workdir(tmp_path / "whole"))
    # The parts take their steps one by one, the whole run three at once.
    config = dataclasses.replace(config, steps_per_execution="1")
    parts = Workdir(tmp_path / "parts")
    asked = itertools.count(1)
    with monkeypatch.context() as patch:
        # It is asked after each step.
        patch.setattr(interrupts, "received", lambda: signal.SIGTERM if next(asked) >= 4 else None)
        with pytest.raises(Interrupted, match="SIGTERM at step 4, which is saved"):
            run.train(config, parts)
    assert [path.name for path in parts.checkpoints.iterdir()] == ["step-00000004.zip"]
    assert parts.records() == []
    run.train(config, parts)
    assert kills.differing_state(tmp_path / "whole", tmp_path / "parts") == []
    assert kills.differing_records(tmp_path / "whole", tmp_path / "parts") == []


def test_means_of_another_model_are_refused(config, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "draw", lambda *args: None)
    parts = Workdir(tmp_path / "parts")
    with monkeypatch.context() as patch:
        patch.setattr(interrupts, "received", lambda: signal.SIGTERM)
        with pytest.raises(Interrupted):
            run.train(dataclasses.replace(config, steps_per_execution="1"), parts)
    monkeypatch.setattr(checkpoints, "means", lambda path: [1.0, 2.0])
    with pytest.raises(RunError, match=r"holds 2 means of a record, .* delete that checkpoint"):
        run.train(config, parts)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_process_exits_with_the_signal(number, code, tmp_path):
    flags = [*kills.SHORT, "--model=vae", "--steps=100000"]
    folder = tmp_path / "run"
    process = kills.start(flags, folder)
    try:
        while not (folder / "metrics.jsonl").exists() or not (folder / "metrics.jsonl").read_text():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(timeout=60) == code
    finally:
        process.kill()
    words = folder.with_suffix(".txt").read_text()
    assert f"{signal.Signals(number).name} at step " in words
    assert "Traceback" not in words
    assert list(folder.glob("checkpoints/step-*.zip"))


def test_a_signal_before_the_first_step_says_one_sentence(tmp_path):
    script = (
        "import os, signal, sys\n"
        "from train import command\nfrom train.loop import interrupts\n"
        "def main():\n"
        "    interrupts.install()\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "command.run(main, 'usage')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 143
    assert done.stderr == "Interrupted: run the same command again to continue.\n"
