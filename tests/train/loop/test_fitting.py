"""Where a run's epochs begin and end."""

import pytest

from train.loop.fitting import segments


@pytest.mark.parametrize(
    ("start", "stop", "parts"),
    [
        (0, 1000, [(0, 10, 100)]),
        (0, 250, [(0, 2, 100), (200, 1, 50)]),
        (130, 400, [(130, 1, 70), (200, 2, 100)]),
        (130, 150, [(130, 1, 20)]),
        (400, 400, []),
    ],
)
def test_segments_end_at_multiples_of_the_interval(start, stop, parts):
    assert segments(start, stop, 100) == parts
