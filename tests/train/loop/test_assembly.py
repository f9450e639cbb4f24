"""Which data a run sees, and how its learning rates move."""

import dataclasses

import pytest

from train.loop import assembly, restoring
from train.loop.assembly import compares_images
from train.workdirs import checkpoints
from train.workdirs.config import RunConfig
from zoo.objectives import family


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vae", False),
        ("avb", False),  # its critic sees images on both sides
        ("aae", False),
        ("wae_mmd", False),
        ("vae_gan", True),
        ("alice", True),
        ("as_vae", True),
        ("infobigan", True),
        ("infovae_kl", False),
    ],
)
def test_images_stay_grey_where_decoded_ones_are_compared_to_them(name, expected):
    assert compares_images(family.objective(name).tractable()) == expected


CODES = family.objective("aae").to_config() | {
    "constraints": ["KL(q(x|z)||p(x|z))", "JS(q(z)||p(z)) <= 0.02"]
}


@pytest.mark.parametrize(
    ("objective", "schedule", "first", "last", "critics_last"),
    [
        (CODES, "auto", 5e-4, 1e-5, 1e-3),
        (CODES, "cosine", 5e-4, 1e-5, 1e-3),
        (CODES, "constant", 2e-4, 2e-4, 1e-3),
        (family.objective("aae").to_config(), "auto", 2e-4, 2e-4, 2e-4),
        (family.objective("aae").to_config(), "cosine", 2e-4, 4e-6, 4e-6),
    ],
)
def test_rates_fall_where_critics_must_catch_up(
    objective, schedule, first, last, critics_last, tmp_path
):
    config = RunConfig(
        objective,
        latent_dim=2,
        network_options={"hidden": [4], "critic_z.hidden": [4]},
        lr_schedule=schedule,
        steps=100,
        jit="off",
    )
    model = assembly.build_model(config, (4, 4, 1), 100)
    assert rate_at(model.optimizer, 0) == pytest.approx(first)
    assert rate_at(model.optimizer, 100) == pytest.approx(last)
    assert rate_at(model.critic_optimizer, 100) == pytest.approx(critics_last)
    # The run goes on along the curve on which it began, and its multipliers wait no second time.
    saved = checkpoints.Checkpoints(tmp_path).save(model, keep=1, best=None, means=None)
    longer = restoring.from_file(saved, dataclasses.replace(config, steps=1_000))
    for step in (0, 50, 100, 1_000):
        assert rate_at(longer.optimizer, step) == rate_at(model.optimizer, step)
    assert longer.multipliers.hold == model.multipliers.hold == 20


def rate_at(optimizer, step):
    optimizer.iterations.assign(step)
    return float(optimizer.learning_rate)
