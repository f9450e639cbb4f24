"""Two processes that train one model: they agree, stop and begin again as one process does."""

import signal
import subprocess
import sys
import time

import kills
import numpy as np
import pytest
from commands import metrics
from commands import run as run_command
from replicas import environments

from train.distributed.strategy import Cluster
from train.workdirs.config import RunConfig
from zoo.errors import InputError
from zoo.objectives import family

# A critic, a learned multiplier that held-out data moves, and noise of every kind.
FLAGS = (
    "--alpha_q=-1",
    "--constraint=KL(q(x|z)||p(x|z))",
    "--constraint=JS(q(z)||p(z)) <= 0.05",
    "--constraint=20*MMD(q(z)||p(z))",
    "--jit=off",
    "--precision=float32",
    "--batch_size=8",
    "--latent_dim=3",
    # Steps as small as the comparison allows for
    "--critic_steps=1",
    "--critic_learning_rate=0.0002",
    "--learning_rate=0.0002",
    "--steps=24",
    "--log_every=6",
    "--checkpoint_every=12",
    "--steps_per_execution=3",
)


class Workers:
    """Two workers of one run in `folder`, of which the second is told of another folder."""

    def __init__(self, folder, flags):
        self.folder = folder
        self.processes = []
        for index, environment in enumerate(environments(2)):
            words = folder.with_name(f"{folder.name}-{index}.txt")
            workdir = folder if index == 0 else folder.with_name("elsewhere")
            with words.open("w") as file:
                self.processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "train.run", *flags, f"--workdir={workdir}"],
                        stdout=file,
                        stderr=file,
                        env=environment,
                    )
                )

    def words(self, index):
        return self.folder.with_name(f"{self.folder.name}-{index}.txt").read_text()

    def records(self):
        path = self.folder / "metrics.jsonl"
        return path.read_text().count('"train"') if path.exists() else 0

    def go_on(self):
        """Returns when one more training record is written."""
        there = self.records()
        while self.records() <= there:
            assert self.processes[0].poll() is None, self.words(0)
            time.sleep(0.02)

    def codes(self):
        """Returns the exit codes, waiting for no more than two minutes."""
        until = time.monotonic() + 120
        return [process.wait(timeout=until - time.monotonic()) for process in self.processes]


def arrays(folder):
    """Returns every array of a run's newest checkpoint, but the optimizers' second moments."""
    return {
        name: np.frombuffer(content, np.float32)
        for name, content in kills.state(folder).items()
        if name != "checkpoint" and len(content) % 4 == 0
    }


@pytest.fixture
def flags(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "mine.npy", images)
    return (*FLAGS, f"--dataset={tmp_path / 'mine.npy'}")


def test_workers_that_are_stopped_and_killed_end_as_one_process_does(flags, tmp_path):
    one = tmp_path / "one"
    alone = kills.start([*flags, "--strategy=one"], one)

    workers = Workers(tmp_path / "two", flags)
    workers.go_on()
    for process in workers.processes:
        process.send_signal(signal.SIGTERM)
    assert workers.codes() == [143, 143], workers.words(0) + workers.words(1)
    assert "which is saved" in workers.words(0)
    stopped = max(workers.folder.glob("checkpoints/step-*.zip")).name

    workers = Workers(tmp_path / "two", flags)
    workers.go_on()
    workers.processes[1].kill()
    since = time.monotonic()
    assert workers.codes() == [1, -signal.SIGKILL], workers.words(0)
    assert time.monotonic() - since < 60
    assert f"from step {int(stopped[5:13])}" in workers.words(0)
    *_, last = workers.words(0).splitlines()
    assert last.startswith("Another worker ended or cannot be reached")
    assert "Traceback" not in workers.words(0)

    workers = Workers(tmp_path / "two", flags)
    assert workers.codes() == [0, 0], workers.words(0) + workers.words(1)
    assert workers.words(1) == ""
    # The chief alone has written.
    assert not (tmp_path / "elsewhere").exists()
    assert (workers.folder / "certificate.json").exists()
    assert alone.wait(timeout=120) == 0, one.with_suffix(".txt").read_text()
    ours, theirs = arrays(workers.folder), arrays(one)
    assert set(ours) == set(theirs)
    for name, array in theirs.items():
        # The sums differ in their order. Adam makes steps of 2e-4 of whatever gradient there is: of
        # a weight whose gradient is rounding alone they may all differ.
        np.testing.assert_allclose(ours[name], array, rtol=1e-3, atol=24 * 2e-4 / 4, err_msg=name)
    for mine, other in zip(metrics(workers.folder), metrics(one), strict=True):
        for part in ("terms", "constraints", "multipliers"):
            assert mine[part] == pytest.approx(other[part], rel=1e-3, abs=1e-3), (mine, other)


def test_a_refusal_on_the_chief_is_one_on_all(flags, tmp_path):
    folder = tmp_path / "two"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    workers = Workers(folder, flags)
    assert workers.codes() == [2, 2]
    assert "is not empty and contains no run" in workers.words(0)
    assert "is not empty and contains no run" in workers.words(1)


def config(**options):
    return RunConfig(family.objective("vae").to_config(), **options)


class Several(Cluster):
    replicas = 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 128}, ["--batch_size=128", "3 replicas", "multiple of 3"]),
        ({"batch_size": 126, "jit": "on"}, ["--jit=on", "XLA"]),
        ({"batch_size": 126, "on_nan": "skip"}, ["--on_nan=skip", "--strategy=one"]),
    ],
)
def test_what_replicas_cannot_share_is_refused(options, words):
    with pytest.raises(InputError) as raised:
        Several().check(config(**options))
    for word in words:
        assert word in str(raised.value)
    Cluster().check(config(**options))


def test_multiworker_needs_tf_config(tmp_path):
    done = run_command("--model=vae", "--strategy=multiworker", "--workdir=run", cwd=tmp_path)
    assert done.returncode == 2
    assert "needs TF_CONFIG" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_only_worker_is_the_chief():
    alone = Cluster()
    assert alone.chief
    assert alone.from_chief(lambda: b"word") == b"word"
    assert alone.agreed(15) == 15
    assert alone.agreed(None) is None
