"""Which data a run sees."""

import pytest

from train.loop.assembly import compares_images
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
