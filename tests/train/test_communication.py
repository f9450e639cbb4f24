"""The bytes that replicas send are those of the parameters, twice around a ring."""

from commands import run

import zoo
from train import communication


def test_a_ring_passes_on_every_part_but_its_own_twice():
    assert communication.sent(800, 1) == 0
    assert communication.sent(800, 2) == 800
    assert communication.sent(800, 8) == 1400


def test_the_command_counts_the_parameters(tmp_path):
    done = run("--model=aae", "--latent_dim=3", module="train.communication", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    model = zoo.build("aae", image_shape=(28, 28, 1), latent_dim=3)
    count = sum(v.shape.num_elements() for v in model.trainable_variables)
    (line,) = (line for line in done.stdout.splitlines() if "all-reduced" in line)
    assert f" {4 * count / 1e6:.2f} MB" in line
