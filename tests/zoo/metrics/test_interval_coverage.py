"""That intervals contain the truth: a small version of tests/interval_coverage.py."""

import interval_coverage
import pytest


@pytest.mark.parametrize("name", interval_coverage.CHEAP)
def test_the_cheap_measures(name):
    measure, truth = interval_coverage.CHEAP[name]
    hits, mean, deviation = interval_coverage.covered(measure, truth, 12)
    # 95% asked for: fewer than 9 of 12 once in five hundred
    assert hits >= 9
    # the mean of 12, to four standard errors of it, and a bias of 0.01
    assert mean == pytest.approx(truth, abs=4 * deviation / 12**0.5 + 0.01)
